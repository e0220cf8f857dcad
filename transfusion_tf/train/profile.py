"""A trace of a few training steps, for TensorBoard's profile page."""

from collections.abc import Iterator
import contextlib

import tensorflow as tf

# Steps of a session before the trace: they compile, fill buffers, and allocate.
_WARM_UP = 10


class Profile:
  """Traces `num_steps` steps of a session, one in each call."""

  def __init__(
    self, directory: str = '', num_steps: int = 0, is_chief: bool = True
  ):
    """Write the trace to DIRECTORY/plugins/profile.

    Args:
      directory: The folder RUN/tensorboard.
      num_steps: Number of steps to trace.
      is_chief: Whether to trace; other workers only make the same calls.
    """
    self._directory = directory
    self._num_steps = num_steps
    self._is_chief = is_chief
    self._traced = range(0)
    self._running = False

  def begin(self, step: int) -> None:
    """Begin a session at `step`."""
    first = step + _WARM_UP
    self._traced = range(first, first + self._num_steps)

  def limit(self, step: int, num_steps: int) -> int:
    """Return how many of the next `num_steps` steps may be one call."""
    if step in self._traced:
      return 1
    before = self._traced.start - step
    return min(num_steps, before) if self._traced and before > 0 else num_steps

  @contextlib.contextmanager
  def around(self, step: int) -> Iterator[None]:
    """Trace the enclosed call, which takes the steps after `step`."""
    if not self._is_chief or step not in self._traced:
      yield
      return
    if step == self._traced.start:
      tf.profiler.experimental.start(self._directory)
      self._running = True
    # `_r` marks a root: the page's step times are those of these events.
    with tf.profiler.experimental.Trace('train', step_num=step, _r=1):
      yield
    if step == self._traced[-1]:
      self.close()

  def close(self) -> None:
    """Write the trace, if it is not written yet."""
    if self._running:
      self._running = False
      tf.profiler.experimental.stop()
