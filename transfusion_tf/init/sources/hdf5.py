"""Weights alone, without their model, in the two HDF5 formats of Keras.

Keras 3 writes `.weights.h5`, which numbers a layer's weights. Keras 1 and 2
wrote `.h5`, as `keras.applications` and RadImageNet publish them, which names
the layers in the order of the model.
"""

from collections.abc import Collection, Mapping
import re
import warnings

import h5py
import keras
import numpy as np

from transfusion_tf import storage
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import state as state_lib

_MODEL = 'model_config'  # Of a file that holds the whole model.
_LAYERS, _WEIGHTS = 'layer_names', 'weight_names'
_UNREAD = -31337  # In place of a weight: no network has it.

# Layer -> its weights, each with its name.
_Layers = dict[str, list[tuple[str, np.ndarray]]]


def holds_model(path: str) -> bool:
  """Return whether an .h5 file holds a whole model."""
  with h5py.File(storage.local_copy(path)) as file:
    return _MODEL in file.attrs


def layer_names(path: str) -> list[str]:
  """Return the names of the layers with weights."""
  return list(_read_layers(path))


def read(path: str, model: keras.Model) -> dict[str, np.ndarray]:
  """Return the weights by the paths of `model`.

  Layers that it lacks keep the names that the file has.
  """
  layers = _read_layers(path)
  known = {layer.name: layer for layer in graph_lib.layers(model)}
  path_of = graph_lib.Graph(model).path
  renamed = aligned(layers, model)
  arrays = {}
  for name, weights in layers.items():
    layer = known.get(renamed.get(name, name))
    variables = _in_order(layer, [w for w, _ in weights]) if layer else []
    for i, (weight, array) in enumerate(weights):
      inside = i < len(variables)
      at = path_of(variables[i]) if inside else f'{name}/{weight}'
      arrays[at] = array
  return arrays


def read_as_keras(path: str, model: keras.Model) -> dict[str, np.ndarray]:
  """Return the weights that Keras reads into `model`, which stays as it is.

  Keras goes by the place of layers in the network, not by their names.
  Weights that do not fit are left out.
  """
  before = model.get_weights()
  unread = [np.full(w.shape, _UNREAD, w.dtype) for w in before]
  try:
    model.set_weights(unread)
    with warnings.catch_warnings():  # Of weights that do not fit.
      warnings.simplefilter('ignore')
      model.load_weights(storage.local_copy(path), skip_mismatch=True)
    return {
      weight.path: np.asarray(weight.variable)
      for weight, mark in zip(
        graph_lib.Graph(model).weights, unread, strict=True
      )
      if not np.array_equal(weight.variable, mark)
    }
  finally:
    state_lib.assign(model, before)


def aligned(names: Collection[str], model: keras.Model) -> dict[str, str]:
  """Return the names of `model` for layers that Keras numbered.

  Keras numbers layers without a name in the order in which a process makes
  them, so that their numbers begin anywhere: only their order says which is
  which.

  Args:
    names: Of the layers with weights.
    model: The model to initialize.

  Returns:
    Name -> name, where they differ.
  """
  ours: dict[str, list[str]] = {}
  for layer in graph_lib.layers(model):
    base = _base(layer.name)
    class_name = type(layer).__name__.lower()
    if layer.weights and base.replace('_', '') == class_name:
      ours.setdefault(base, []).append(layer.name)
  pairs: dict[str, str] = {}
  for base, own in ours.items():
    theirs = [name for name in names if _base(name) == base]
    if len(theirs) == len(own):
      both = zip(
        sorted(theirs, key=_number), sorted(own, key=_number), strict=True
      )
      pairs |= {old: new for old, new in both if old != new}
  return pairs


def _base(name):
  return re.sub(r'_\d+$', '', name)


def _number(name):
  return int(name.removeprefix(_base(name)).removeprefix('_') or 0)


def _in_order(layer, names):
  """Return a layer's variables in the order of the file's names of them."""
  by_name = {v.name: v for v in layer.weights}
  if set(by_name) == set(names) and len(names) == len(layer.weights):
    return [by_name[name] for name in names]
  if all(name.isdigit() for name in names):  # Of `.weights.h5`.
    return layer.weights
  return [*layer.trainable_weights, *layer.non_trainable_weights]


def _read_layers(path) -> _Layers:
  with h5py.File(storage.local_copy(path)) as file:
    root = file.get('model_weights', file)
    names = _texts(root.attrs, _LAYERS)
    if names is None:
      return _numbered_layers(root)
    layers = {}
    for name in names:
      group = root[name]
      weights = _texts(group.attrs, _WEIGHTS) or []
      layers[name] = [(_last(w), group[w][()]) for w in weights]
  return {name: weights for name, weights in layers.items() if weights}


def _numbered_layers(file):
  layers: _Layers = {}

  def visit(_, group):
    if isinstance(group, h5py.Group) and 'name' in group.attrs:
      numbers = sorted(group, key=int)
      if numbers:
        layers[group.attrs['name']] = [(i, group[i][()]) for i in numbers]

  file['layers'].visititems(visit)
  return layers


def _texts(attributes: Mapping, name: str) -> list[str] | None:
  """Return a list of texts; Keras splits long ones into name0, name1, ..."""
  if name in attributes:
    parts = [attributes[name]]
  elif f'{name}0' in attributes:
    count = sum(
      re.fullmatch(rf'{name}\d+', key) is not None for key in attributes
    )
    parts = [attributes[f'{name}{i}'] for i in range(count)]
  else:
    return None
  texts = [text for part in parts for text in part]
  return [t.decode() if isinstance(t, bytes) else str(t) for t in texts]


def _last(weight):
  """Return `kernel` of `conv1_conv/kernel:0`."""
  return weight.rsplit('/', 1)[-1].removesuffix(':0')
