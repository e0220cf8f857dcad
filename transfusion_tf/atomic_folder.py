"""Folders that exist complete or not at all, on a disk or in a bucket."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import os

from transfusion_tf import scratch
from transfusion_tf import storage


@contextlib.contextmanager
def atomic(
  path: str, check: Callable[[], None], last: Sequence[str]
) -> Iterator[str]:
  """Yield a folder that replaces the one at `path` if the block succeeds.

  Args:
    path: The folder; its parent is made.
    check: Called when the new folder is complete: it raises if what is at
      `path` then must not be replaced.
    last: Names of files that are written last in a bucket, where a folder is
      complete once the very last one is there.

  Raises:
    RunError: It cannot be written.
  """
  if storage.is_remote(path):
    with storage.local_folder() as local:
      yield local
      storage.remove(os.path.join(path, last[-1]))
      storage.remove_folder(path)
      storage.upload_folder(local, path, last)
    return
  with contextlib.ExitStack() as stack:
    with storage.convert_write_errors(path):
      storage.makedirs(os.path.dirname(path))
      partial = stack.enter_context(scratch.folder(path))
    yield partial
    check()  # Another may have been faster.
    with storage.convert_write_errors(path):
      replaced = stack.enter_context(scratch.folder(path))
      _replace(path, partial, os.path.join(replaced, 'folder'))


def _replace(path, partial, replaced):
  """Rename a folder `path`, and one of that name `replaced`."""
  if not storage.listdir(path):
    os.rename(partial, path)
    return
  os.rename(path, replaced)
  try:
    os.rename(partial, path)
  except OSError:
    os.rename(replaced, path)
    raise
