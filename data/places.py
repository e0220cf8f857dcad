"""From the place of a picture to its bytes: a file, or a part of one.

A place in a file is `FILE::PART`, by the module that reads such files.
"""

from data import archives
from data import arrays
from data import arrow_rows
from data import regular_files

_FORMATS = (archives, arrays, arrow_rows)


def is_inside(path: str) -> bool:
  """Return whether a path leads into a file of pictures."""
  return any(format_.is_inside(path) for format_ in _FORMATS)


def read(path: str) -> bytes:
  """Return the bytes of a picture that is inside a file, or is one.

  Raises:
    OSError: There is none, or it cannot be read.
  """
  for format_ in _FORMATS:
    if format_.is_inside(path):
      return format_.read(path)
  return regular_files.read(path, archives.MAX_BYTES)
