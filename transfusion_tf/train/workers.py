"""The processes of a run and their synchronization."""

from collections.abc import Iterator
import contextlib
import hashlib
import re

import numpy as np
import tensorflow as tf

from transfusion_tf import errors

# Errors of a collective operation when a process at its other end is gone.
_LOST = (
  tf.errors.AbortedError,
  tf.errors.CancelledError,
  tf.errors.DeadlineExceededError,
  tf.errors.UnavailableError,
)


class Workers:
  """The position of this process among those of a run.

  Attributes:
    index: Number of this process.
    count: Number of processes; 1 under most strategies.
  """

  def __init__(self, strategy: tf.distribute.Strategy):
    self.index, self.count = 0, 1
    resolver = strategy.cluster_resolver
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
      jobs = resolver.cluster_spec().as_dict()
      chiefs = len(jobs.get('chief', ()))
      self.count = chiefs + len(jobs.get('worker', ()))
      is_worker = resolver.task_type == 'worker'
      self.index = resolver.task_id + (chiefs if is_worker else 0)

    @tf.function(autograph=False)
    def gather(value):
      return strategy.gather(strategy.run(lambda x: x, (value,)), axis=0)

    self._gather = gather

  @property
  def is_chief(self) -> bool:
    """Whether this process writes the run folder."""
    return self.index == 0

  def barrier(self) -> None:
    """Block until all workers have reached this call."""
    self._gather_all(0.0)

  def mean(self, value: float) -> float:
    """Return the mean of the workers' values, the same bits on each of them."""
    return float(self._gather_all(value).mean())

  def assert_equal_across_workers(self, name: str, value: str) -> None:
    """Check that `value` is the same on all workers.

    Raises:
      RunError: It is not; the message calls it `name`.
    """
    digest = hashlib.sha256(value.encode()).digest()
    # Six bytes: exact in a float64.
    if len(set(self._gather_all(float(int.from_bytes(digest[:6], 'big'))))) > 1:
      raise errors.RunError(
        f'the workers do not agree on {name}; give all of them the same flags '
        'and a run_dir that they share'
      )

  def _gather_all(self, value):
    """Return the values of all workers' replicas, in order."""
    if self.count == 1:
      return np.array([value])
    return self._gather(tf.constant([value], tf.float64)).numpy()


@contextlib.contextmanager
def convert_errors() -> Iterator[None]:
  """Convert errors of collective operations into one line.

  Raises:
    RunError: The enclosed code waited for a worker that has died.
  """
  try:
    yield
  except _LOST as error:
    # It names the device, or the worker that is lost.
    if not re.search('/job:(worker|chief)/', str(error)):
      raise
    raise errors.RunError(
      f'another worker is gone ({type(error).__name__}); start all again '
      'with the same commands: they continue from the last checkpoint'
    ) from None
