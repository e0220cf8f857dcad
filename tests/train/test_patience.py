"""Whether patience cuts what is merely slow, on made-up validation sets."""

import numpy as np
import pytest
from scipy import stats

from transfusion_tf import metrics
from transfusion_tf.train import history
from transfusion_tf.train import loop

_EPOCHS = 30
_PATIENCE = 5
_BEST_AUC = 0.85


def _fast(epoch):
  return 0.5 + (_BEST_AUC - 0.5) * (1 - np.exp(-epoch / 3))


def _slow(epoch):
  """Chance for a quarter of the run, and as good in the end."""
  return 0.5 + (_BEST_AUC - 0.5) / (1 + np.exp(-(epoch - 15) / 1.5))


def _falling(epoch):
  """It overfits after a third of the run."""
  return _fast(epoch) - 0.02 * max(epoch - 10, 0)


def _ends(curve, num_images, rule, tmp_path, seed):
  """Return the last epoch, and the AUC of the checkpoint that is taken.

  What makes an image hard is mostly the same for all epochs.
  """
  rng = np.random.default_rng(seed)
  labels = np.arange(num_images) % 2
  hard = rng.normal(size=num_images)
  rows = history.History(str(tmp_path / 'metrics.jsonl'), 'auc', is_chief=False)
  schedule = loop.Schedule(_EPOCHS, 1, 1, patience=_PATIENCE, **rule)
  for epoch in range(_EPOCHS + 1):
    distance = np.sqrt(2) * stats.norm.ppf(curve(epoch))
    noise = rng.normal(size=num_images)
    scores = distance * labels + np.sqrt(0.7) * hard + np.sqrt(0.3) * noise
    auc = metrics.Auc(labels, scores)
    stderr = auc.effects(np.arange(num_images)).stddev
    rows.append(
      {'step': epoch, 'validation': {'auc': auc.value()}, 'stderr': stderr}
    )
    if schedule.is_over(rows):
      break
  return epoch, curve(rows.best['step'])


def _mean_ends(curve, num_images, rule, tmp_path, repeats):
  found = [_ends(curve, num_images, rule, tmp_path, n) for n in range(repeats)]
  return np.array(found)


_OLD = {}
_NEW = {'patience_stderr': 1.0, 'min_steps': _EPOCHS // 3}


@pytest.mark.slow
@pytest.mark.parametrize('num_images', [40, 150])
def test_a_slow_start_that_ends_as_good_is_not_cut(tmp_path, num_images):
  old, new = (
    _mean_ends(_slow, num_images, rule, tmp_path, 400) for rule in (_OLD, _NEW)
  )
  fast = _mean_ends(_fast, num_images, _NEW, tmp_path, 400)
  # By patience alone most of these runs end before they have learned.
  assert np.mean(old[:, 1] < _BEST_AUC - 0.1) > 0.5
  assert np.mean(new[:, 1] < _BEST_AUC - 0.1) < 0.05
  # So the starts compare as they are: the same in the end.
  assert abs(np.mean(new[:, 1]) - np.mean(fast[:, 1])) < 0.02


@pytest.mark.slow
def test_a_run_that_overfits_still_ends_early(tmp_path):
  ends = _mean_ends(_falling, 400, _NEW, tmp_path, 100)
  assert np.mean(ends[:, 0] < _EPOCHS) > 0.95
