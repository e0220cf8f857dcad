"""Weights in files: of Keras, of a TensorFlow Saver, or imported."""

from collections.abc import Callable
import contextlib
from typing import Any
import zipfile
import zlib

import h5py
import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.init import types
from transfusion_tf.init.sources import keras_applications
from transfusion_tf.init.sources import tf_slim
from transfusion_tf.models import stages

_ORIGIN = 'origin'  # A text in the .npz, not a weight.
_OBJECT_SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE'
_UNREADABLE = (
  OSError,
  EOFError,
  LookupError,
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
  if tf.io.gfile.exists(f'{name}.index'):
    return _read_saver
  return next((r for end, r in _READERS.items() if name.endswith(end)), None)


def save_npz(path: str, arrays: types.Arrays, origin: str) -> None:
  """Write {path: array} as .npz; `origin` describes the source."""
  with storage.atomic_write(path, 'wb') as file:
    entries: dict[str, Any] = {_ORIGIN: np.array(origin), **arrays}
    np.savez(file, **entries)


def from_model(
  model: keras.Model, like: keras.Model | None, name: str
) -> types.WeightSource:
  """Return a model's weights; keras.applications' in `like`'s names."""
  if like is not None and keras_applications.coincide(model, like):
    return types.WeightSource(keras_applications.renamed(model, like), name)
  return types.WeightSource(
    {stages.path_of(v, model): np.asarray(v) for v in model.weights}, name
  )


def _read_keras(name, like):
  with _readable(name):
    model = keras.models.load_model(name, compile=False)
  return from_model(model, like, name)


def _read_weights_h5(name, like):
  """Read a .weights.h5, which names layers and numbers their weights."""
  if like is None:
    raise errors.InputError(
      f'{name}: which weights these are depends on the model; give it too, or '
      'use a .keras file'
    )
  layers = {layer.name: layer for layer in stages.all_layers(like)}
  arrays = {}

  def visit(_, group):
    if isinstance(group, h5py.Group) and 'name' in group.attrs:
      layer = layers.get(group.attrs['name'])
      paths = [stages.path_of(v, like) for v in layer.weights] if layer else []
      for i in sorted(group, key=int):
        known = int(i) < len(paths)
        path = paths[int(i)] if known else f'{group.attrs["name"]}/{i}'
        arrays[path] = group[i][()]

  with _readable(name), h5py.File(name) as file:
    file['layers'].visititems(visit)
  if not arrays:
    raise errors.InputError(
      f'{name}: names no layers, as files of old Keras versions; save it again '
      'as .keras'
    )
  return types.WeightSource(arrays, name)


def _read_npz(name, like):
  del like
  with _readable(name), np.load(name) as file:
    arrays = dict(file)
  origin = arrays.pop(_ORIGIN, None)
  return types.WeightSource(
    arrays, name if origin is None else f'{name} ({origin})'
  )


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
def _readable(name):
  if not tf.io.gfile.exists(name) and not tf.io.gfile.exists(f'{name}.index'):
    raise errors.InputError(f'{name}: no such file')
  try:
    yield
  except errors.InputError:
    raise
  except _UNREADABLE as error:
    raise errors.InputError(
      f'{name}: damaged or of another format: {error}'
    ) from None


_READERS = {
  '.keras': _read_keras,
  '.weights.h5': _read_weights_h5,
  '.npz': _read_npz,
  '.ckpt': _read_saver,
}
SUFFIXES = tuple(_READERS)
