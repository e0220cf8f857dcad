"""How TensorFlow is imported."""

import gc

import pytest

from transfusion_tf import startup


@pytest.fixture
def _enabled():
  yield
  gc.enable()


@pytest.mark.parametrize('is_enabled', [True, False])
def test_imports_are_not_collected(is_enabled, _enabled):
  """They stay until the end; what comes after is collected as before."""
  (gc.enable if is_enabled else gc.disable)()
  gc.unfreeze()
  with startup._without_collection():
    assert not gc.isenabled()
    kept = [[] for _ in range(1000)]
  assert gc.isenabled() == is_enabled
  assert gc.get_freeze_count() > len(kept)
  assert not any(kept is other for other in gc.get_objects())
