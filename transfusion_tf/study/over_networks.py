"""Any metric of several networks that answered about the same patients.

The interval joins two: that over the choice of patients, which may reach
further down than up near a perfect score, and Student's t over the networks
(MOVER: Zou and Donner, Statistics in Medicine 27, 2008). Of one network there
is the first alone.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np
from scipy import special

from transfusion_tf import metrics

# Of a class: from fewer patients no interval is given.
LEAST_PATIENTS = 5


@dataclasses.dataclass(frozen=True)
class Score:
  """A value and its 95 % interval, or why there is none.

  Attributes:
    value: The mean over networks; NaN if it is not defined.
    low: Lower end; NaN if there is no interval.
    high: Upper end.
    networks: The number of networks.
    reason: Why a value or an interval is lacking; else empty.
  """

  value: float
  low: float = math.nan
  high: float = math.nan
  networks: int = 0
  reason: str = ''

  def text(self, digits: int = 3, sign: str = '') -> str:
    """Return `0.912 [0.887, 0.934]`, or what is lacking."""
    if math.isnan(self.value):
      return self.reason
    value = f'{self.value:{sign}.{digits}f}'
    if math.isnan(self.low):
      return f'{value} ({self.reason})'
    return (
      f'{value} [{self.low:{sign}.{digits}f}, {self.high:{sign}.{digits}f}]'
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
  """One metric of several networks on the same images.

  Attributes:
    parts: The metric of each network.
    patient: Number [N] of each image's patient, from 0 to P - 1.
    num_patients: P; patients beyond those of the images may be counted.
  """

  parts: Sequence[metrics.Metric]
  patient: np.ndarray
  num_patients: int

  @property
  def values(self) -> np.ndarray:
    """The value of each network."""
    return np.array([float(part.value()) for part in self.parts])

  def effects(self) -> metrics.Effects:
    """Return the effects of all P patients on the mean."""
    found = metrics.mean_effects([p.effects(self.patient) for p in self.parts])
    missing = self.num_patients - len(found.values)
    return metrics.Effects(np.pad(found.values, (0, missing)), found.most)

  def over_patients(self) -> tuple[float, float]:
    """Return the interval of the mean over the choice of patients."""
    return metrics.Average(tuple(self.parts)).interval(self.patient)

  @property
  def lacking(self) -> str:
    """Why there is no value, or no interval."""
    for part in self.parts:
      if part.undefined:
        return part.undefined
    if self.effects().most + 1 < LEAST_PATIENTS:
      return f'fewer than {LEAST_PATIENTS} patients of a class: no interval'
    return ''


def score(group: Group) -> Score:
  """Return the mean over networks with its interval."""
  count = len(group.parts)
  if any(part.undefined for part in group.parts):
    return Score(math.nan, networks=count, reason=group.lacking)
  values = group.values
  value = float(values.mean())
  if reason := group.lacking:
    return Score(value, networks=count, reason=reason)
  low, high = group.over_patients()
  half = _half(values)
  low = value - math.hypot(value - low, half)
  high = value + math.hypot(high - value, half)
  if all(part.is_fraction for part in group.parts):
    low, high = max(low, 0.0), min(high, 1.0)
  return Score(value, low, high, count)


def difference(a: Group, b: Group) -> Score:
  """Return the difference of the same networks between two parts of a set.

  Patients with images in both parts may count in both.

  Args:
    a: One part.
    b: The other; its patients are numbered alike.
  """
  count = len(a.parts)
  if reason := a.lacking or b.lacking:
    return Score(math.nan, networks=count, reason=reason)
  values = a.values - b.values
  value = float(values.mean())
  (a_low, a_high), (b_low, b_high) = a.over_patients(), b.over_patients()
  ours, theirs = a.effects(), b.effects()
  scale = ours.stddev * theirs.stddev
  shared = float(ours.values @ theirs.values) / scale if scale else 0.0
  below = _distance(a.values.mean() - a_low, b_high - b.values.mean(), shared)
  above = _distance(a_high - a.values.mean(), b.values.mean() - b_low, shared)
  half = _half(values)
  low, high = value - math.hypot(below, half), value + math.hypot(above, half)
  if all(part.is_fraction for part in (*a.parts, *b.parts)):
    low, high = max(low, -1.0), min(high, 1.0)
  return Score(value, low, high, count)


def _distance(a, b, correlation):
  return math.sqrt(max(a**2 + b**2 - 2 * correlation * a * b, 0.0))


def _half(values):
  """Return half the t interval of a mean; 0 of one value."""
  if len(values) < 2:
    return 0.0
  t = special.stdtrit(len(values) - 1, (1 + metrics.LEVEL) / 2)
  return float(t * np.std(values, ddof=1) / math.sqrt(len(values)))
