"""Where a learning curve crosses a level, as far as that is known."""

import dataclasses
import math

import numpy as np

from transfusion_tf.study import power_law

FEWEST = 3  # Sizes of a law.
FARTHEST = 4  # Times the largest size: no forecast goes beyond.
_STEPS = 120  # Of the search for a crossing.


@dataclasses.dataclass(frozen=True)
class Crossing:
  """The sizes at which a falling curve may cross a level, between two limits.

  Attributes:
    low: Smaller sizes are above the level.
    high: Larger sizes are below it.
    value: Where the curve itself crosses it; NaN if it does not.
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
