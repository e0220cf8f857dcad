"""Progress: a bar on a terminal, elsewhere a line every few seconds."""

import dataclasses
import sys
import time

import tqdm

_SECONDS_BETWEEN_LINES = 15.0


@dataclasses.dataclass(frozen=True)
class Throughput:
  """The throughput of the steps between two evaluations.

  Attributes:
    images_per_second: Images per second over all devices.
    input_wait_fraction: Fraction of the time that this worker waited for
      batches, in [0, 1]. NaN if it is not measured.
  """

  images_per_second: float
  input_wait_fraction: float


class Progress:
  """Shows the steps done, the rate and the time left."""

  def __init__(self, title: str, batch_size: int, enabled: bool = True):
    """Initialize; only the chief's progress is `enabled`."""
    self._title = title
    self._batch_size = batch_size
    self._enabled = enabled
    self._bar: tqdm.tqdm = tqdm.tqdm(disable=True)  # Until it starts.

  def start(self, step: int, total: int) -> None:
    """Begin at `step` of `total`."""
    self._start, self._total = step, total
    self._bar = tqdm.tqdm(
      desc=self._title,
      initial=step,
      total=total,
      unit='step',
      disable=not self._enabled or not sys.stderr.isatty(),
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
    if not self._enabled:
      return
    tqdm.tqdm.write(f'[{self._title}] {line}')
    sys.stdout.flush()

  def close(self) -> None:
    """Close the bar."""
    self._bar.close()
