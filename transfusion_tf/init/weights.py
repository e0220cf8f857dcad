"""Weights from wherever they are, as {path: array}.

a run folder          RUN: the checkpoint that the run was judged by;
                      RUN@init, RUN@final, RUN@STEP: another one
a checkpoint          RUN/checkpoints/step-00000100
Keras files           .keras and .weights.h5
imported weights      .npz, from import_slim.py
`imagenet`            keras.applications, for resnet50 (stride_in='first')
                      and inception_v3; needs a download
any keras.Model       e.g. keras.applications.MobileNetV2()
"""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import json
import os
import zipfile
import zlib

import h5py
import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.init import applications
from transfusion_tf.models import resnet
from transfusion_tf.train import checkpoint

IMAGENET = 'imagenet'
_APPLICATIONS = {
  'resnet50': keras.applications.ResNet50,
  'inception_v3': keras.applications.InceptionV3,
}
_ORIGIN = 'origin'  # A text in the .npz, not a weight.
_OBJECT_SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE'
_SLIM_SCOPES = ('InceptionV3/', 'resnet_v1_50/')
_UNREADABLE = (
  OSError,
  EOFError,
  KeyError,
  TypeError,
  ValueError,
  zipfile.BadZipFile,
  zlib.error,
  tf.errors.OpError,
)


@dataclasses.dataclass(frozen=True)
class Source(Mapping[str, np.ndarray]):
  """{path: array} with a name for messages and reports."""

  arrays: Mapping[str, np.ndarray]
  name: str

  def __getitem__(self, path: str) -> np.ndarray:
    return self.arrays[path]

  def __iter__(self) -> Iterator[str]:
    return iter(self.arrays)

  def __len__(self) -> int:
    return len(self.arrays)


def load(
  source: str | os.PathLike | keras.Model | None,
  like: keras.Model | None = None,
) -> Source | None:
  """Loads weights; an empty or missing name is None.

  Args:
    source: See the module's docstring.
    like: The model that they are for. Needed by `imagenet` and `.weights.h5`;
      with it, weights of `keras.applications` get the paths of our networks.

  Raises:
    InputError: Not there, not readable, or not what the name says.
  """
  if isinstance(source, keras.Model):
    return _of_model(source, like, f'the model {source.name}')
  name = os.fspath(source or '')
  if not name:
    return None
  if name == IMAGENET:
    return _imagenet(like)
  for suffix, reader in _FILES.items():
    if name.endswith(suffix):
      return reader(name, like)
  if tf.io.gfile.exists(f'{name}.index'):
    return _of_saver(name)
  return _of_run(name, like)


def save_npz(path: str, arrays: Mapping[str, np.ndarray], origin: str) -> None:
  """Writes {path: array} as .npz; `origin` says where it is from."""
  partial = f'{path}.partial'
  with open(partial, 'wb') as file:
    np.savez(file, **{_ORIGIN: np.array(origin)}, **arrays)
  os.replace(partial, path)


def _of_model(model, like, name):
  if like is not None and applications.coincide(model, like):
    return Source(applications.renamed(model, like), name)
  return Source({v.path: np.asarray(v) for v in model.weights}, name)


def _of_keras_file(name, like):
  with _readable(name):
    model = keras.models.load_model(name, compile=False)
  return _of_model(model, like, name)


def _of_weights_file(name, like):
  """A .weights.h5 names layers and numbers the weights of each."""
  if like is None:
    raise errors.InputError(
      f'{name}: which weights these are depends on the model; give it too, or '
      'use a .keras file'
    )
  layers = {layer.name: layer for layer in like._flatten_layers()}
  arrays = {}

  def visit(_, group):
    if isinstance(group, h5py.Group) and 'name' in group.attrs:
      layer = layers.get(group.attrs['name'])
      paths = [v.path for v in layer.weights] if layer else []
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
  return Source(arrays, name)


def _of_npz(name, like):
  del like
  with _readable(name), np.load(name) as file:
    arrays = dict(file)
  origin = arrays.pop(_ORIGIN, None)
  return Source(arrays, name if origin is None else f'{name} ({origin})')


def _of_saver(name):
  with _readable(name):
    reader = tf.train.load_checkpoint(name)
    names = sorted(reader.get_variable_to_shape_map())
    if any(n.endswith(_OBJECT_SUFFIX) for n in names):
      raise errors.InputError(
        f'{name}: a checkpoint of objects, whose weights have no names; save '
        'the model as .keras'
      )
    if any(n.startswith(_SLIM_SCOPES) for n in names):
      raise errors.InputError(
        f'{name}: weights of TF-Slim; import_slim.py makes them usable'
      )
    return Source({n: reader.get_tensor(n) for n in names}, name)


def _of_run(name, like):
  run_dir, at, which = name.rpartition('@')
  if not at or tf.io.gfile.isdir(name):
    run_dir, which = name, ''
  if not tf.io.gfile.exists(os.path.join(run_dir, 'config.json')):
    raise errors.InputError(
      f'{name}: neither a run folder nor a weights file '
      f'({", ".join(_FILES)}), a checkpoint or {IMAGENET!r}'
    )
  _check_geometry(run_dir, like)
  directory = os.path.join(run_dir, 'checkpoints')
  step = _step(run_dir, directory, which)
  return Source(checkpoint.read(directory, step), f'{run_dir}@{step}')


def _step(run_dir, directory, which):
  """The step that `which` names; the run's own choice if it is empty."""
  if which.isdigit():
    return int(which)
  if which == 'init':
    return 0
  if which == 'final':
    return max(checkpoint.steps(directory), default=0)
  if which:
    raise errors.unknown('checkpoint', which, ['init', 'final', 'STEP'])
  result = os.path.join(run_dir, 'result.json')
  if not tf.io.gfile.exists(result):
    raise errors.InputError(
      f'{run_dir}: this run is not finished; finish it or name a checkpoint: '
      f'{run_dir}@final'
    )
  with tf.io.gfile.GFile(result) as file:
    return json.load(file)['judged_step']


def _check_geometry(run_dir, like):
  # The two geometries have the same weights, which do not fit one another.
  saved = config.load(os.path.join(run_dir, 'config.json')).model
  if like is None or not like.name == saved.name == resnet.NAME:
    return
  if saved.stride_in != resnet.stride_in(like):
    raise errors.InputError(
      f'{run_dir} has stride_in={saved.stride_in}, the new net '
      f'stride_in={resnet.stride_in(like)}'
    )


def _imagenet(like):
  if like is None or like.name not in _APPLICATIONS:
    raise errors.InputError(
      f'{IMAGENET} is for {" and ".join(_APPLICATIONS)}, not for '
      f'{like.name if like else "no model"}; pass a keras.Model instead'
    )
  applications.check(like)
  try:
    model = _APPLICATIONS[like.name](weights='imagenet')
  except Exception as error:  # Keras raises whatever the network does.
    raise errors.InputError(
      f'{IMAGENET}: the download from keras.applications failed: {error}'
    ) from None
  return _of_model(model, like, f'keras.applications {model.name} {IMAGENET}')


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


_FILES = {
  '.keras': _of_keras_file,
  '.weights.h5': _of_weights_file,
  '.npz': _of_npz,
}
