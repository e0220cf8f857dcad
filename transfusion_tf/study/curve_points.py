"""Points of learning curves: scores of runs by size, and their covariance."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import math

import numpy as np
from scipy import stats

from transfusion_tf import metrics
from transfusion_tf.study import paired
from transfusion_tf.study import results
from transfusion_tf.study import statistics

# Weight of the variance that all sizes share, in degrees of freedom.
_POOLED = 4
# Number of training patients -> one group of runs that differ in their seed, or
# two of which the second is subtracted.
Groups = Mapping[int, Sequence[Sequence[results.Result]]]


@dataclasses.dataclass(frozen=True)
class Interval:
  """A value and its 95 % interval."""

  value: float
  low: float
  high: float

  def __contains__(self, value: float) -> bool:
    return self.low <= value <= self.high


@dataclasses.dataclass(frozen=True)
class Points:
  """Measured values by size.

  Attributes:
    sizes: Numbers of training patients [k], ascending.
    values: Errors, or differences of scores [k].
    covariance: Of the values [k, k], such that 1.96 of its standard errors are
      half of a 95 % interval, however few degrees of freedom it has.
  """

  sizes: np.ndarray
  values: np.ndarray
  covariance: np.ndarray

  def first(self, count: int) -> 'Points':
    """Return the smallest sizes alone."""
    return Points(
      self.sizes[:count],
      self.values[:count],
      self.covariance[:count, :count],
    )


def make_points(
  sizes: Sequence[int],
  values: Sequence[float],
  seeds: Sequence[statistics.Variance],
  patients: np.ndarray,
  patient_freedom: float,
  shared: statistics.Variance | None = None,
) -> Points:
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
  return Points(np.array(sizes, float), np.array(values, float), covariance)


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
  if not freedoms.sum() or (scales <= 0).any():
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


def of_groups(
  groups: Groups,
  comparer: paired.Comparer,
  shared: statistics.Variance | None = None,
) -> Points | None:
  """Return the points of a law; None without a variance over seeds.

  Args:
    groups: Number of patients -> one group, or two of which the second is
      subtracted from the first.
    comparer: Has read the scores of the runs.
    shared: Variance of the first group, if it is the same at all sizes.
  """
  coefficients = coefficients_of(groups)
  columns = [
    samples(group[column] for group in groups.values())
    for column in range(len(coefficients))
  ]
  seeds = seed_variances(columns[-1])
  if len(columns) > 1 and shared is None:
    first = seed_variances(columns[0])
    seeds = list(map(add, first, seeds))
  effects = [comparer.effects(coefficients, each) for each in groups.values()]
  values = np.array([each.values for each in effects])
  means = [[np.mean(sample) for sample in column] for column in columns]
  sign = 1 if len(columns) > 1 else -1
  found = np.dot(coefficients, means)
  if not all(0 < each.value < math.inf for each in seeds):
    return None
  return make_points(
    list(groups),
    found if sign > 0 else 1 - found,
    seeds,
    values @ values.T,
    min(each.freedom for each in effects),
    shared,
  )


def coefficients_of(groups: Groups) -> list[int]:
  """Return 1 for one group at each size; 1 and -1 for two."""
  return [1, -1][: len(next(iter(groups.values()), ()))]


def samples(groups: Iterable[Sequence[results.Result]]) -> list[list[float]]:
  """Return the test scores of each group."""
  return [paired.tested(group) for group in groups]


def is_at_chance(
  group: Sequence[results.Result], comparer: paired.Comparer
) -> bool:
  """Return whether runs of several seeds are not shown to beat chance."""
  chance = group[0].test_metric().chance
  found = comparer.difference([1], [group])
  return bool(chance is not None and found.known and found.low <= chance)


def _widening(freedom):
  """Return how much a variance grows for the interval of Student's t."""
  level = (1 + metrics.LEVEL) / 2
  return float((stats.t.ppf(level, freedom) / stats.norm.ppf(level)) ** 2)
