"""Exact AUC and its interval, against scikit-learn and by simulation."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from transfusion_tf import metrics
from transfusion_tf.study import paired_bootstrap
from transfusion_tf.study import results


def _interval(metric, patients, num_samples=1000):
  weights = metrics.patient_weights(patients, num_samples)
  return metrics.intervals({'metric': metric}, weights)['metric']


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


@pytest.mark.parametrize('digits', [1, 6])  # With ties and without.
@pytest.mark.parametrize('whole', [True, False])
def test_auc_is_scikit_learns(digits, whole):
  rng = np.random.default_rng(0)
  labels = (rng.random(90) < 0.4).astype(float)
  scores = np.round(rng.random(90) + 0.3 * labels, digits)
  labels[::7] = np.nan
  weights = metrics.patient_weights([f'p{n // 2}' for n in range(90)], 60)
  weights = weights if whole else rng.random(weights.shape)
  known = ~np.isnan(labels)
  auc = metrics.Auc(labels, scores)
  np.testing.assert_allclose(
    auc.value(weights),
    [
      sklearn_metrics.roc_auc_score(
        labels[known], scores[known], sample_weight=w
      )
      for w in weights[:, known]
    ],
    rtol=0,
    atol=1e-12,
  )
  assert auc.value() == pytest.approx(
    sklearn_metrics.roc_auc_score(labels[known], scores[known]), abs=1e-12
  )


def test_auc_of_one_class_is_unknown():
  weights = np.array([[1, 1, 0], [1, 0, 1]])
  found = metrics.Auc(np.array([1.0, 1, 0]), np.arange(3.0)).value(weights)
  assert np.isnan(found[0]) and found[1] == 1 - 1


def test_patients_are_drawn_whole():
  weights = metrics.patient_weights(['a', 'b', 'a', 'c', 'b'], 50)
  np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
  np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
  assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


@pytest.mark.parametrize('label', [True, False])
def test_one_class_has_no_auc(label):
  assert np.isnan(metrics.Auc(np.full(5, label), np.arange(5.0)).value())


def test_unknown_labels_are_left_out():
  labels, scores = _scores(np.random.default_rng(2))
  known = np.arange(len(labels)) % 2 == 0
  assert (
    metrics.Auc(np.where(known, labels, np.nan), scores).value()
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
  alone = _interval(metrics.Auc(labels, scores), np.arange(150))
  twice = metrics.Auc(np.tile(labels, 2), np.tile(scores, 2))
  paired = _interval(twice, np.tile(np.arange(150), 2))
  naive = _interval(twice, np.arange(300))
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
    low, high = _interval(
      metrics.Auc(labels, scores), np.arange(150), num_samples=100
    )
    held += low <= truth <= high
  assert held >= 33


def test_without_a_value_the_interval_is_nan():
  undefined = metrics.Auc(np.zeros(5, bool), np.arange(5.0))
  assert np.isnan(_interval(undefined, np.arange(5))).all()


def _metrics(rng, count=300):
  """Metrics of all kinds, of which one is often undefined, and the parts."""
  aucs = {}
  for number in range(9):  # More than numpy adds one after the other.
    labels, scores = _scores(rng, count)
    labels = np.where(rng.random(count) < 0.1, np.nan, labels)
    aucs[f'finding {number}'] = metrics.Auc(labels, scores.astype(np.float32))
  rare = np.arange(count) == 7
  aucs['rare'] = metrics.Auc(rare, rng.normal(size=count))
  return {
    'mean': metrics.Average(tuple(aucs.values())),
    **aucs,
    'top1': metrics.Mean(rng.random(count) < 0.8),
  }


def _one_by_one(metric, patients, num_samples):
  """The interval's definition: a draw and a value at a time."""
  _, patient = np.unique(patients, return_inverse=True)
  count = patient.max() + 1
  rng = np.random.default_rng(0)
  values = np.array(
    [
      metric.value(rng.multinomial(count, np.full(count, 1 / count))[patient])
      for _ in range(num_samples)
    ]
  )
  tail = (1 - 0.95) / 2  # Not 0.025, in the last digit.
  return tuple(np.quantile(values[~np.isnan(values)], [tail, 1 - tail]))


def test_shared_resamples_give_each_interval_to_the_last_digit(monkeypatch):
  rng = np.random.default_rng(6)
  patients = rng.integers(0, 120, 300).astype(str)
  found = _metrics(rng)
  expected = {k: _one_by_one(m, patients, 50) for k, m in found.items()}
  for block in (metrics._BLOCK, 300 * 7):  # Rows of 50: all and 7 at a time.
    monkeypatch.setattr(metrics, '_BLOCK', block)
    weights = metrics.patient_weights(patients, 50)
    assert metrics.intervals(found, weights) == expected


def test_the_mean_computes_no_auc_again(monkeypatch):
  found = _metrics(np.random.default_rng(7))
  asked, value = [], metrics.Auc.value

  def count(self, weights=None):
    asked.append(self)
    return value(self, weights)

  monkeypatch.setattr(metrics.Auc, 'value', count)
  metrics.resampled(found, np.ones((1, 300)))
  assert len(asked) == len(set(asked)) == 10


def test_columns_give_a_metric_again():
  found = _metrics(np.random.default_rng(8))
  columns = {'image_id': np.arange(300), 'finding 0': np.zeros(300)}
  for name, metric in found.items():
    columns |= metric.columns(name)
  table = pd.DataFrame(columns)
  weights = metrics.patient_weights(np.arange(300), 20)
  for name, metric in found.items():
    again = metrics.from_columns(table, name)
    assert type(again) is type(metric)
    assert again.value() == metric.value()
    np.testing.assert_array_equal(again.value(weights), metric.value(weights))
  for name in ('finding', 'top5', 'image_id'):
    with pytest.raises(ValueError, match=f'no columns of {name}'):
      metrics.from_columns(table, name)
  with pytest.raises(ValueError, match='no columns of mean'):
    metrics.from_columns(table[['top1:value']], 'mean')


def test_a_metric_of_ones_own_has_a_paired_interval(monkeypatch):
  monkeypatch.setattr(metrics, '_KINDS', dict(metrics._KINDS))

  @metrics.register('label', 'guess')
  @dataclasses.dataclass
  class Sensitivity:
    labels: np.ndarray
    guesses: np.ndarray
    undefined = ''

    def value(self, weights=None):
      weights = np.ones(len(self.labels)) if weights is None else weights
      return weights @ (self.labels * self.guesses) / (weights @ self.labels)

    def columns(self, name):
      return {f'{name}:label': self.labels, f'{name}:guess': self.guesses}

  rng = np.random.default_rng(9)
  labels = (np.arange(200) % 2).astype(float)
  groups = []
  for hit in (0.9, 0.6):
    guesses = np.where(rng.random(200) < hit, labels, 1 - labels)
    metric = Sensitivity(labels, guesses)
    auc = metrics.Auc(labels, guesses)
    weights = metrics.patient_weights(np.arange(200))
    found = metrics.summaries({'own': metric, 'auc': auc}, weights)
    run = results.Result('key', 'dir', None, {'test': found}, None)
    ids = np.arange(200).astype(str)
    table = {'image_id': ids, 'patient_id': ids}
    table |= metric.columns('own') | auc.columns('auc')
    run.__dict__['scores'] = pd.DataFrame(table)
    assert found['own']['low'] < metric.value() < found['own']['high']
    groups.append([run])
  for name in ('own', 'auc'):
    difference = paired_bootstrap.Resamples().difference([1, -1], groups, name)
    assert 0 < difference.low < difference.value < difference.high
