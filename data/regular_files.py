"""Files of a disk, and nothing else that a path may lead to.

A link can lead to a device that never ends, or to a pipe that nobody writes:
they are refused before they are opened, as is what is longer than it may be.
"""

import os
import stat


def check(path: str | os.PathLike) -> os.stat_result:
  """Return the state of a file.

  Raises:
    OSError: There is none, or it is a folder, a device or a pipe.
  """
  status = os.stat(path)
  if stat.S_ISDIR(status.st_mode):
    raise IsADirectoryError('it is a folder')
  if not stat.S_ISREG(status.st_mode):
    raise OSError('it is a device or a pipe, not a file')
  return status


def read(path: str | os.PathLike, most: int) -> bytes:
  """Return the bytes of a file.

  Raises:
    OSError: `check` fails, it cannot be read, or it has more than `most` bytes.
  """
  size = check(path).st_size
  if size > most:
    raise OSError(f'{size:,} bytes; the limit is {most:,}')
  with open(path, 'rb') as file:
    return file.read(most)
