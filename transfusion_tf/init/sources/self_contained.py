"""Refuses weights files that reach outside themselves, or claim too much.

An HDF5 file can name another file, in three ways, whose bytes would become
weights. A dataset, a zip and an .npz can claim any size without holding it.
Both are looked up before a weight is read.
"""

from collections.abc import Iterator
import io
import math
import os
import zipfile

import h5py
import keras
import numpy as np

from transfusion_tf import errors
from transfusion_tf import storage

# Weights may come with an optimizer's slots. The rest is for a head of many
# classes, or to name the network that does not fit.
_COPIES, _ROOM = 4, 2**30
_WEIGHTS = 'model.weights.h5'  # In a .keras file.


def check(name: str, like: keras.Model | None) -> None:
  """Refuse a file of weights that is not itself, or too large.

  Args:
    name: An .h5, .keras or .npz file; others are not looked at.
    like: The network that the weights are for; without one, they may be some
      times larger than the file.

  Raises:
    InputError: It holds links to other places, or claims more bytes than the
      network can need.
  """
  if not name.endswith(('.h5', '.keras', '.npz')):
    return
  path = storage.local_copy(name)
  most = most_bytes(path, like)
  if name.endswith('.h5'):
    with h5py.File(path) as file:
      check_size(name, sum(_sizes(name, file)), most)
  elif name.endswith('.keras'):
    _check_keras(name, path, most)
  else:
    _check_npz(name, path, most)


def most_bytes(path: str, like: keras.Model | None) -> int:
  """Return how many bytes of weights a file may claim; see `check`."""
  own = os.path.getsize(path) if like is None else num_bytes(like)
  return _COPIES * own + _ROOM


def check_size(name: str, claimed: int, most: int) -> None:
  """Raise an InputError if a file claims too many bytes."""
  if claimed > most:
    raise errors.InputError(
      f'{name}: damaged or of another network: it claims to hold '
      f'{claimed:,} bytes of weights; these can be {most:,} at most'
    )


def num_bytes(model: keras.Model) -> int:
  """Return the most bytes that a model's weights can have."""
  # Eight bytes a number is the most that Keras has.
  return 8 * sum(math.prod(weight.shape) for weight in model.weights)


def _check_keras(name, path, most):
  with zipfile.ZipFile(path) as archive:
    members = archive.infolist()
    check_size(name, sum(member.file_size for member in members), most)
    if _WEIGHTS in archive.namelist():
      with h5py.File(io.BytesIO(archive.read(_WEIGHTS))) as file:
        check_size(name, sum(_sizes(name, file)), most)


def _check_npz(name, path, most):
  with zipfile.ZipFile(path) as archive:
    claimed = 0
    for member in archive.infolist():
      with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = (
          np.lib.format.read_array_header_1_0
          if version == (1, 0)
          else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
      claimed += math.prod(shape) * dtype.itemsize
    check_size(name, claimed, most)


def _sizes(name: str, root: h5py.File) -> Iterator[int]:
  """Yield the bytes that reading each dataset takes; follow no link."""
  waiting, seen = [root], set()
  while waiting:
    group = waiting.pop()
    for key in group:
      place = f'{group.name.rstrip("/")}/{key}'
      if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise _foreign(name, place, 'a link to another place')
      item = group[key]
      address = h5py.h5o.get_info(item.id).addr
      if address in seen:  # Two names of one group, maybe of its own parent.
        continue
      seen.add(address)
      if isinstance(item, h5py.Group):
        waiting.append(item)
      elif isinstance(item, h5py.Dataset):
        if item.external or item.is_virtual:
          raise _foreign(name, place, 'stored in another file')
        chunk = math.prod(item.chunks or (0,)) * item.dtype.itemsize
        yield max(item.nbytes, chunk)


def _foreign(name, place, what):
  return errors.InputError(
    f'{name}: {place} is {what}; a file of weights holds them all itself: save '
    'it again, and do not use it if it is not yours'
  )
