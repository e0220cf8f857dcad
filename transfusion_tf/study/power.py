"""What more seeds or test patients would tell: the chance of a decision.

An estimate of some seeds tells how one of more of them will vary, its own seeds
being among them: their part of the variance shrinks with their number, and the
value moves as the new seeds' mean does. Test patients count likewise. More
seeds leave the patients' part as it is, but for what each network gets wrong in
its own way (`Pilot.shared`).

Few seeds do not tell their variance well. The chances are means over what it
may be: over the posterior of a variance with the estimate's degrees of freedom.
"""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import math
from typing import TypeVar

import numpy as np
from scipy import special

from transfusion_tf import metrics
from transfusion_tf.study import statistics

WANTED = 0.8
MOST_SEEDS = 50
# Test patients, as a multiple of those that there are.
MOST_PATIENTS = 20.0
_NODES = (np.arange(16) + 0.5) / 16
_ORDER = np.arange(16) * 7 % 16  # Of another variable than the first.

_T = TypeVar('_T')


@dataclasses.dataclass(frozen=True)
class Chance:
  """The chances of the two decisions: an interval inside a range, or outside.

  The rest is the chance that it lies across an end.
  """

  inside: float
  outside: float

  @property
  def decided(self) -> float:
    return self.inside + self.outside


@dataclasses.dataclass(frozen=True)
class Pilot:
  """The seeds that there are.

  Attributes:
    estimate: Of `seeds` seeds of each group.
    seeds: Their number, two at least; or 1 for what there is, whose number is
      not known. The degrees of freedom then grow as the seeds do, no faster.
    shared: The part of `estimate.patients` that more seeds leave as it is; None
      for all of it.
  """

  estimate: statistics.Estimate
  seeds: int
  shared: float | None = None

  def chance(
    self,
    seeds: float,
    patients: float = 1.0,
    above: float = -math.inf,
    below: float = math.inf,
    level: float = metrics.LEVEL,
  ) -> Chance:
    """Return the chances of a decision.

    Args:
      seeds: Seeds of each group, with those that there are.
      patients: Factor by which the test patients grow.
      above: Lower end of the range.
      below: Upper end of the range.
      level: Of the interval.
    """
    if not self.estimate.known:
      return Chance(math.nan, math.nan)
    grown = _Grown(self, seeds, patients, level)
    low, high = grown.low, grown.high

    def passes(start, end):
      """Return the chance that what is at `start` moves down past `end`."""
      return 0.0 if math.isinf(end) else grown.cdf(end - start)

    # The interval is inside unless its lower end falls below `above`, or its
    # upper end rises above `below`.
    inside = 1 - passes(low, above) - passes(-high, -below)
    outside = passes(high, above) + passes(-low, -below)
    return Chance(
      _mean(np.maximum(inside, 0.0)), _mean(np.minimum(outside, 1.0))
    )

  def verdict_chance(
    self, margin: float, seeds: float, patients: float = 1.0
  ) -> float:
    """Return the chance of any verdict of `decision.judge`.

    All of the interval is on one side of 0, or within the margin.
    """
    if not self.estimate.known:
      return math.nan
    grown = _Grown(self, seeds, patients)
    half, value = grown.half, self.estimate.value
    # Values whose interval is on one side of 0; then those within the margin.
    sides = grown.cdf(-half - value) + grown.cdf(value - half)
    room = np.clip(margin - half, 0, half)
    within = grown.cdf(room - value) - grown.cdf(-room - value)
    return min(_mean(sides + within), 1.0)


class _Grown:
  """An estimate with more seeds and patients, as it may come out."""

  def __init__(self, pilot, seeds, patients, level=metrics.LEVEL):
    estimate = pilot.estimate
    variance, freedom = estimate.variance, estimate.freedom
    growth = seeds / pilot.seeds
    more = freedom * growth
    if pilot.seeds > 1:
      more = freedom * (seeds - 1) / (pilot.seeds - 1)
    # [true variance, 1] and, of the new seeds' sum of squares, [1, chance].
    true = variance * np.ones([1, 1])
    added = np.zeros([1, 1])
    if variance and math.isfinite(freedom):
      true = (variance * freedom / _chi2(freedom))[:, None]
      if more > freedom:
        added = _chi2(more - freedom)[None]
      later = (freedom * variance + true * added) / more / growth
    else:
      later = true / growth
    if patients > 1 and variance and math.isfinite(freedom):
      # What a patient is worth to one network is drawn anew for new patients:
      # networks that agree by chance will do so less.
      own = np.minimum(estimate.patients.value - _shared(pilot), true)
      stays = 1 - own / true * (1 - 1 / patients)
      redrawn = true * (_chi2(more)[_ORDER][None] / more) / growth
      later = stays**2 * later + stays * (1 - stays) * redrawn
    new = _patients(pilot, seeds, patients)
    t = special.stdtrit(more, (1 + level) / 2)
    self.half = np.sqrt(t**2 * later + new.squared_half(1 - level))
    moved = true * (1 - 1 / growth)
    moved = moved + estimate.patients.value * (1 - 1 / patients)
    self._moves = np.sqrt(np.broadcast_to(moved, self.half.shape))
    value = estimate.value
    self.low = -math.inf if estimate.at_most else value - self.half
    self.high = math.inf if estimate.at_least else value + self.half

  def cdf(self, distance):
    """Return the chances that the value moves by less than `distance`."""
    with np.errstate(divide='ignore', invalid='ignore'):
      far = np.where(
        self._moves > 0, distance / self._moves, np.sign(distance) * math.inf
      )
    return special.ndtr(np.nan_to_num(far, nan=-math.inf))


def _patients(pilot, seeds, growth):
  """Return the variance over patients once seeds and patients have grown."""
  now, shared = pilot.estimate.patients, _shared(pilot)
  value = shared + (now.value - shared) * pilot.seeds / seeds
  return statistics.Variance(value / growth, now.freedom * growth)


def _shared(pilot):
  """Return the variance over patients that no seeds reduce."""
  value = pilot.estimate.patients.value
  return value if pilot.shared is None else min(max(pilot.shared, 0.0), value)


def _chi2(freedom):
  """Return the quantiles `_NODES` of chi-square."""
  return 2 * special.gammaincinv(freedom / 2, _NODES)


def _mean(chances):
  return float(np.mean(chances))


def chance(
  estimate: statistics.Estimate,
  growth: float,
  above: float = -math.inf,
  below: float = math.inf,
  level: float = metrics.LEVEL,
) -> Chance:
  """Return the chances of a decision with `growth` times the seeds.

  Args:
    estimate: Of the seeds that there are; at least two of each group.
    growth: Factor, at least 1.
    above: Lower end of the range.
    below: Upper end of the range.
    level: Of the interval.
  """
  return Pilot(estimate, 1).chance(growth, 1.0, above, below, level)


def fewest(
  chance_of: Callable[[_T], float], numbers: Iterable[_T]
) -> _T | None:
  """Return the first of `numbers` whose chance is `WANTED`, or None."""
  return next((n for n in numbers if chance_of(n) >= WANTED), None)


def more_seeds(present: int) -> Iterator[int]:
  """Yield the numbers of seeds to try, from one more on."""
  count = present
  while count < MOST_SEEDS:
    count = min(count + max(1, count // 10), MOST_SEEDS)
    yield count


def more_patients() -> Iterator[float]:
  """Yield the factors of patients to try."""
  factor = 1.0
  while factor < MOST_PATIENTS:
    factor = min(factor * 1.15, MOST_PATIENTS)
    yield factor
