"""Weights in files: of Keras, of a TensorFlow Saver, or imported."""

from collections.abc import Callable
import contextlib
import re
from typing import Any
import zipfile
import zlib

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.init import types
from transfusion_tf.init.sources import described_network
from transfusion_tf.init.sources import foreign_files
from transfusion_tf.init.sources import hdf5
from transfusion_tf.init.sources import keras_applications
from transfusion_tf.init.sources import self_contained
from transfusion_tf.init.sources import tf_slim
from transfusion_tf.models import custom
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import resnet
from transfusion_tf.models import stages

# Texts in the .npz, not weights.
_ORIGIN, _INPUT = 'origin', 'input'
# In a .keras file, which is a zip: its entries besides Keras' own are ignored.
_INPUT_ENTRY = 'transfusion_input.txt'
_NEEDS_CODE = re.compile('Could not locate (class|function)|`Lambda` layer')
_OBJECT_SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE'
_UNREADABLE = (
  OSError,
  EOFError,
  LookupError,
  MemoryError,
  TypeError,
  ValueError,
  zipfile.BadZipFile,
  zlib.error,
  tf.errors.OpError,
)


def reader(
  name: str,
) -> Callable[[str, keras.Model | None], types.WeightSource] | None:
  """Return the function that reads a file of this name, or None."""
  if storage.exists(f'{name}.index'):
    return _read_saver
  return next((r for end, r in _READERS.items() if name.endswith(end)), None)


def save_npz(
  path: str, arrays: types.Arrays, origin: str, trained_on: str = ''
) -> None:
  """Write {path: array} as .npz.

  Args:
    path: The file.
    arrays: The weights.
    origin: Description of the source.
    trained_on: Kind of input that the weights fit; empty if unknown.
  """
  with storage.atomic_write(path, 'wb') as file:
    entries: dict[str, Any] = {_ORIGIN: np.array(origin), **arrays}
    if trained_on:
      entries[_INPUT] = np.array(trained_on)
    np.savez(file, **entries)


def record_input(path: str, trained_on: str) -> None:
  """Record in a .keras file the kind of input that its model was trained on."""
  with zipfile.ZipFile(path, 'a') as file:
    file.writestr(_INPUT_ENTRY, trained_on)


def from_model(
  model: keras.Model, like: keras.Model | None, name: str, trained_on: str = ''
) -> types.WeightSource:
  """Return a model's weights; keras.applications' in `like`'s names."""
  if like is not None and keras_applications.coincide(model, like):
    arrays = keras_applications.renamed(model, like)
  else:
    _check_stride(name, stride_of(model), like)
    arrays = _by_path(model, like)
  return types.WeightSource(
    arrays, name, trained_on, keras_applications.published_input(model), model
  )


def stride_in(name: str) -> str:
  """Return the unit of a block in which a file's ResNet-50 strides.

  Empty if the file does not tell, or is of another network.
  """
  with _readable(name):
    if name.endswith('.npz'):
      with np.load(storage.local_copy(name)) as file:
        return tf_slim.STRIDE_IN if _ORIGIN in file else ''
    if name.endswith('.h5'):
      if 'conv1_conv' in hdf5.layer_names(name):
        return 'first'
      if not hdf5.holds_model(name):
        return ''
    elif not name.endswith('.keras'):
      return ''
    model = _load_model(name, None)
  return stride_of(model) if model else ''


def stride_of(model: keras.Model) -> str:
  """Return the unit of a block in which a ResNet-50 strides; else empty."""
  names = {layer.name for layer in model.layers}
  if 'block2.unit_1.conv1' in names:
    return resnet.stride_in(model)
  return 'first' if {'conv1_conv', 'conv5_block3_3_bn'} <= names else ''


def _check_stride(name, stride, like):
  # The two geometries have the same weights, which do not fit one another.
  if like is None or like.name != resnet.NAME or not stride:
    return
  if stride != stride_of(like):
    raise errors.InputError(
      f'{name} has stride_in={stride}, the new net stride_in={stride_of(like)}'
    )


def _by_path(model, like):
  """Return the weights of `model` by the paths that `like` has for them."""
  layers = [x.name for x in graph_lib.layers(model) if x.weights]
  renamed = {} if like is None else hdf5.aligned(layers, like)
  arrays = {}
  weights = graph_lib.Graph(model).weights
  for weight in weights:
    parts = [renamed.get(part, part) for part in weight.path.split('/')]
    arrays['/'.join(parts)] = np.asarray(weight.variable)
  if like is None:
    return arrays
  ours = graph_lib.Graph(like).weights
  if any(w.path not in arrays for w in ours) and _correspond(weights, ours):
    # One network, saved and loaded: Keras names layers in it anew.
    return {
      mine.path: np.asarray(theirs.variable)
      for mine, theirs in zip(ours, weights, strict=True)
    }
  return arrays


def _correspond(weights, others):
  """Return whether weights are of the same layers, in the same order."""
  # Keras numbers weights that a layer does not name over the whole process.
  one, two = (
    [
      (type(w.layer), re.sub(r'^variable(_\d+)?$', '', w.variable.name))
      for w in found
    ]
    for found in (weights, others)
  )
  return one == two


