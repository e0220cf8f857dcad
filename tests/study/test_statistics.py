"""Intervals of the study, against scipy and chance."""

import numpy as np
import pytest
from scipy import stats

from transfusion_tf.init import gabor
from transfusion_tf.paper import gabor_energy
from transfusion_tf.study import statistics


def test_contrast_of_two_is_the_pooled_t_test():
  a, b = [0.71, 0.74, 0.69], [0.66, 0.70, 0.65, 0.68]
  found = statistics.contrast([1, -1], [a, b])
  interval = stats.ttest_ind(a, b).confidence_interval(0.95)
  assert found.value == pytest.approx(np.mean(a) - np.mean(b))
  assert (found.low, found.high) == pytest.approx(tuple(interval))


def test_contrast_with_known_variance_widens():
  samples = [[0.71, 0.74, 0.69], [0.66, 0.70, 0.65]]
  plain = statistics.contrast([1, -1], samples)
  wider = statistics.contrast([1, -1], samples, 0.03**2)
  assert wider.high - wider.low > plain.high - plain.low
  assert wider.high - wider.value >= 1.95 * 0.03


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


def test_slope_is_scipys():
  x, y = np.arange(5.0), np.array([0.0, 1.1, 1.9, 3.2, 3.9])
  found = statistics.slope(x, y)
  assert found.value == pytest.approx(stats.linregress(x, y).slope)
  assert found.low < found.value < found.high
  assert not statistics.slope([1, 2], [1, 2]).known


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
