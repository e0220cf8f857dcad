"""Exact AUC and its interval, against scikit-learn and by simulation."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from transfusion_tf import metrics


def _scores(rng, count=200):
  labels = rng.random(count) < 0.3
  return labels, np.round(rng.normal(size=count) + labels, 1)  # With ties.


def test_auc_is_the_rank_statistic():
  labels, scores = _scores(np.random.default_rng(0))
  pairs = scores[labels][:, None] - scores[~labels][None]
  by_hand = np.mean((pairs > 0) + 0.5 * (pairs == 0))
  assert metrics.Auc(labels, scores).value() == pytest.approx(
    by_hand, abs=1e-12
  )


def test_integer_weights_repeat_examples():
  rng = np.random.default_rng(1)
  labels, scores = _scores(rng)
  counts = rng.integers(0, 3, len(labels))
  repeated = sklearn_metrics.roc_auc_score(
    np.repeat(labels, counts), np.repeat(scores, counts)
  )
  assert metrics.Auc(labels, scores).value(counts) == pytest.approx(repeated)


@pytest.mark.parametrize('label', [True, False])
def test_one_class_has_no_auc(label):
  assert np.isnan(metrics.Auc(np.full(5, label), np.arange(5.0)).value())


def test_unknown_labels_are_left_out():
  labels, scores = _scores(np.random.default_rng(2))
  known = np.arange(len(labels)) % 2 == 0
  assert (
    metrics.Auc(labels, scores, known).value()
    == metrics.Auc(labels[known], scores[known]).value()
  )


def test_the_average_leaves_out_what_is_undefined():
  labels, scores = _scores(np.random.default_rng(3))
  defined = metrics.Auc(labels, scores)
  undefined = metrics.Auc(np.zeros(5, bool), np.arange(5.0))
  assert metrics.Average((defined, undefined)).value() == defined.value()
  assert np.isnan(metrics.Average((undefined,)).value())


def test_the_interval_covers_and_widens_with_clusters():
  rng = np.random.default_rng(4)
  labels, scores = _scores(rng, 150)
  alone = metrics.interval(metrics.Auc(labels, scores), np.arange(150))
  twice = metrics.Auc(np.tile(labels, 2), np.tile(scores, 2))
  paired = metrics.interval(twice, np.tile(np.arange(150), 2))
  naive = metrics.interval(twice, np.arange(300))
  assert alone[0] < metrics.Auc(labels, scores).value() < alone[1]
  # The same eye twice is no more evidence; counted as two, it pretends to be.
  assert paired == pytest.approx(alone)
  assert naive[1] - naive[0] < 0.85 * (paired[1] - paired[0])


def test_the_intervals_coverage():
  """95 % intervals of known AUC (0.76 for a shift of 1) hold it about so."""
  rng = np.random.default_rng(5)
  truth, held = 0.7602, 0
  for _ in range(40):
    labels = rng.random(150) < 0.4
    scores = rng.normal(size=150) + labels
    low, high = metrics.interval(
      metrics.Auc(labels, scores), np.arange(150), num_samples=100
    )
    held += low <= truth <= high
  assert held >= 33


def test_without_a_value_the_interval_is_nan():
  undefined = metrics.Auc(np.zeros(5, bool), np.arange(5.0))
  assert np.isnan(metrics.interval(undefined, np.arange(5))).all()
