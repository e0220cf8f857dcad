"""How long the parts of a session took."""

from collections.abc import Iterator
import contextlib
import time

# Number of steps, evaluations, ... and the seconds of all of them.
Part = tuple[int, float]
FIRST = 'first_'


class Timing:
  """Seconds of a session by part; the first of each part is apart.

  The first steps and the first evaluation compile what the later ones run.

  Attributes:
    compiles: Whether the session is the first of its network in this process.
  """

  def __init__(self):
    """Begin with the part `start`."""
    self.compiles = True
    self._began = time.monotonic()
    self._parts: dict[str, Part] = {}

  def end_start(self) -> None:
    """Note how long it took until the first step; `first_` if it compiled."""
    name = f'{FIRST}start' if self.compiles else 'start'
    self._parts[name] = (1, time.monotonic() - self._began)

  def end(self) -> None:
    """Take what is in no other part as that of the end."""
    spent = sum(seconds for _, seconds in self._parts.values())
    self._parts['end'] = (1, time.monotonic() - self._began - spent)

  @contextlib.contextmanager
  def measure(self, part: str, count: int = 1) -> Iterator[None]:
    """Add what happens inside to a part.

    Args:
      part: Its name.
      count: How many steps, evaluations, ... that is.
    """
    began = time.monotonic()
    yield
    first = f'{FIRST}{part}'
    name = part if first in self._parts else first
    number, seconds = self._parts.get(name, (0, 0.0))
    spent = seconds + time.monotonic() - began
    self._parts[name] = (number + count, spent)

  def record(self) -> dict[str, Part]:
    """Return the parts, as result.json has them."""
    return {
      name: (count, round(seconds, 4))
      for name, (count, seconds) in self._parts.items()
    }
