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
  for _ in range(1500):
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
  assert power.chance(estimate, 100, above=0).inside == pytest.approx(1)


def test_one_seed_tells_nothing():
  estimate = statistics.contrast((1,), [[0.1]])
  assert math.isnan(power.chance(estimate, 2, above=0).decided)


def test_the_fewest_seeds():
  estimate = statistics.contrast((1,), [[-0.5, 0.0, 0.9, 0.4]])
  pilot = power.Pilot(estimate, 4)

  def decided(seeds):
    return pilot.chance(seeds, above=0).decided

  numbers = list(power.more_seeds(4))
  count = power.fewest(decided, numbers)
  before = numbers[numbers.index(count) - 1]
  assert decided(count) >= power.WANTED > decided(before)
  # The patients alone leave it open.
  patients = statistics.Variance(1.0, 30)
  open_ = statistics.contrast((1,), [[-0.5, 0.0, 0.9, 0.4]], patients)
  pilot = power.Pilot(open_, 4)
  assert power.fewest(decided, power.more_seeds(4)) is None
  # Seeds and patients, each of which alone would not.
  both = power.fewest(
    lambda factor: pilot.chance(50, factor, above=0).decided,
    power.more_patients(),
  )
  alone = power.fewest(
    lambda factor: pilot.chance(4, factor, above=0).decided,
    power.more_patients(),
  )
  assert both is not None and (alone is None or both < alone)
