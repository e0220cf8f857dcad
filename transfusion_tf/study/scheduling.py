"""When the runs of a study end, on devices that may be taken away.

A simulation of single events: each device takes a job, whichever the order puts
first, and works on it until it is done or the device is preempted. Another
device is there at once then, and the job waits again, with what it has saved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import math

import numpy as np
import simpy

_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Job:
  """A run.

  Attributes:
    key: Its name.
    work: Seconds of its steps and evaluations.
    start: Seconds before them, each time that it is begun or continued.
    compiling: Seconds before them where the device did no job of the same
      group just before.
    saves: Checkpoints that it writes during its work, evenly.
    group: What it shares with others, a compiled network.
    source: Key of the job from whose weights it starts; '' for none.
    phase: Jobs begin once all of lower phases are done.
  """

  key: str
  work: float
  start: float = 0.0
  compiling: float = 0.0
  saves: int = 1
  group: str = ''
  source: str = ''
  phase: int = 0

  @property
  def alone(self) -> float:
    """Seconds on a device of its own."""
    return self.compiling + self.start + self.work

  @property
  def first_checkpoint(self) -> float:
    """Seconds until it has saved anything, on a device of its own."""
    return self.compiling + self.start + self.work / self.saves

  def saved(self, work: float) -> float:
    """Return how many seconds of finished work are in checkpoints."""
    if not self.work:
      return 0.0
    count = math.floor(work / self.work * self.saves + _ROUNDING)
    return self.work * count / self.saves


# Returns which of the jobs that may begin a device takes, given the group of
# its last job, '' for none.
Order = Callable[[Sequence[Job], str], Job]


def longest_first(ready: Sequence[Job], group: str) -> Job:
  """Return the longest job: the short ones fill the gaps at the end."""
  del group
  return max(ready, key=lambda job: job.alone)


class AsThePool:
  """The order in which `process_pool` hands out jobs."""

  def __init__(self):
    self._begun: set[str] = set()

  def __call__(self, ready: Sequence[Job], group: str) -> Job:
    """Return one of the group, else of a new group, else of the largest."""
    groups = [job.group for job in ready]
    if group not in groups:
      new = [each for each in groups if each not in self._begun]
      group = new[0] if new else max(groups, key=groups.count)
    self._begun.add(group)
    return next(job for job in ready if job.group == group)


@dataclasses.dataclass(frozen=True)
class Schedule:
  """What came of a simulation.

  Attributes:
    makespan: Seconds until the last job is done.
    busy: Seconds of all devices at work, with what was lost.
    lost: Seconds of work that was done again.
    preemptions: How many devices were taken away from a job.
    ends: Key -> when the job was done.
  """

  makespan: float
  busy: float
  lost: float
  preemptions: int
  ends: Mapping[str, float]


def simulate(
  jobs: Sequence[Job],
  num_devices: int,
  preempted_every: float = math.inf,
  seed: int = 0,
  order: Order = longest_first,
) -> Schedule:
  """Return when jobs are done.

  Args:
    jobs: The jobs.
    num_devices: Devices, alike.
    preempted_every: Mean seconds until a device is taken away, at random:
      a Poisson process for each.
    seed: Of that.
    order: Which job is taken first.
  """
  return _Cluster(jobs, preempted_every, seed, order).run(num_devices)


class _Cluster:
  """Devices at work, in simulated time."""

  def __init__(self, jobs, preempted_every, seed, order):
    self._every = preempted_every
    self._random = np.random.default_rng(seed)
    self._order = order
    self._waiting = list(jobs)
    self._left = {job.key for job in jobs}
    self._phases: dict[int, int] = {}
    for job in jobs:
      self._phases[job.phase] = self._phases.get(job.phase, 0) + 1
    self._done: dict[str, float] = dict.fromkeys(self._left, 0.0)
    self._ends: dict[str, float] = {}
    self._busy = self._lost = 0.0
    self._preemptions = 0
    self._env = simpy.Environment()
    self._changed = self._env.event()

  def run(self, num_devices) -> Schedule:
    for _ in range(num_devices):
      self._env.process(self._device())
    self._env.run()
    return Schedule(
      max(self._ends.values(), default=0.0),
      self._busy,
      self._lost,
      self._preemptions,
      self._ends,
    )

  def _device(self) -> Iterator[simpy.Event]:
    group = ''
    while self._left:
      job = self._take(group)
      if job is None:
        yield self._changed
        continue
      before = job.start + job.compiling * (job.group != group)
      needed = before + job.work - self._done[job.key]
      lasts = math.inf
      if self._every < math.inf:
        lasts = self._random.exponential(self._every)
      yield self._env.timeout(min(needed, lasts))
      self._busy += min(needed, lasts)
      if lasts < needed:
        self._preempt(job, max(lasts - before, 0.0))
        group = ''
      else:
        self._finish(job)
        group = job.group

  def _take(self, group) -> Job | None:
    phase = min(self._phases)
    ready = [
      job
      for job in self._waiting
      if job.phase == phase and job.source not in self._left
    ]
    if not ready:
      return None
    job = self._order(ready, group)
    self._waiting.remove(job)
    return job

  def _preempt(self, job, worked):
    reached = self._done[job.key] + worked
    self._done[job.key] = job.saved(reached)
    self._lost += reached - self._done[job.key]
    self._preemptions += 1
    self._waiting.insert(0, job)
    self._announce()

  def _finish(self, job):
    self._ends[job.key] = self._env.now
    self._left.remove(job.key)
    self._phases[job.phase] -= 1
    if not self._phases[job.phase]:
      del self._phases[job.phase]
    self._announce()

  def _announce(self):
    """Wake the devices that have nothing to do."""
    changed, self._changed = self._changed, self._env.event()
    changed.succeed()


def critical_path(jobs: Sequence[Job]) -> list[Job]:
  """Return the jobs that wait for one another and take the longest."""
  by_key = {job.key: job for job in jobs}

  def path(job):
    before = by_key.get(job.source)
    return [*(path(before) if before else []), job]

  def seconds(jobs):
    return sum(job.alone for job in jobs)

  return max(map(path, jobs), key=seconds, default=[])