def _load_model(name, like):
  """Return the model of a file; layers of the user's are of `like`'s classes.

  None if the file does not hold all code of its layers: classes that are not
  known, or a Lambda, whose code is not run.
  """
  classes = {} if like is None else custom.classes(like)
  try:
    described_network.check(name, like, classes)
    return keras.models.load_model(
      storage.local_copy(name), custom_objects=classes, compile=False
    )
  except (TypeError, ValueError) as error:
    if _NEEDS_CODE.search(str(error)):
      return None
    raise


def _read_keras(name, like):
  with _readable(name, like):
    model = _load_model(name, like)
    with zipfile.ZipFile(storage.local_copy(name)) as file:
      known = _INPUT_ENTRY in file.namelist()
      trained_on = file.read(_INPUT_ENTRY).decode() if known else ''
    if model is not None:
      return from_model(model, like, name, trained_on)
    # Its weights alone, where they fit the network that is to be initialized.
    arrays = {} if like is None else hdf5.read_as_keras(name, like)
  if not arrays:
    raise errors.InputError(
      f'{name} needs code that is not in it, of layers that are not of Keras: '
      'name a function that returns the keras.Model, package.module:function'
    )
  return types.WeightSource(arrays, name, trained_on)


def _read_h5(name, like):
  """Read a whole model, or weights alone, in the formats of Keras."""
  with _readable(name, like):
    model = _load_h5_model(name, like) if hdf5.holds_model(name) else None
  if model is not None:
    return from_model(model, like, name)
  if like is None:
    raise errors.InputError(
      f'{name}: which weights these are depends on the model; give it too, or '
      'use a .keras file'
    )
  with _readable(name, like):
    network = keras_applications.architecture_of(hdf5.layer_names(name), like)
    if network:
      return types.WeightSource(_renamed_h5(name, network, like), name)
    arrays = hdf5.read(name, like)
    paths = [weight.path for weight in graph_lib.Graph(like).weights]
    if name.endswith('.weights.h5') and any(p not in arrays for p in paths):
      arrays = hdf5.read_as_keras(name, like) or arrays
  if not arrays:
    raise errors.InputError(f'{name}: names no layers; save it as .keras')
  return types.WeightSource(arrays, name)


def _load_h5_model(name, like):
  """Return the model, or None if it is of a Keras too old to be read."""
  try:
    return _load_model(name, like)
  except _UNREADABLE:
    return None


def _renamed_h5(name, network, like):
  """Read weights of a network of keras.applications by the paths of ours."""
  model = getattr(keras.applications, network)(weights=None, include_top=False)
  arrays = hdf5.read(name, model)
  paths = {w.path: w.variable for w in graph_lib.Graph(model).weights}
  types.raise_on_mismatch(
    f'{name} does not fit {network}',
    {
      'missing': [path for path in paths if path not in arrays],
      'of another shape': [
        f'{path} {arrays[path].shape}'
        for path, v in paths.items()
        if path in arrays and arrays[path].shape != tuple(v.shape)
      ],
    },
  )
  for path, variable in paths.items():
    variable.assign(arrays[path])
  head = f'{keras_applications.HEAD}/'
  return keras_applications.renamed(model, like) | {
    f'{stages.HEAD}/{path.removeprefix(head)}': array
    for path, array in arrays.items()
    if path.startswith(head)
  }


def _read_npz(name, like):
  with _readable(name, like), np.load(storage.local_copy(name)) as file:
    arrays = dict(file)
  origin = arrays.pop(_ORIGIN, None)
  trained_on = str(arrays.pop(_INPUT, ''))
  if origin is None:
    return types.WeightSource(arrays, name, trained_on)
  _check_stride(name, tf_slim.STRIDE_IN, like)
  return types.WeightSource(arrays, f'{name} ({origin})', trained_on)


def _read_saver(name, like):
  del like
  with _readable(name):
    saved = tf.train.load_checkpoint(name)
    names = sorted(saved.get_variable_to_shape_map())
    if any(n.endswith(_OBJECT_SUFFIX) for n in names):
      raise errors.InputError(
        f'{name}: a checkpoint of objects; name the run that it is of, or save '
        'the model as .keras'
      )
    scopes = tuple(f'{scope}/' for scope in tf_slim.SCOPES.values())
    if any(n.startswith(scopes) for n in names):
      raise errors.InputError(
        f'{name}: weights of TF-Slim; import_slim.py makes them usable'
      )
    return types.WeightSource({n: saved.get_tensor(n) for n in names}, name)


@contextlib.contextmanager
def _readable(name, like=None):
  if not storage.exists(name) and not storage.exists(f'{name}.index'):
    raise errors.InputError(f'{name}: no such file')
  foreign_files.check_content(name)
  try:
    self_contained.check(name, like)
    yield
  except errors.InputError:
    raise
  except _UNREADABLE as error:
    raise foreign_files.unreadable(name, error) from None


_READERS = {
  '.keras': _read_keras,
  '.h5': _read_h5,
  '.npz': _read_npz,
  '.ckpt': _read_saver,
}
SUFFIXES = tuple(_READERS)
