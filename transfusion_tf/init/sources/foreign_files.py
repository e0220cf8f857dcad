"""What a file or folder is that is named as weights and cannot be read.

A refusal says what it is, and how its weights get into a form that is read.
"""

import os

import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage

_WAY_OUT = (
  'load its weights in Keras and save the model as .keras, or name a function '
  'that returns the keras.Model: package.module:function'
)
_KINDS = {
  ('.pth', '.pt', '.bin'): 'weights of PyTorch',
  ('.safetensors',): 'weights in safetensors',
  ('.onnx',): 'an ONNX model',
  ('.pb',): 'a graph of TensorFlow',
  ('.tflite',): 'a TF Lite model',
  ('.msgpack', '.pkl', '.pickle', '.npy', '.mat'): 'arrays of another program',
}
_ARCHIVES = ('.zip', '.tar', '.gz', '.tgz', '.7z')
_SAVED_MODEL, _KERAS_MODEL = 'saved_model.pb', 'model.keras'
_HDF5, _ZIP = b'\x89HDF', b'PK\x03\x04'
_LFS, _MARKUP = b'version https://git-lfs', b'<'
_AGAIN = 'download or save it again'


def refuse(name: str, known: str) -> errors.InputError:
  """Return the error for a name that nothing reads.

  Args:
    name: The name, as given.
    known: List of what is read, for the message.
  """
  if storage.isdir(name):
    return errors.InputError(f'{name}: {_describe_folder(name, known)}')
  lower = name.lower()
  for suffixes, kind in _KINDS.items():
    if lower.endswith(suffixes):
      return errors.InputError(f'{name}: {kind}, which is not read; {_WAY_OUT}')
  if lower.endswith(_ARCHIVES):
    return errors.InputError(f'{name}: an archive; unpack it, and name a file')
  exists = '' if storage.exists(name) else 'no such file or folder: '
  return errors.InputError(
    f'{name}: {exists}neither a run folder nor a weights file {known}'
  )


def _describe_folder(name, known):
  if storage.exists(os.path.join(name, _SAVED_MODEL)):
    keras_file = os.path.join(name, _KERAS_MODEL)
    if storage.exists(keras_file):
      return f'an export; name its {_KERAS_MODEL}: {keras_file}'
    return f'a SavedModel, which is not read; {_WAY_OUT}'
  return (
    'a folder without config.json: neither a run folder, as train.py makes '
    f'them, nor a weights file {known}'
  )


def check_content(name: str) -> None:
  """Raise an InputError if the first bytes tell that a file is another one."""
  if not storage.exists(name) or storage.isdir(name):
    return
  with tf.io.gfile.GFile(name, 'rb') as file:
    start = file.read(len(_LFS))
  zipped = name.endswith(('.keras', '.npz'))
  if not start:
    wrong = f'it is empty; {_AGAIN}'
  elif start.startswith(_LFS):
    wrong = 'a pointer of Git LFS; get the file itself by git lfs pull'
  elif start.startswith(_MARKUP):
    wrong = f'a web page; {_AGAIN}'
  elif start.startswith(_ZIP) and not zipped:
    wrong = f'a zip, as weights of PyTorch or .keras files are; {_WAY_OUT}'
  elif start.startswith(_HDF5) and not name.endswith('.h5'):
    wrong = 'an HDF5 file; give it the ending .h5'
  else:
    return
  raise errors.InputError(f'{name}: damaged or of another format: {wrong}')


def unreadable(name: str, error: Exception) -> errors.InputError:
  """Return the error for a file that its reader cannot read."""
  return errors.InputError(
    f'{name}: damaged or of another format: {error}; {_AGAIN}, or {_WAY_OUT}'
  )
