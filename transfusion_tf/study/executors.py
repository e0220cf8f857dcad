"""Where the jobs of a study are done: by processes here, or on a cluster.

Runs, probes and comparisons are jobs. Whoever has some hands them to an
executor, and hears of each as it ends.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import math
from typing import Any, Protocol

from transfusion_tf import config
from transfusion_tf.study import process_pool
from transfusion_tf.study import run_needs

# Called with the key of a job that begins, and where, if that is not here.
Began = Callable[[str, str], None]


@dataclasses.dataclass(frozen=True)
class Job:
  """Something to call.

  Attributes:
    key: Its name.
    function: A function of what its group shares, or of nothing; picklable.
    group: Jobs of one group share what their process keeps; '' is a group of
      its own.
    needs: What it takes of a machine.
    size: How long it takes, by any measure that all jobs share.
  """

  key: str
  function: Callable[..., None]
  group: str = ''
  needs: run_needs.Needs = run_needs.ONE_CORE
  size: float = 0.0


class Executor(Protocol):
  """Does jobs."""

  @property
  def at_a_time(self) -> int:
    """How many jobs it does at a time."""

  def needs(self, experiment: config.Experiment) -> run_needs.Needs:
    """Return what a run takes of a machine."""

  def run(
    self,
    jobs: Sequence[Job],
    shared: Callable[[], Any] | None = None,
    until: float = math.inf,
    began: Began = lambda key, where: None,
  ) -> Iterator[tuple[str, str]]:
    """Do jobs, and yield as they end.

    Args:
      jobs: The jobs.
      shared: Makes what the jobs of a group share, if anything; picklable.
      until: When to stop, in seconds of `time.monotonic`.
      began: Called as jobs begin, from any thread.

    Yields:
      The key of a job, and why it failed, in one line, or ''. No exception of
      a job ends the others. What is stopped is not yielded.
    """


@dataclasses.dataclass(frozen=True)
class Local:
  """Does jobs in processes of this machine.

  Attributes:
    num_processes: Jobs at a time, as in `process_pool.each`.
  """

  num_processes: int = 1

  @property
  def at_a_time(self) -> int:
    """How many jobs it does at a time."""
    return self.num_processes

  def needs(self, experiment: config.Experiment) -> run_needs.Needs:
    """Return a core: the processes share the machine as it is."""
    del experiment
    return run_needs.ONE_CORE

  def run(
    self,
    jobs: Sequence[Job],
    shared: Callable[[], Any] | None = None,
    until: float = math.inf,
    began: Began = lambda key, where: None,
  ) -> Iterator[tuple[str, str]]:
    """Do jobs, as `Executor.run`; groups one after another."""
    return process_pool.each(
      {job.key: job.function for job in jobs},
      self.num_processes,
      {job.key: job.group or job.key for job in jobs},
      shared,
      until,
      lambda key: began(key, ''),
    )


HERE = Local()  # One after another, in this process.
