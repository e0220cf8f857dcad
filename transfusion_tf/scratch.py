"""Files and folders in the making: each is its maker's alone, and ends with it.

They are named PATH.RANDOM.partial, so that two makers of one PATH do not meet.
The maker holds a lock, which the operating system gives back when the maker
dies, however it does. Whoever makes the next one of the same PATH deletes those
that nobody holds. Where a file system has no such locks, they stay.
"""

from collections.abc import Callable, Iterator
import contextlib
import fcntl
import glob
import os
import secrets
import shutil
from typing import IO

import filelock

from transfusion_tf import errors

LOCK = '.lock'  # Name of the file by which a folder is held.
_SUFFIX = '.partial'
_EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB


@contextlib.contextmanager
def file(path: str, mode: str = 'wb') -> Iterator[IO]:
  """Open a file that takes the name `path` once all of it is written.

  Args:
    path: Path of the file; what has its name is replaced.
    mode: `w` for text, `wb` for bytes.
  """
  encoding = None if 'b' in mode else 'utf-8'
  new = os.O_RDWR | os.O_CREAT | os.O_EXCL
  name, descriptor = _make(path, lambda name: os.open(name, new, 0o666))
  try:
    with open(descriptor, mode, encoding=encoding) as opened:
      yield opened
      opened.flush()
      os.replace(name, path)  # While it is held.
  finally:
    with contextlib.suppress(OSError):
      os.remove(name)


@contextlib.contextmanager
def folder(path: str, mode: int = 0o777) -> Iterator[str]:
  """Yield an empty folder beside `path`; it is deleted, unless renamed.

  Args:
    path: What it may be called in the end.
    mode: Its permissions, less those that the umask takes.
  """

  def make(name):
    os.mkdir(name, mode)
    return os.open(name, os.O_RDONLY)

  name, descriptor = _make(path, make)
  try:
    yield name
  finally:
    os.close(descriptor)
    shutil.rmtree(name, ignore_errors=True)


@contextlib.contextmanager
def held(folder: str, remedy: str, at: str = 'at work') -> Iterator[None]:
  """Keep other processes from a folder, which must exist, by a file in it.

  The operating system gives the lock back when the process dies. The file
  stays: without it, two could each hold one of that name.

  Args:
    folder: The folder.
    remedy: What to do where another process is there.
    at: What that one is at.

  Raises:
    InUseError: Another process is there.
    OSError: The file cannot be made.
  """
  try:
    lock = filelock.FileLock(os.path.join(folder, LOCK)).acquire(timeout=0)
  except filelock.Timeout:
    raise errors.InUseError(
      f'{folder}: another process is {at} here; {remedy}'
    ) from None
  with lock:
    yield


def delete_dead(pattern: str) -> None:
  """Delete the files and folders that match and that nobody holds."""
  for name in glob.glob(pattern):
    with contextlib.suppress(OSError):  # Held, or gone meanwhile.
      descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
      try:
        fcntl.flock(descriptor, _EXCLUSIVE)
        if os.path.isdir(name):
          shutil.rmtree(name, ignore_errors=True)
        else:
          os.remove(name)
      finally:
        os.close(descriptor)


def _make(path, make: Callable[[str], int]) -> tuple[str, int]:
  """Return the name and the descriptor of what is made, which is held."""
  delete_dead(f'{glob.escape(path)}.*{_SUFFIX}')
  while True:
    name = f'{path}.{secrets.token_hex(4)}{_SUFFIX}'
    descriptor = make(name)
    try:
      fcntl.flock(descriptor, _EXCLUSIVE)
    except BlockingIOError:  # Another took it for a dead one's.
      pass
    except OSError:
      return name, descriptor
    if os.path.exists(name):
      return name, descriptor
    os.close(descriptor)
