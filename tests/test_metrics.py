"""Exact AUC and its interval, against scikit-learn and by simulation."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from transfusion_tf import metrics
from transfusion_tf.study import paired
from transfusion_tf.study import results


def _interval(metric, patients):
  return metric.interval(metrics.patient_numbers(patients))


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
  weights = rng.integers(0, 3, (60, 90)) if whole else rng.random((60, 90))
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


def _delong(labels, scores):
  """DeLong's variance by its definition: each pair of examples is compared."""
  pairs = scores[labels][:, None] - scores[~labels][None]
  wins = (pairs > 0) + 0.5 * (pairs == 0)
  by_positive, by_negative = wins.mean(axis=1), wins.mean(axis=0)
  return by_positive.var(ddof=1) / len(by_positive) + by_negative.var(
    ddof=1
  ) / len(by_negative)


def test_of_independent_images_the_variance_is_delongs():
  labels, scores = _scores(np.random.default_rng(4))
  effects = metrics.Auc(labels, scores).effects(np.arange(200))
  assert effects.stddev**2 == pytest.approx(_delong(labels, scores), rel=1e-12)
  assert effects.most == min(labels.sum(), (~labels).sum()) - 1
  assert 1 < effects.freedom <= effects.most


def test_formulas_agree_with_the_jackknife():
  """Which leaves out whole patients; formulas correct for few of them."""
  rng = np.random.default_rng(5)
  patient = np.arange(600) // 2
  found = _metrics(rng, 600)
  del found['rare']  # Without its one positive example it is not defined.
  found['mean'] = metrics.Average(tuple(found.values())[1:-1])
  for metric in found.values():
    formula = metric.effects(patient)
    jackknife = metrics.Metric.effects(metric, patient)
    correlation = np.corrcoef(formula.values, jackknife.values)[0, 1]
    assert correlation > 0.99
    assert formula.stddev == pytest.approx(jackknife.stddev, rel=0.05)


def test_where_nobody_errs_the_bound_is_clopper_and_pearsons():
  low, high = _interval(metrics.Mean(np.ones(20)), np.arange(20))
  assert high == 1
  assert low == pytest.approx(stats.binomtest(20, 20).proportion_ci(0.95).low)
  perfect = metrics.Auc(np.arange(30) >= 20, np.arange(30.0))
  low, high = _interval(perfect, np.arange(30))
  assert high == 1 and 0.6 < low < 0.75  # Ten patients are positive.
  worst = metrics.Auc(np.arange(30) < 20, np.arange(30.0))
  assert _interval(worst, np.arange(30)) == pytest.approx((0, 1 - low))


def test_one_patient_of_a_class_has_no_interval():
  labels = np.arange(20) < 2
  auc = metrics.Auc(labels, np.random.default_rng(0).normal(size=20))
  assert np.isnan(_interval(auc, np.arange(20) // 2)).all()
  found = metrics.summaries({'auc': auc}, np.arange(20) // 2)['auc']
  assert found['value'] is not None and found['low'] is None


def test_without_a_value_the_interval_is_nan():
  undefined = metrics.Auc(np.zeros(5, bool), np.arange(5.0))
  found = metrics.summaries({'auc': undefined}, np.arange(5))['auc']
  assert (
    found['value'] is found['low'] is None and 'positive' in found['undefined']
  )


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
    'top5': metrics.Accuracy(rng.random(count) < 0.8, rng.random(count) < 0.3),
  }


def test_columns_give_a_metric_again():
  found = _metrics(np.random.default_rng(8))
  columns = {'image_id': np.arange(300), 'finding 0': np.zeros(300)}
  for name, metric in found.items():
    columns |= metric.columns(name)
  table = pd.DataFrame(columns)
  weights = np.random.default_rng(0).random((20, 300))
  for name, metric in found.items():
    again = metrics.from_columns(table, name)
    assert type(again) is type(metric)
    assert again.value() == metric.value()
    np.testing.assert_array_equal(again.value(weights), metric.value(weights))
    assert again.chance == metric.chance
  for name in ('finding', 'top3', 'image_id'):
    with pytest.raises(ValueError, match=f'no columns of {name}'):
      metrics.from_columns(table, name)
  with pytest.raises(ValueError, match='no columns of mean'):
    metrics.from_columns(table[['top1:value']], 'mean')


def test_a_metric_of_ones_own_has_a_paired_interval(monkeypatch):
  kinds = dict(metrics.base.KINDS)
  monkeypatch.setattr(metrics.base, 'KINDS', kinds)

  @metrics.register('label', 'guess')
  @dataclasses.dataclass
  class Sensitivity(metrics.Metric):
    labels: np.ndarray
    guesses: np.ndarray
    undefined = ''
    is_fraction = True

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
    found = metrics.summaries({'own': metric, 'auc': auc}, np.arange(200))
    run = results.Result('key', 'dir', None, {'test': found}, None)
    ids = np.arange(200).astype(str)
    table = {'image_id': ids, 'patient_id': ids}
    table |= metric.columns('own') | auc.columns('auc')
    run.__dict__['scores'] = pd.DataFrame(table)
    assert found['own']['low'] < metric.value() < found['own']['high']
    groups.append([run, run])
  for name in ('own', 'auc'):
    difference = paired.Comparer().difference([1, -1], groups, name)
    assert 0 < difference.low < difference.value < difference.high
