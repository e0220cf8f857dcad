"""What more seeds would tell, against studies that had them."""

import math

import numpy as np
import pytest

from transfusion_tf.study import power
from transfusion_tf.study import statistics


def _verdict(estimate, above, below):
  low, high = estimate.interval()
  if low > above and high < below:
    return 'inside'
  return 'outside' if high <= above or low >= below else ''


@pytest.mark.parametrize(
  ('above', 'below'), [(0.0, math.inf), (-0.8, 0.8), (-0.3, 0.3)]
)
@pytest.mark.parametrize('patients', [0.0, 0.02])
def test_the_chance_is_the_share_of_studies(above, below, patients):
  """Of pilots with four seeds and the studies of sixteen that they began.

  Nothing is known of the truth before. The patients are the same, so that
  their part moves no value.
  """
  rng = np.random.default_rng(1)
  shared = statistics.Variance(patients, 60)
  told, happened = [], []
  for _ in range(750):
    truth = rng.uniform(-3, 3)
    groups = [rng.normal(0, 0.6, 16), rng.normal(truth, 0.3, 16)]
    few, many = (
      statistics.contrast((-1, 1), [g[:count] for g in groups], shared)
      for count in (4, 16)
    )
    chances = power.chance(few, 4, above, below)
    told.append((chances.inside, chances.outside))
    verdict = _verdict(many, above, below)
    happened.append((verdict == 'inside', verdict == 'outside'))
  # The pilot's own variance is not known well: a few percent.
  np.testing.assert_allclose(
    np.mean(told, axis=0), np.mean(happened, axis=0), atol=0.04
  )


def test_no_more_seeds_change_nothing():
  estimate = statistics.contrast((1,), [[0.1, 0.2, 0.3]])
  assert power.chance(estimate, 1, above=-1) == power.Chance(1, 0)
  assert power.chance(estimate, 1, above=1) == power.Chance(0, 1)
  assert power.chance(estimate, 1, above=0.2) == power.Chance(0, 0)


def test_a_censored_side_is_decided_by_no_seeds():
  estimate = statistics.Estimate(0.5, 0.01, 9, at_least=True)
  assert power.chance(estimate, 100, below=1).inside == 0
  assert power.chance(estimate, 100, above=0).inside == pytest.approx(
    1, abs=1e-3
  )


def test_one_seed_tells_nothing():
  estimate = statistics.contrast((1,), [[0.1]])
  assert math.isnan(power.chance(estimate, 2, above=0).decided)


def test_the_fewest_seeds():
  estimate = statistics.contrast((1,), [[-0.1, 0.2, 0.9, 0.5]])
  pilot = power.Pilot(estimate, 4)

  def decided(seeds):
    return pilot.chance(seeds, above=0).decided

  numbers = list(power.more_seeds(4))
  count = power.fewest(decided, numbers)
  before = numbers[numbers.index(count) - 1]
  assert decided(count) >= power.WANTED > decided(before)


def test_what_the_patients_leave_open_takes_more_of_them():
  patients = statistics.Variance(0.1, 30)
  estimate = statistics.contrast((1,), [[0.5, 0.6, 0.9, 0.7]], patients)
  pilot = power.Pilot(estimate, 4)

  def with_seeds(seeds):
    return pilot.chance(seeds, above=0).decided

  def with_patients(factor):
    return pilot.chance(4, factor, above=0.0).decided

  assert power.fewest(with_seeds, power.more_seeds(4)) is None
  factor = power.fewest(with_patients, power.more_patients())
  assert with_patients(factor) >= power.WANTED > with_patients(factor / 1.2)


def test_patients_who_differ_by_network_are_made_up_for_by_seeds():
  patients = statistics.Variance(0.1, 30)
  estimate = statistics.contrast((1,), [[0.5, 0.6, 0.9, 0.7]], patients)
  same, other = (power.Pilot(estimate, 4, shared) for shared in (None, 0.0))
  assert same.chance(40, above=0).decided < other.chance(40, above=0).decided
  assert other.chance(4, above=0) == same.chance(4, above=0)


@pytest.mark.parametrize('margin', [0.2, 0.6, 3.0])
def test_a_verdict_is_one_of_the_three(margin):
  """Both ways to the chance agree; a wide margin is always decided."""
  estimate = statistics.contrast((1,), [[0.1, 0.2, 0.6, 0.5]])
  pilot = power.Pilot(estimate, 4)
  told = pilot.verdict_chance(margin, 8)
  same = pilot.chance(8, above=-margin, below=margin).inside
  helps_or_hurts = pilot.chance(8, above=0)
  # Those on one side of 0: an interval above 0, or below it.
  sides = helps_or_hurts.inside + pilot.chance(8, below=0).inside
  assert max(same, sides) - 1e-9 <= told <= same + sides + 1e-9
  assert told > 0.99 or margin < 3


def test_a_verdict_by_drawing_from_the_forecast():
  estimate = statistics.Estimate(0.4, 0.09, 1e9)
  rng = np.random.default_rng(0)
  margin, growth = 0.9, 3
  half = 1.96 * math.sqrt(0.09 / growth)
  values = rng.normal(0.4, math.sqrt(0.09 * (1 - 1 / growth)), 200_000)
  drawn = np.mean((abs(values) > half) | (abs(values) + half < margin))
  told = power.Pilot(estimate, 2).verdict_chance(margin, 2 * growth)
  assert told == pytest.approx(drawn, abs=0.01)
