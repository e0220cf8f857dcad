"""What becomes of jobs on a cluster: done, failed, or tried again."""

import time

from transfusion_tf.study import cluster_attempt
from transfusion_tf.study import cluster_messages

# How an attempt ends whose process does not say so.
LOST, CRASHED = 'lost', 'crashed'
_MOST_CRASHES = 3
_RETRY_SECONDS = 1.0
_BUSY_RETRY_SECONDS, _BUSY_SECONDS = 3.0, 600.0


class Pending:
  """A job, and what became of its attempts.

  Attributes:
    work: The job.
    not_before: When it may be tried again, in seconds of `time.monotonic`.
  """

  def __init__(self, work: cluster_messages.Work):
    self.work = work
    self.not_before = 0.0
    self._crashed_on: list[str] = []
    self._busy_since = float('inf')

  @property
  def order(self) -> tuple[int, float]:
    """Larger ones come first."""
    return self.work.needs.nodes, self.work.size

  def forgive(self, node: str) -> None:
    """Take back that a process died: its machine did."""
    self._crashed_on = [each for each in self._crashed_on if each != node]

  def conclude(self, kind: str, text: str, node: str) -> str | None:
    """Return why the job failed, or ''; None if it is to be tried again."""
    now = time.monotonic()
    self.not_before = now + _RETRY_SECONDS
    if kind == cluster_attempt.ENDED:
      return text
    if kind == CRASHED:
      self._crashed_on.append(node)
      if len(self._crashed_on) >= _MOST_CRASHES:
        return f'its process died {_MOST_CRASHES} times, the last time: {text}'
    if kind == cluster_attempt.BUSY:
      self._busy_since = min(self._busy_since, now)
      self.not_before = now + _BUSY_RETRY_SECONDS
      if now > self._busy_since + _BUSY_SECONDS:
        return text
    else:
      self._busy_since = float('inf')
    return None
