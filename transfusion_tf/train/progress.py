"""Progress on a terminal as a bar, elsewhere as a plain line now and then."""

import dataclasses
import sys
import time

import tqdm

_SECONDS_BETWEEN_LINES = 15.0


@dataclasses.dataclass(frozen=True)
class Pace:
  """How fast steps were taken.

  Attributes:
    images_per_second: Over all devices.
    input_wait_share: Fraction of the time that the loop waited for a batch, in
      [0, 1]; each worker's own. NaN where no clock is read.
  """

  images_per_second: float
  input_wait_share: float


class Progress:
  """Steps done, rate and time left; `note` prints a line beside them."""

  def __init__(self, title: str, batch_size: int, shows: bool = True):
    """Initialize; `shows` is False in workers but the chief."""
    self._title = title
    self._batch_size = batch_size
    self._shows = shows
    self._bar = None

  def start(self, step: int, total: int) -> None:
    """Begin at `step` of `total`."""
    self._start, self._total = step, total
    self._bar = tqdm.tqdm(
      desc=self._title,
      initial=step,
      total=total,
      unit='step',
      disable=not self._shows or not sys.stderr.isatty(),
      dynamic_ncols=True,
    )
    self._began = self._printed = time.monotonic()

  def update(self, step: int) -> None:
    """Show that `step` steps are done."""
    self._bar.update(step - self._bar.n)
    now = time.monotonic()
    if self._bar.disable and now - self._printed > _SECONDS_BETWEEN_LINES:
      self._printed = now
      rate = (step - self._start) / (now - self._began)
      left = (self._total - step) / rate if rate else float('inf')
      self.note(
        f'step {step}/{self._total}, {rate * self._batch_size:.0f} images/s, '
        f'{left:.0f} s left'
      )

  def note(self, line: str) -> None:
    """Print a line above the bar."""
    if not self._shows:
      return
    tqdm.tqdm.write(f'[{self._title}] {line}')
    sys.stdout.flush()

  def close(self) -> None:
    self._bar.close()
