"""From the place of a picture to its bytes: a file, or a part of one.

A place in a file is `FILE::PART`, by the module that reads such files.
"""

from collections.abc import Callable

import numpy as np

from data import archives
from data import arrays
from data import arrow_rows
from data import regular_files

# A picture: the bytes of its file or, of an array, [H, W] or [H, W, 3].
Raw = bytes | np.ndarray

INSIDE = '::'
_FORMATS = (archives, arrays, arrow_rows)


def is_inside(path: str) -> bool:
  """Return whether a path leads into a file of pictures."""
  return any(format_.is_inside(path) for format_ in _FORMATS)


def is_row(path: str) -> bool:
  """Return whether a path leads to a row, which is best read in its order."""
  return any(format_.is_inside(path) for format_ in (arrays, arrow_rows))


def reader(path: str) -> Callable[[str], Raw] | None:
  """Return what reads pictures in the file that a path leads into.

  Returns:
    A function of the part of a place behind `::`, that raises OSError where
    there is no picture; None if the path leads into no file.

  Raises:
    OSError: The file cannot be read.
    InputError: It is no whole zip archive.
  """
  for format_ in _FORMATS:
    if format_.is_inside(path):
      return format_.reader(path.partition(INSIDE)[0])
  return None


def read(path: str) -> Raw:
  """Return a picture that is inside a file, or is one.

  Raises:
    OSError: There is none, or it cannot be read.
  """
  read_part = reader(path)
  if read_part:
    return read_part(path.partition(INSIDE)[2])
  return regular_files.read(path, archives.MAX_BYTES)
