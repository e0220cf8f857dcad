"""Measured points of learning curves, and where a curve crosses a level."""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np
from scipy import stats

from transfusion_tf import metrics
from transfusion_tf.study import power_law
from transfusion_tf.study import statistics

FEWEST = 3  # Sizes of a law.
FARTHEST = 4  # Times the largest size: no forecast goes beyond.
_STEPS = 120  # Of the search for a crossing.
# Weight of the variance that all sizes share, in degrees of freedom.
_POOLED = 4


@dataclasses.dataclass(frozen=True)
class Crossing:
  """The sizes at which a curve may cross a level, between two limits.

  Attributes:
    low: The smallest of them; NaN if there is none.
    high: The largest; NaN likewise.
    value: Where the curve itself does; NaN if it does not.
    open_low: Whether it may cross below the lower limit too.
    open_high: Whether it may cross beyond the upper limit too.
  """

  low: float
  high: float
  value: float
  open_low: bool
  open_high: bool

  @property
  def closed(self) -> bool:
    """Whether the interval has both ends, with the crossing between them."""
    return not (self.open_low or self.open_high or math.isnan(self.value))


def make_points(
  sizes: Sequence[int],
  values: Sequence[float],
  seeds: Sequence[statistics.Variance],
  patients: np.ndarray,
  patient_freedom: float,
  shared: statistics.Variance | None = None,
) -> power_law.Points:
  """Return measured values.

  Args:
    sizes: Numbers of training patients [k], ascending.
    values: Means over seeds [k].
    seeds: Their variances over seeds [k].
    patients: Their covariance over the choice of test patients [k, k].
    patient_freedom: Degrees of freedom of `patients`.
    shared: A variance over seeds that all values have in common.
  """
  over_seeds = [each.value * _widening(each.freedom) for each in seeds]
  covariance = np.diag(over_seeds) + patients * _widening(patient_freedom)
  if shared:
    covariance += shared.value * _widening(shared.freedom)
  return power_law.Points(
    np.array(sizes, float), np.array(values, float), covariance
  )


def seed_variances(
  samples: Sequence[Sequence[float]],
) -> list[statistics.Variance]:
  """Return the variance of the mean of each sample, of scores at most 1.

  Two values a size tell little alone, and sizes differ: the more is learned,
  the less seeds vary. Each has its own variance and that of all, taken to be
  as the error and its mean are, as `_POOLED` more degrees of freedom.

  Args:
    samples: Scores over seeds, a sample for each size.
  """
  errors = np.array([1 - np.mean(sample) for sample in samples])
  scales = errors + errors.mean()
  squares = np.array([np.sum((np.array(s) - np.mean(s)) ** 2) for s in samples])
  freedoms = np.array([len(sample) - 1 for sample in samples])
  if not freedoms.sum() or not scales.all():
    return [statistics.Variance(math.nan, math.nan)] * len(samples)
  shared = np.sum(squares / scales) / freedoms.sum()
  own = (_POOLED * shared * scales + squares) / (_POOLED + freedoms)
  freedom = float(freedoms.sum())
  return [
    statistics.Variance(float(variance / len(sample)), freedom)
    for variance, sample in zip(own, samples, strict=True)
  ]


def add(a: statistics.Variance, b: statistics.Variance) -> statistics.Variance:
  """Return the sum of independent variances (Satterthwaite)."""
  total = a.value + b.value
  terms = a.value**2 / a.freedom + b.value**2 / b.freedom
  return statistics.Variance(total, total**2 / terms if terms else math.inf)


def crossing(law: power_law.Law, sizes: np.ndarray, level: float) -> Crossing:
  """Return where a falling curve may cross a level.

  Args:
    law: The curve.
    sizes: Measured sizes; the search is from the first to `FARTHEST` times the
      last.
    level: The level.
  """
  places = np.geomspace(sizes[0], FARTHEST * sizes[-1], _STEPS)
  found = [law.at(place) for place in places]
  # A step that skips the level holds it as well.
  first = next((n for n, i in enumerate(found) if i.low <= level), _STEPS)
  last = next(
    (n for n in reversed(range(_STEPS)) if found[n].high >= level), -1
  )
  above = np.array([each.value > level for each in found])
  value = math.nan
  if above[0] and not above.all():
    after = int(np.argmin(above))
    value = float(np.sqrt(places[after - 1] * places[after]))
  return Crossing(
    float(places[max(first - 1, 0)]),
    float(places[min(last + 1, _STEPS - 1)]),
    value,
    open_low=first == 0,
    open_high=last == _STEPS - 1,
  )


def _widening(freedom):
  """Return how much a variance grows for the interval of Student's t."""
  level = (1 + metrics.LEVEL) / 2
  return float((stats.t.ppf(level, freedom) / stats.norm.ppf(level)) ** 2)
