"""Kappa and confusion of grades, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from transfusion_tf import metrics


def _grades(seed, patients=80, noise=0.9):
  """True and given grades of two eyes a patient, whose errors are alike."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), 2)
  true = rng.choice(5, len(patient), p=[0.6, 0.15, 0.1, 0.1, 0.05])
  error = rng.normal(0, noise, patients)[patient]
  error = error + rng.normal(0, noise / 2, len(patient))
  return true, np.clip(np.round(true + error), 0, 4).astype(int), patient


@pytest.mark.parametrize('seed', range(4))
def test_kappa_is_scikit_learns(seed):
  true, given, _ = _grades(seed)
  weights = np.random.default_rng(seed).integers(0, 4, (3, len(true)))
  kappa = metrics.Kappa(true, given)
  expected = sklearn_metrics.cohen_kappa_score(true, given, weights='quadratic')
  assert kappa.value() == pytest.approx(expected, abs=1e-12)
  for value, weight in zip(kappa.value(weights * 1.0), weights, strict=True):
    drawn = np.repeat(np.arange(len(true)), weight)
    expected = sklearn_metrics.cohen_kappa_score(
      true[drawn], given[drawn], weights='quadratic'
    )
    assert value == pytest.approx(expected, abs=1e-12)


def test_effects_are_those_of_leaving_patients_out():
  true, given, patient = _grades(0, patients=400)
  kappa = metrics.Kappa(true, given)
  formula = kappa.effects(patient)
  jackknife = metrics.Metric.effects(kappa, patient)
  assert formula.stddev == pytest.approx(jackknife.stddev, rel=0.02)
  assert np.corrcoef(formula.values, jackknife.values)[0, 1] > 0.999


def test_intervals_cover_the_kappa_of_the_population():
  true, given, _ = _grades(99, patients=100_000)
  population = metrics.Kappa(true, given).value()
  covered = 0
  for seed in range(200):
    true, given, patient = _grades(1000 + seed)
    low, high = metrics.Kappa(true, given).interval(patient)
    covered += low <= population <= high
  assert 180 <= covered <= 198  # 95 % of 200, and three standard errors.


def test_the_ends_of_kappa():
  true, _, patient = _grades(0)
  perfect = metrics.Kappa(true, true)
  low, high = perfect.interval(patient)
  assert perfect.value() == 1
  assert 0.9 < low < 1 == high
  constant = metrics.Kappa(true, np.zeros_like(true))
  assert constant.value() == 0 and not constant.undefined
  assert metrics.Kappa(true * 0, true * 0).undefined
  low, high = metrics.Kappa(true, true[::-1]).interval(patient)
  assert -1 < low < 0.3 and low < high < 1


def test_kappa_is_read_back_from_its_columns():
  true, given, _ = _grades(3)
  kappa = metrics.Kappa(true, given)
  table = {
    name: np.asarray(column) for name, column in kappa.columns('kappa').items()
  }
  read = metrics.from_columns(table, 'kappa')
  assert isinstance(read, metrics.Kappa)
  assert read.value() == kappa.value()


def test_confusion_has_a_row_for_each_true_class():
  names = ['benign', 'none', 'malignant']
  true = ['benign', 'benign', 'malignant', 'malignant']
  given = ['benign', 'malignant', 'malignant', 'malignant']
  found = metrics.agreement.confusion(names, true, given)
  assert found == {
    'names': names,
    'counts': [[1, 0, 1], [0, 0, 0], [0, 0, 2]],
  }
