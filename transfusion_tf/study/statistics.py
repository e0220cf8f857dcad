"""Statistics over networks, and the intervals and decisions they allow.

The unit is the network: a statistic is a function of groups of networks that
differ in their seed, and `jackknife` leaves out one network at a time. For a
mean this is the textbook variance; for a mean over pairs of networks it is the
variance of the networks, however many pairs share one. Nothing is pooled:
networks from one initialization may vary ten times as much as those from
another, so that the degrees of freedom are those of Welch and Satterthwaite.
What all networks share, the choice of test patients, is added as a variance of
its own (MOVER: Zou and Donner, Statistics in Medicine 27, 2008).

`docs/statistics.md` has the simulated coverage of every interval.
"""

from collections.abc import Callable, Sequence
import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy import stats

from transfusion_tf import metrics


@dataclasses.dataclass(frozen=True)
class Summary:
  """Mean, standard deviation (n - 1; NaN for one) and number of values."""

  mean: float
  std: float
  count: int

  @classmethod
  def from_values(cls, values: Sequence[float]) -> 'Summary':
    std = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return cls(float(np.mean(values)), float(std), len(values))


@dataclasses.dataclass(frozen=True)
class Variance:
  """A variance and its degrees of freedom."""

  value: float = 0.0
  freedom: float = math.inf

  def squared_half(self, p: float) -> float:
    """Return the square of half the width of the interval of level 1 - p."""
    if not self.value:
      return 0.0
    return float(stats.t.ppf(1 - p / 2, self.freedom) ** 2 * self.value)


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A value and what is known of its error.

  Attributes:
    value: The value.
    variance: Its variance over networks; NaN if a group has only one.
    freedom: Degrees of freedom of `variance`.
    patients: Its variance over the choice of test patients.
    at_least: Whether the true value may be any amount above the interval.
    at_most: Whether the true value may be any amount below the interval.
  """

  value: float
  variance: float = math.nan
  freedom: float = math.inf
  patients: Variance = Variance()
  at_least: bool = False
  at_most: bool = False

  def interval(self, level: float = metrics.LEVEL) -> tuple[float, float]:
    """Return the interval of a level; its ends are NaN if it is unknown."""
    half = self._half(1 - level)
    return (
      -math.inf if self.at_most else self.value - half,
      math.inf if self.at_least else self.value + half,
    )

  @property
  def low(self) -> float:
    return self.interval()[0]

  @property
  def high(self) -> float:
    return self.interval()[1]

  @property
  def known(self) -> bool:
    """Whether there are networks enough of every group to tell their variance.

    Without, no verdict follows.
    """
    return math.isfinite(self.variance)

  @property
  def patients_only(self) -> tuple[float, float]:
    """The interval over the choice of patients alone."""
    half = math.sqrt(self.patients.squared_half(1 - metrics.LEVEL))
    return self.value - half, self.value + half

  def p_value(self, above: float = -math.inf, below: float = math.inf) -> float:
    """Return the level 1 - p at which the interval just fits into a range.

    Args:
      above: Lower end of the range.
      below: Upper end of the range.
    """
    if (
      not self.known
      or (self.at_most and above > -math.inf)
      or (self.at_least and below < math.inf)
    ):
      return 1.0
    room = min(self.value - above, below - self.value)
    if room <= self._half(_MOST_P):
      return 1.0
    if room == math.inf or self._half(_LEAST_P) <= room:
      return 0.0
    return float(
      optimize.brentq(lambda p: self._half(p) - room, _LEAST_P, _MOST_P)
    )

  def scaled(self, factor: float) -> 'Estimate':
    """Return the estimate in another unit; `factor` is positive."""
    return dataclasses.replace(
      self,
      value=self.value * factor,
      variance=self.variance * factor**2,
      patients=Variance(self.patients.value * factor**2, self.patients.freedom),
    )

  def text(self, digits: int = 3) -> str:
    """Return `+0.012 (95 % interval -0.003 to +0.027)`."""
    value = f'{self.value:+.{digits}f}'
    low, high = self.interval() if self.known else self.patients_only
    ends = f'{low:+.{digits}f} to {high:+.{digits}f}'
    if self.known:
      return f'{value} (95 % interval {ends})'
    return f'{value} (over patients only: {ends})'

  def _half(self, p):
    if not self.known:
      return math.nan
    networks = Variance(self.variance, self.freedom)
    return math.sqrt(networks.squared_half(p) + self.patients.squared_half(p))


_LEAST_P, _MOST_P = 1e-9, 1 - 1e-12
_NONE = Variance()

Groups = Sequence[Sequence[Any]]


def jackknife(
  statistic: Callable[[Groups], float],
  groups: Groups,
  patients: Variance = _NONE,
) -> Estimate:
  """Return a statistic of groups of networks, with its variance over them.

  Args:
    statistic: A function of the groups; NaN if it is not defined.
    groups: The networks of each group, one per seed.
    patients: Variance of the statistic over the choice of patients.
  """
  groups = [tuple(group) for group in groups]
  variances = []
  for g, group in enumerate(groups):
    values = [
      statistic([*groups[:g], (*group[:n], *group[n + 1 :]), *groups[g + 1 :]])
      for n in range(len(group))
      if len(group) > 1
    ]
    # (n - 1) / n times the sum of squares.
    variances.append(
      (len(group) - 1) * float(np.var(values)) if values else math.nan
    )
  variance = sum(variances)
  return Estimate(
    statistic(groups),
    variance,
    _freedom(variances, [len(group) - 1 for group in groups]),
    patients,
  )


def contrast(
  coefficients: npt.ArrayLike,
  samples: Sequence[Sequence[float]],
  patients: Variance = _NONE,
) -> Estimate:
  """Return coefficients times means of samples.

  Args:
    coefficients: One for each sample.
    samples: Values over seeds, a sample per group.
    patients: Variance of the sum over the choice of patients.
  """
  return jackknife(
    lambda groups: float(np.dot(coefficients, [np.mean(g) for g in groups])),
    samples,
    patients,
  )


def minus(a: Estimate, b: Estimate) -> Estimate:
  """Return the difference of estimates of other networks on other patients."""
  variances = [a.variance, b.variance]
  return Estimate(
    a.value - b.value,
    sum(variances),
    _freedom(variances, [a.freedom, b.freedom]),
    Variance(
      a.patients.value + b.patients.value,
      min(a.patients.freedom, b.patients.freedom),
    ),
    at_least=a.at_least or b.at_most,
    at_most=a.at_most or b.at_least,
  )


def holm(p_values: Sequence[float]) -> list[float]:
  """Return p values adjusted for their number (Holm, 1979)."""
  order = np.argsort(p_values)
  factors = np.arange(len(p_values), 0, -1)
  raised = np.maximum.accumulate(np.asarray(p_values)[order] * factors)
  adjusted = np.empty(len(p_values))
  adjusted[order] = np.minimum(raised, 1)
  return adjusted.tolist()


def r_squared(x: np.ndarray, y: np.ndarray) -> float:
  """Return the squared Pearson correlation; NaN where one does not vary."""
  if np.ptp(x) == 0 or np.ptp(y) == 0:
    return math.nan
  return float(np.corrcoef(x, y)[0, 1] ** 2)


def _freedom(variances, freedoms):
  """Return Satterthwaite's degrees of freedom of a sum of variances."""
  if not all(freedoms):
    return math.nan
  terms = [v**2 / f for v, f in zip(variances, freedoms, strict=True) if v]
  return sum(variances) ** 2 / sum(terms) if terms else math.inf
