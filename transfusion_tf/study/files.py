"""The state of a study's folder, without importing TensorFlow."""

from collections.abc import Collection, Iterable
import os

from transfusion_tf import storage

_RESULT = 'result.json'  # `run_folder.RESULT`.


def is_finished(root: str, key: str) -> bool:
  """Return whether the run at ROOT/KEY has its result."""
  return storage.exists(os.path.join(root, key, _RESULT))


def unfinished(
  root: str, keys: Iterable[str], failed: Collection[str] = ()
) -> list[str]:
  """Return the runs without a result that have not failed."""
  return [k for k in keys if k not in failed and not is_finished(root, k)]
