"""Files that exist complete or not at all, on a disk or in a bucket.

A path with `://` is an object of a bucket, which TensorFlow's own client reads
and writes. An object appears when its upload has ended, and is never seen half
written; folders do not exist, and nothing can be renamed in one step. What
consists of several objects is valid through one that is written last.
"""

import atexit
from collections.abc import Collection, Iterator, Sequence
import contextlib
import errno
import glob as glob_lib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from typing import IO, Any

from etils import epy

from transfusion_tf import errors
from transfusion_tf import scratch

with epy.lazy_imports():  # Listing runs does without.
  import tensorflow as tf

# What more room does not help.
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
PRIVATE = 0o600  # Mode of what shows pictures of patients: its owner's alone.
# What is read at a time. One request reads an object of up to this size (see
# `startup.ENVIRONMENT`), so that a text is of one version of it, whoever writes
# the next one meanwhile.
_READ_BYTES = 1 << 24


def is_remote(path: str | os.PathLike) -> bool:
  """Return whether a path is in a bucket."""
  return '://' in os.fspath(path)


def reason(error: Exception) -> str:
  """Return the reason of an error, without TensorFlow's notes on its graph."""
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  if found := re.search(r'HTTP response code (\d+)', str(error)):
    return f'the bucket answers {found[1]}'
  lines = [line for line in str(error).splitlines() if line.strip()]
  lines = lines or [type(error).__name__]
  text = re.sub(r'^\{\{.*?\}\} | \[Op:.*?\]', '', lines[0])
  return text.rpartition('; ')[2]


def is_lost_connection(error: Exception) -> bool:
  """Return whether an error is TensorFlow's of a request to a bucket."""
  return 'gs://' in str(error) and type(error).__module__.startswith(
    'tensorflow.'
  )


def _is_tensorflows(error):
  # Who has not imported it is not made to wait for it here.
  return 'tensorflow' in sys.modules and isinstance(error, tf.errors.OpError)


def lacking(error: Exception, numbers: Collection[int]) -> str:
  """Return what TensorFlow says that the machine lacks, or an empty text.

  Args:
    error: Any error.
    numbers: The `errno` of what a machine may lack.
  """
  if not _is_tensorflows(error):
    return ''
  named = any(os.strerror(number) in str(error) for number in numbers)
  exhausted = isinstance(error, tf.errors.ResourceExhaustedError)
  return reason(error) if named or exhausted else ''


@contextlib.contextmanager
def convert_write_errors(path: str) -> Iterator[None]:
  """Convert errors of writing `path` into one line.

  Raises:
    RunError: Writing failed: the disk is full or read-only, or permission is
      missing.
  """
  try:
    yield
  except Exception as error:
    if not isinstance(error, OSError) and not _is_tensorflows(error):
      raise
    is_denied = isinstance(error, OSError) and error.errno in _DENIED
    remedy = '' if is_remote(path) else 'make room and '
    remedy = 'see that it may be written and ' if is_denied else remedy
    raise errors.RunError(
      f'{path} cannot be written ({reason(error)}); what was saved before is '
      f'intact: {remedy}start the same command again'
    ) from None


@contextlib.contextmanager
def convert_read_errors(path: str) -> Iterator[None]:
  """Convert errors of TensorFlow's client.

  Raises:
    FileNotFoundError: There is no such file.
    InputError: It cannot be reached.
  """
  try:
    yield
  except tf.errors.NotFoundError:
    raise FileNotFoundError(f'{path}: no such file') from None
  except tf.errors.OpError as error:
    raise errors.InputError(
      f'{path} cannot be read ({reason(error)})'
    ) from None


def exists(path: str) -> bool:
  """Return whether there is a file or folder."""
  if not is_remote(path):
    return os.path.exists(path)
  with convert_read_errors(path):
    return tf.io.gfile.exists(path)


def isdir(path: str) -> bool:
  """Return whether there is a folder."""
  if not is_remote(path):
    return os.path.isdir(path)
  with convert_read_errors(path):
    return tf.io.gfile.isdir(path)


def listdir(path: str) -> list[str]:
  """Return the names of what is in a folder; empty if there is no folder."""
  if not isdir(path):
    return []
  if not is_remote(path):
    return os.listdir(path)
  with convert_read_errors(path):
    names = (name.rstrip('/') for name in tf.io.gfile.listdir(path))
    return [name for name in names if name]


def glob(pattern: str) -> list[str]:
  """Return the paths that match, in order; in a bucket by one listing."""
  if not is_remote(pattern):
    return sorted(glob_lib.glob(pattern))
  with contextlib.suppress(FileNotFoundError), convert_read_errors(pattern):
    return sorted(tf.io.gfile.glob(pattern))
  return []


def escape(path: str) -> str:
  """Return a pattern of `glob` that matches a path, whatever is in it."""
  return re.sub(r'([*?[])', r'[\1]', path)


def makedirs(path: str) -> None:
  """Make a folder where folders exist."""
  if not is_remote(path):
    os.makedirs(path, exist_ok=True)


def remove(path: str) -> None:
  """Delete a file, if it exists."""
  with contextlib.suppress(FileNotFoundError):
    if is_remote(path):
      with convert_read_errors(path):
        tf.io.gfile.remove(path)
    else:
      os.remove(path)


def remove_folder(path: str) -> None:
  """Delete a folder with all that is in it, if it exists."""
  if not is_remote(path):
    shutil.rmtree(path, ignore_errors=True)
    return
  # tf.io.gfile.rmtree takes a folder for none if the look for it fails once.
  level = os.path.join(escape(path), '*')
  while found := glob(level):
    for name in found:  # Of a folder there is no object.
      remove(name)
    level = os.path.join(level, '*')


