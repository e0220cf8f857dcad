"""What would settle a study, against studies that had it."""

import numpy as np
import pytest

from transfusion_tf.study import decision
from transfusion_tf.study import power
from transfusion_tf.study import statistics

MARGIN, PATIENTS = 1.0, 60


class _World:
  """Networks of two starts, and patients who are hard for some of them."""

  def __init__(self, rng, seeds, patients, shared, stddevs=(0.6, 0.6)):
    """Draw the most seeds and patients that a study may have.

    Args:
      rng: Generator.
      seeds: Seeds of each start.
      patients: Test patients.
      shared: Standard deviation of what a patient is worth to a start.
      stddevs: Standard deviations of the networks of the two.
    """
    truth = rng.uniform(-3 * MARGIN, 3 * MARGIN)
    networks = rng.normal(0, np.reshape(stddevs, [2, 1, 1]), [2, seeds, 1])
    patient = 2 * rng.normal(size=[2, seeds, patients])
    self._scores = networks + patient
    self._scores[0] += truth + rng.normal(0, shared, patients)

  def pilot(self, seeds, patients=PATIENTS):
    """What a study of the first seeds and patients knows."""
    scores = self._scores[:, :seeds, :patients]
    difference = scores[0].mean(0) - scores[1].mean(0)

    def variance(values):
      return values.var(ddof=1) / patients

    estimate = statistics.contrast(
      [1, -1],
      scores.mean(2),
      statistics.Variance(variance(difference), patients - 1),
    )
    one = np.mean([variance(a - b) for a, b in scores.transpose(1, 0, 2)])
    own = (one - variance(difference)) / (1 - 1 / seeds)
    return power.Pilot(
      estimate, seeds, max(variance(difference) - max(own, 0) / seeds, 0)
    )


def _is_decided(pilot):
  return decision.judge(pilot.estimate, MARGIN) != decision.OPEN


def _calibration(seeds, shared, count, rng, stddevs=(0.6, 0.6)):
  """What is told of studies that are open, and what share was decided.

  Each grows to the seeds that it is told to need, if it is told any.
  """
  told, happened = [], []
  while len(told) < count:
    world = _World(rng, power.MOST_SEEDS, PATIENTS, shared, stddevs)
    pilot = world.pilot(seeds)
    if _is_decided(pilot):
      continue
    number = power.fewest(
      lambda n, pilot=pilot: pilot.verdict_chance(MARGIN, n),
      power.more_seeds(seeds),
    )
    if number:
      told.append(pilot.verdict_chance(MARGIN, number))
      happened.append(_is_decided(world.pilot(number)))
  return np.mean(told), np.mean(happened)


def _patients_calibration(seeds, shared, count, rng):
  """The same of the test patients that it is told to need."""
  told, happened = [], []
  while len(told) < count:
    world = _World(rng, seeds, int(PATIENTS * power.MOST_PATIENTS), shared)
    pilot = world.pilot(seeds)
    if _is_decided(pilot):
      continue
    factor = power.fewest(
      lambda f, pilot=pilot: pilot.verdict_chance(MARGIN, seeds, f),
      power.more_patients(),
    )
    if factor:
      told.append(pilot.verdict_chance(MARGIN, seeds, factor))
      grown = world.pilot(seeds, int(PATIENTS * factor))
      happened.append(_is_decided(grown))
  return np.mean(told), np.mean(happened)


# Two groups of one variance, which is not assumed, are decided more often than
# is said; never much less often.
_LESS, _MORE = 0.05, 0.13


@pytest.mark.parametrize('shared', [0.0, 3.0])
def test_so_many_seeds_decide_as_often_as_said(shared):
  told, happened = _calibration(3, shared, 150, np.random.default_rng(0))
  assert -_LESS - 0.04 < happened - told < _MORE + 0.04


def test_so_many_patients_decide_as_often_as_said():
  told, happened = _patients_calibration(5, 4.0, 60, np.random.default_rng(0))
  assert -_LESS - 0.06 < happened - told < _MORE + 0.06


@pytest.mark.slow
@pytest.mark.parametrize('stddevs', [(0.6, 0.6), (0.2, 0.9)])
@pytest.mark.parametrize('shared', [0.0, 2.0, 4.0])
@pytest.mark.parametrize('seeds', [2, 3, 5, 10])
def test_seeds_are_calibrated(seeds, shared, stddevs):
  rng = np.random.default_rng(1)
  told, happened = _calibration(seeds, shared, 1000, rng, stddevs)
  print(f'{seeds} {shared} {stddevs}: {told:.3f} said, {happened:.3f}')
  assert -_LESS < happened - told < _MORE


@pytest.mark.slow
@pytest.mark.parametrize('shared', [2.0, 4.0])
@pytest.mark.parametrize('seeds', [3, 5, 10])
def test_patients_are_calibrated(seeds, shared):
  rng = np.random.default_rng(1)
  told, happened = _patients_calibration(seeds, shared, 500, rng)
  print(f'{seeds} seeds, patients {shared}: {told:.3f} said, {happened:.3f}')
  assert -_LESS < happened - told < _MORE
