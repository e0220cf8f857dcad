"""The state of a study's folder, without importing TensorFlow."""

import os

from transfusion_tf import storage

_RESULT = 'result.json'  # `run_folder.RESULT`.


def is_finished(root: str, key: str) -> bool:
  """Return whether the run at ROOT/KEY has its result."""
  return storage.exists(os.path.join(root, key, _RESULT))
