"""Reads arrays of .npz files of a study; a damaged one is one line."""

from collections.abc import Callable, Iterator
import contextlib
import io

import numpy as np

from transfusion_tf import errors
from transfusion_tf import storage


def names(path: str) -> list[str]:
  """Return the names of the arrays in a file, which are not read.

  Raises:
    DamagedFileError: It is missing or damaged.
  """
  with _open(path) as file:
    return list(file.files)


def read(
  path: str, is_wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
  """Return the arrays in a file whose names are wanted.

  Raises:
    DamagedFileError: It is missing or damaged.
  """
  with _open(path) as file:
    return {name: file[name] for name in file.files if is_wanted(name)}


@contextlib.contextmanager
def _open(path) -> Iterator[np.lib.npyio.NpzFile]:
  try:
    with np.load(io.BytesIO(storage.read_bytes(path))) as file:
      yield file
  except errors.InputError:
    raise
  # A damaged archive raises almost anything, and asks for any memory.
  except Exception as error:
    raise errors.DamagedFileError(
      path, storage.reason(error), 'delete it, and it is made again'
    ) from None