def read_bytes(path: str) -> bytes:
  """Return the content of a file.

  Raises:
    FileNotFoundError: There is none.
    OSError: It is a folder, a pipe or a device, or cannot be read.
    InputError: The bucket cannot be read.
  """
  if not is_remote(path):
    mode = os.stat(path).st_mode
    # A pipe would be waited for, and a device has no end.
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
      raise OSError(errno.EINVAL, 'a pipe or a device', path)
    with open(path, 'rb') as file:
      return file.read()
  # GFile.read() without a size asks for the size first, by a request of its
  # own: two versions could be mixed up.
  with convert_read_errors(path), tf.io.gfile.GFile(path, 'rb') as file:
    parts = [file.read(_READ_BYTES)]
    while len(parts[-1]) == _READ_BYTES:
      parts.append(file.read(_READ_BYTES))
  return b''.join(parts)


def read_text(path: str) -> str:
  """Return the content of a text file, as `read_bytes` does."""
  return read_bytes(path).decode('utf-8').replace('\r\n', '\n')


def write_bytes(path: str, content: bytes) -> None:
  """Write a whole file, or leave the existing one unchanged.

  Raises:
    RunError: It cannot be written.
  """
  if is_remote(path):
    with convert_write_errors(path), tf.io.gfile.GFile(path, 'wb') as file:
      file.write(content)
    return
  with convert_write_errors(path), scratch.file(path) as file:
    file.write(content)


def write_text(path: str, text: str) -> None:
  """Write a whole file, as `write_bytes` does."""
  write_bytes(path, text.encode('utf-8'))


def write_json(path: str, value: Any) -> None:
  """Write JSON as `write_text` does; NaN is refused, as JSON has none."""
  write_text(path, json.dumps(value, indent=2, allow_nan=False) + '\n')


@contextlib.contextmanager
def atomic_write(path: str, mode: str = 'w') -> Iterator[IO]:
  """Open a file that takes its name once all of it is written.

  Args:
    path: Path of the file; parent folders are created.
    mode: `w` for text, `wb` for bytes.

  Raises:
    RunError: It cannot be written: inside, nothing but that is to be done.
  """
  if is_remote(path):
    with local_folder() as folder:
      partial = os.path.join(folder, 'partial')
      with convert_write_errors(path), scratch.file(partial, mode) as file:
        yield file
      upload(partial, path)
    return
  with convert_write_errors(path):
    makedirs(os.path.dirname(path) or '.')
    with scratch.file(path, mode) as file:
      yield file


@contextlib.contextmanager
def held(folder: str, remedy: str, at: str = 'at work') -> Iterator[None]:
  """Make a folder, and keep other processes from it, as `scratch.held`.

  One of a bucket cannot be kept so; its runs have a `lease` each.

  Raises:
    InputError: Another process is there.
    RunError: It cannot be written.
  """
  if is_remote(folder):
    yield
    return
  with contextlib.ExitStack() as stack:
    with convert_write_errors(folder):
      makedirs(folder)
      stack.enter_context(scratch.held(folder, remedy, at))
    yield


def upload(local: str, path: str) -> None:
  """Copy a file of this machine to a bucket, in one object.

  Raises:
    RunError: It cannot be written.
  """
  with convert_write_errors(path), open(local, 'rb') as source:
    with tf.io.gfile.GFile(path, 'wb') as file:
      file.write(b'')  # Else an empty file makes no object.
      shutil.copyfileobj(source, file, _READ_BYTES)


def upload_folder(local: str, path: str, last: Sequence[str]) -> None:
  """Copy a folder of this machine to a bucket.

  Args:
    local: The folder.
    path: What it is to be called in the bucket.
    last: Names of files that are written last, in this order. By the very last
      a reader knows that the others are complete.
  """
  names = [
    os.path.relpath(os.path.join(parent, name), local)
    for parent, _, found in os.walk(local)
    for name in sorted(found)
  ]
  names = sorted(set(names) - set(last)) + [n for n in last if n in names]
  for name in names:
    upload(os.path.join(local, name), os.path.join(path, name))


@contextlib.contextmanager
def local_folder() -> Iterator[str]:
  """Yield an empty folder of this machine; it is deleted at the end.

  That of a process which was killed is deleted when another one is asked for.
  """
  path = os.path.join(tempfile.gettempdir(), 'transfusion_tf')
  with contextlib.ExitStack() as stack:
    with convert_write_errors(path):
      folder = stack.enter_context(scratch.folder(path, 0o700))
    yield folder


def download(path: str, local: str) -> None:
  """Copy an object of a bucket to this machine.

  Raises:
    FileNotFoundError: There is none.
    InputError: The bucket cannot be read.
  """
  with convert_read_errors(path), tf.io.gfile.GFile(path, 'rb') as source:
    with open(local, 'wb') as file:
      while part := source.read(_READ_BYTES):
        file.write(part)


_copies: dict[str, str] = {}  # Path in a bucket -> copy on this machine.
_until_the_end = contextlib.ExitStack()
atexit.register(_until_the_end.close)


def process_folder() -> str:
  """Return an empty folder of this machine deleted with this process."""
  return _until_the_end.enter_context(local_folder())


def local_copy(path: str) -> str:
  """Return a path on this machine, for libraries that read no buckets.

  A file of this machine is its own copy. One of a bucket is copied once for
  each process, and the copy is deleted when that ends: for files that nobody
  changes.

  Raises:
    FileNotFoundError: There is no such object.
    InputError: The bucket cannot be read.
  """
  if not is_remote(path):
    return path
  if path not in _copies:
    folder = process_folder()
    copy = os.path.join(folder, os.path.basename(path))
    download(path, copy)
    _copies[path] = copy
  return _copies[path]
