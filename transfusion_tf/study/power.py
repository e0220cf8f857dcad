"""What more seeds would tell: the chance that an estimate decides a question.

An estimate of some seeds tells how one of more of them will vary, its own seeds
being among them: their part of the variance shrinks with their number, that of
the test patients stays, and the value moves as the new seeds' mean does.
"""

import dataclasses
import math

from scipy import stats

from transfusion_tf.study import statistics


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


def chance(
  estimate: statistics.Estimate,
  growth: float,
  above: float = -math.inf,
  below: float = math.inf,
) -> Chance:
  """Return the chances of a decision with `growth` times the seeds.

  Args:
    estimate: Of the seeds that there are; at least two of each group.
    growth: Factor, at least 1.
    above: Lower end of the range.
    below: Upper end of the range.
  """
  if not estimate.known:
    return Chance(math.nan, math.nan)
  grown = dataclasses.replace(
    estimate,
    variance=estimate.variance / growth,
    freedom=estimate.freedom * growth,
  )
  low, high = grown.interval()
  moves = math.sqrt(estimate.variance * (1 - 1 / growth))

  def passes(start, end):
    """Return the chance that what is at `start` moves down past `end`."""
    margin = math.inf if math.isinf(end) else start - end
    if not moves:
      return float(margin < 0)
    return float(stats.norm.cdf(-margin / moves))

  # The interval is inside unless its lower end falls below `above`, or its
  # upper end rises above `below`.
  inside = 1 - passes(low, above) - passes(-high, -below)
  outside = passes(high, above) + passes(-low, -below)
  return Chance(max(inside, 0.0), min(outside, 1.0))


def seeds_needed(
  estimate: statistics.Estimate,
  present: int,
  above: float = -math.inf,
  below: float = math.inf,
  wanted: float = 0.8,
  most: int = 1_000,
) -> int | None:
  """Return the seeds that decide with a chance of `wanted`, or None.

  Args:
    estimate: Of `present` seeds of each group.
    present: Number of seeds that there are.
    above: Lower end of the range.
    below: Upper end of the range.
    wanted: The chance.
    most: The largest number that is tried.
  """
  count = present
  while count <= most:
    if chance(estimate, count / present, above, below).decided >= wanted:
      return count
    count = math.ceil(count * 1.25)
  return None
