"""What a metric is, and its interval over patients."""

import abc
from collections.abc import Callable, Sequence
import dataclasses
import math

import numpy as np
from scipy import special

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Effects:
  """The effect of each of P patients on a metric.

  Attributes:
    values: Effects [P]; the sum of their squares estimates the variance of the
      metric over the choice of patients.
    most: The most degrees of freedom that the estimate may have.
  """

  values: np.ndarray
  most: int

  @property
  def freedom(self) -> float:
    """Degrees of freedom of the variance: few if few patients make it.

    Near a perfect score most patients have no effect. The variance of a sum of
    squares, from the fourth powers, tells how many have one.
    """
    squares = self.values**2
    total = np.sum(squares)
    excess = np.sum(squares**2) - total**2 / len(squares)
    return float(
      min(self.most, 2 * total**2 / excess if excess > 0 else np.inf)
    )

  @property
  def stddev(self) -> float:
    return math.sqrt(np.sum(self.values**2))


class Metric(abc.ABC):
  """A metric of N examples."""

  @property
  def is_fraction(self) -> bool:
    """Whether it lies between 0 and 1."""
    return False

  @property
  def has_own_interval(self) -> bool:
    """Whether `interval` knows more than the `effects` of patients."""
    return False

  @property
  def lower_is_better(self) -> bool:
    """Whether it is an error, of which less is better."""
    return False

  @property
  def chance(self) -> float | None:
    """The value that needs no image; None if it is not known."""
    return None

  @abc.abstractmethod
  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    """Return the metric under weights [..., N]; NaN where it is not defined.

    Without weights, all examples count the same.
    """

  @property
  @abc.abstractmethod
  def undefined(self) -> str:
    """Why it has no value; empty if it has one."""

  @abc.abstractmethod
  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return what the metric NAME is made of: column -> [N], for a table."""

  def effects(self, patient: np.ndarray) -> Effects:
    """Return the effects of patients, by the jackknife if there is no formula.

    Args:
      patient: Number [N] of each example's patient, from 0 to P - 1.
    """
    count = patient.max() + 1
    without = np.array(
      [self.value((patient != n).astype(float)) for n in range(count)]
    )
    known = ~np.isnan(without)
    moved = np.where(known, np.mean(without[known]) - without, 0)
    return Effects(math.sqrt((count - 1) / count) * moved, known.sum() - 1)

  def interval(
    self, patient: np.ndarray, level: float = LEVEL
  ) -> tuple[float, float]:
    """Return the interval over the choice of patients; it has to be defined.

    Args:
      patient: Number [N] of each example's patient.
      level: Probability that the interval covers the true value.

    Returns:
      Lower and upper end; both are NaN if a class has one patient alone.
    """
    effects = self.effects(patient)
    return interval(float(self.value()), effects, self.is_fraction, level)


KINDS: dict[tuple[str, ...], type] = {}  # Names of columns -> class.


def register(*names: str) -> Callable[[type], type]:
  """Register a class under the names of its columns, `METRIC:NAME`.

  Args:
    *names: One name for each argument of the class; no other class has them.
  """

  def add(kind):
    KINDS[names] = kind
    return kind

  return add


def mean_effects(effects: Sequence[Effects]) -> Effects:
  """Return the effects of the same patients on the mean of several metrics."""
  return Effects(
    np.mean([each.values for each in effects], axis=0),
    min(each.most for each in effects),
  )


def patient_numbers(patients: Sequence) -> np.ndarray:
  """Return the number [N] of each example's patient, from its id."""
  return np.unique(patients, return_inverse=True)[1]


def interval(
  value: float, effects: Effects, is_fraction: bool, level: float = LEVEL
) -> tuple[float, float]:
  """Return the interval of a value over the choice of patients.

  Args:
    value: The value.
    effects: The effects of patients on it.
    is_fraction: Whether it lies between 0 and 1: the scale is then the logit.
    level: Probability that the interval covers the true value.

  Returns:
    Lower and upper end; both are NaN if a class has one patient alone.
  """
  if effects.most < 1:
    return math.nan, math.nan
  tail = (1 - level) / 2
  half = float(special.stdtrit(effects.freedom, 1 - tail)) * effects.stddev
  if not is_fraction:
    return value - half, value + half
  if value in (0, 1):
    # No patient errs. So it would be in one of 1 / tail studies if as large a
    # fraction erred as Clopper and Pearson's bound.
    bound = tail ** (1 / (effects.most + 1))
    return (bound, 1.0) if value else (0.0, 1 - bound)
  half /= value * (1 - value)
  low, high = special.expit(special.logit(value) + np.array([-half, half]))
  return float(low), float(high)


def effects_on_mean(values, patient, examples):
  """Return the effects of the patients of some examples on their mean value."""
  parts = (values - values.mean()) / len(values)
  sums = np.bincount(patient[examples], parts, patient.max() + 1)
  count = np.unique(patient[examples]).size
  correction = math.sqrt(count / (count - 1)) if count > 1 else 1
  return Effects(correction * sums, count - 1)
