"""Files on a local disk that are there whole or not at all."""

from collections.abc import Iterator
import contextlib
import os
from typing import IO


@contextlib.contextmanager
def writing(path: str, mode: str = 'w') -> Iterator[IO]:
  """A file that takes its name once all of it is written.

  Args:
    path: Its name; folders above it are made.
    mode: `w` for text, `wb` for bytes.
  """
  os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
  partial = f'{path}.partial'
  with open(partial, mode, encoding=None if 'b' in mode else 'utf-8') as file:
    yield file
  os.replace(partial, path)
