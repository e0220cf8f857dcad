"""conv1.npz: a run's first convolution before and after training.

Figures 5, 9, 10 and 14 need nothing else of the weights; with this file the
checkpoints may be deleted.
"""

import os

import numpy as np

from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.study import npz_file
from transfusion_tf.train import checkpoint

_FILE = 'conv1.npz'
BEFORE, AFTER = 'before', 'after'


def save(run_dir: str, judged_step: int) -> None:
  """Write RUN/conv1.npz, if it does not exist."""
  path = os.path.join(run_dir, _FILE)
  if storage.exists(path):
    return
  kernels = _read_checkpoints(run_dir, judged_step)
  with storage.atomic_write(path, 'wb') as file:
    np.savez_compressed(file, **kernels)


def read(run_dir: str, judged_step: int) -> dict[str, np.ndarray]:
  """Return `before` and `after`, [h, w, 3, n] each.

  Raises:
    InputError: Neither conv1.npz nor the checkpoints exist, or no convolution
      reads images.
  """
  path = os.path.join(run_dir, _FILE)
  if not storage.exists(path):
    return _read_checkpoints(run_dir, judged_step)
  arrays = npz_file.read(path)
  for name in (BEFORE, AFTER):
    shape = arrays.get(name, np.zeros(0)).shape
    if len(shape) != 4 or shape[2] != 3:
      raise errors.DamagedFileError(
        path, f'no kernel {name} training', 'delete it, and it is made again'
      )
  return {name: arrays[name] for name in (BEFORE, AFTER)}


def _read_checkpoints(run_dir, judged_step):
  directory = os.path.join(run_dir, run_folder.CHECKPOINTS)
  return {
    name: _kernel(checkpoint.read(directory, step))
    for name, step in ((BEFORE, 0), (AFTER, judged_step))
  }


def _kernel(weights):
  """Return the first convolution's kernel among weights by path."""
  for _, weight in sorted(weights.items()):
    if weight.ndim == 4 and weight.shape[2] == 3:
      return weight
  raise errors.InputError('no convolution has three channels, as images have')
