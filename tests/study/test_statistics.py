"""Intervals of the study, against scipy and chance."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from transfusion_tf.init import gabor
from transfusion_tf.paper import gabor_energy
from transfusion_tf.study import statistics


def test_contrast_of_two_is_welchs_test():
  a, b = [0.71, 0.74, 0.69], [0.66, 0.70, 0.65, 0.68]
  found = statistics.contrast([1, -1], [a, b])
  welch = stats.ttest_ind(a, b, equal_var=False)
  assert found.value == pytest.approx(np.mean(a) - np.mean(b))
  assert found.interval() == pytest.approx(tuple(welch.confidence_interval()))
  assert found.p_value(above=0) == pytest.approx(welch.pvalue, rel=1e-6)
  assert found.p_value(below=0) == 1


def test_patients_widen_the_interval():
  samples = [[0.71, 0.74, 0.69], [0.66, 0.70, 0.65]]
  plain = statistics.contrast([1, -1], samples)
  patients = statistics.Variance(0.03**2, 50)
  wider = statistics.contrast([1, -1], samples, patients)
  assert wider.high - wider.low > plain.high - plain.low
  assert wider.high - wider.value >= 1.95 * 0.03
  alone = statistics.contrast([1, -1], [[0.7], [0.6]], patients)
  half = stats.t.ppf(0.975, 50) * 0.03
  assert alone.patients_only == pytest.approx((0.1 - half, 0.1 + half))


def test_the_p_value_is_the_level_at_which_the_interval_just_fits():
  samples = [[0.71, 0.74, 0.69], [0.66, 0.70, 0.65]]
  found = statistics.contrast([1, -1], samples, statistics.Variance(1e-4, 50))
  for ends in ({'above': 0.0}, {'above': -0.2, 'below': 0.2}, {'below': 0.06}):
    p = found.p_value(**ends)
    low, high = found.interval(1 - p)
    touched = [low - ends.get('above', -9), ends.get('below', 9) - high]
    assert min(touched) == pytest.approx(0, abs=1e-8)


def test_a_value_on_the_very_end_has_no_p_value():
  for distance in (-1e-9, 0.0, 1e-17, 1e-14):
    estimate = statistics.Estimate(0.02 + distance, 1e-4, 4)
    assert estimate.p_value(above=0.02) == pytest.approx(1, abs=1e-6)
    assert estimate.p_value(below=0.02) == pytest.approx(1, abs=1e-6)


def test_bounds_are_not_crossed():
  """What is known to be at least so large is not shown to be smaller."""
  found = statistics.contrast([1, -1], [[1.0, 1.1], [2.0, 2.1]])
  bound = dataclasses.replace(found, at_least=True)
  assert found.p_value(below=0) < 0.05
  assert bound.p_value(below=0) == 1 and bound.high == np.inf
  assert bound.p_value(above=-2) == found.p_value(above=-2)


def test_the_jackknife_of_pairs_has_the_network_as_its_unit():
  """A mean over pairs that share networks varies as its networks do."""
  rng = np.random.default_rng(0)
  networks = rng.normal(size=6)

  def mean_of_pairs(groups):
    pairs = itertools.combinations(groups[0], 2)
    return float(np.mean([networks[i] + networks[j] for i, j in pairs]))

  found = statistics.jackknife(mean_of_pairs, [range(6)])
  assert found.value == pytest.approx(2 * networks.mean())
  assert found.variance == pytest.approx(4 * networks.var(ddof=1) / 6)
  assert found.freedom == 5


def test_holm():
  assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx(
    [0.03, 0.06, 0.06]
  )
  assert statistics.holm([0.5, 0.9]) == [1, 1]
  assert statistics.holm([]) == []


def test_one_seed_has_no_interval():
  assert not statistics.contrast([1, -1], [[0.7], [0.6]]).known


def test_contrast_covers_the_truth():
  rng = np.random.default_rng(0)
  covered = [
    found.low <= 0.02 <= found.high
    for found in (
      statistics.contrast(
        [1, -1], [rng.normal(0.02, 0.01, 3), rng.normal(0, 0.01, 3)]
      )
      for _ in range(600)
    )
  ]
  assert 0.92 <= np.mean(covered) <= 0.98


def test_r_squared():
  x = np.arange(6.0)
  assert statistics.r_squared(x, 3 - 2 * x) == pytest.approx(1)
  assert np.isnan(statistics.r_squared(x, np.ones(6)))


def test_gabor_likeness_knows_gabors_from_noise():
  rng = np.random.default_rng(0)
  bank = np.moveaxis(gabor.bank()[16:], 0, -1)[:, :, None]  # Not the blobs.
  bank = np.broadcast_to(bank, (7, 7, 3, 48))
  noise = rng.normal(size=(7, 7, 3, 48))
  assert gabor_energy.energy_fractions(bank).min() > 0.7
  assert gabor_energy.energy_fractions(noise).max() < 0.5
  assert gabor_energy.energy_fractions(np.ones((7, 7, 3, 1)))[0] < 0.01
  assert gabor_energy.mean(5 * bank) == pytest.approx(gabor_energy.mean(bank))
