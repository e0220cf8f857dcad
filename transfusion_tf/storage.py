"""Files that exist complete or not at all, on a disk or in a bucket."""

from collections.abc import Iterator
import contextlib
import json
import os
import re
from typing import IO, Any

from etils import epy

from transfusion_tf import errors

with epy.lazy_imports():  # Listing runs does without.
  import tensorflow as tf


def reason(error: Exception) -> str:
  """Return the reason of an error, without TensorFlow's notes on its graph."""
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  lines = [line for line in str(error).splitlines() if line.strip()]
  lines = lines or [type(error).__name__]
  text = re.sub(r'^\{\{.*?\}\} | \[Op:.*?\]', '', lines[0])
  return text.rpartition('; ')[2]


@contextlib.contextmanager
def convert_write_errors(path: str) -> Iterator[None]:
  """Convert errors of writing `path` into one line.

  Raises:
    RunError: Writing failed: the disk is full or read-only, or permission is
      missing.
  """
  try:
    yield
  except (OSError, tf.errors.OpError) as error:
    raise errors.RunError(
      f'{path} cannot be written ({reason(error)}); what was saved before is '
      'intact: make room and start the same command again'
    ) from None


def write_text(path: str, text: str) -> None:
  """Write a whole file, or leave the existing one unchanged.

  Raises:
    RunError: It cannot be written.
  """
  partial = f'{path}.partial'
  with convert_write_errors(path):
    try:
      with tf.io.gfile.GFile(partial, 'w') as file:
        file.write(text)
      tf.io.gfile.rename(partial, path, overwrite=True)
    except (OSError, tf.errors.OpError):
      with contextlib.suppress(OSError, tf.errors.OpError):
        tf.io.gfile.remove(partial)
      raise


def write_json(path: str, value: Any) -> None:
  """Write JSON as `write_text` does; NaN is refused, as JSON has none."""
  write_text(path, json.dumps(value, indent=2, allow_nan=False) + '\n')


@contextlib.contextmanager
def atomic_write(path: str, mode: str = 'w') -> Iterator[IO]:
  """Open a local file that takes its name once all of it is written.

  Args:
    path: Path of the file; parent folders are created.
    mode: `w` for text, `wb` for bytes.
  """
  os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
  partial = f'{path}.partial'
  with open(partial, mode, encoding=None if 'b' in mode else 'utf-8') as file:
    yield file
  os.replace(partial, path)
