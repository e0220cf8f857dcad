"""What a study will take, before it is made, in lines of text."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import math

import numpy as np

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.study import device_costs
from transfusion_tf.study import durations
from transfusion_tf.study import finished_costs
from transfusion_tf.study import known_costs
from transfusion_tf.study import plan_sizes
from transfusion_tf.study import run_queues
from transfusion_tf.study import scheduling
from transfusion_tf.study import spending

_SIMULATIONS = 20  # Of preemptions at random; their mean is shown.
_LABEL, _COLUMN = 24, 20
_CLEARLY = 0.99
# Means of a device's life that a first checkpoint may take: e^4 tries.
_MOST_TRIES = 4


@dataclasses.dataclass(frozen=True)
class Question:
  """A study, and what it might be made on.

  Attributes:
    phases: Key -> run of known length, of each call of `runner.train`.
    root: Folder of the study.
    device: The kind of device, for runs like none that is finished.
    num_validation: Data set -> its validation images, for these.
    pilots: Folders of studies whose finished runs tell costs, beside its own.
    num_processes: Runs at a time on this machine.
    num_devices: Numbers of devices.
    preempted_every: Mean seconds until a device is taken away.
    whole: Whether finished runs are taken as missing.
  """

  phases: Sequence[Mapping[str, config.Experiment]]
  root: str
  device: device_costs.Kind
  num_validation: Mapping[str, int]
  pilots: Sequence[str] = ()
  num_processes: int = 1
  num_devices: Sequence[int] = (1, 8, 32, 128)
  preempted_every: float = math.inf
  whole: bool = False

  @property
  def planned(self) -> dict[str, config.Experiment]:
    """All runs."""
    return {key: run for phase in self.phases for key, run in phase.items()}

  def costs(self) -> known_costs.KnownCosts:
    """Return what its runs cost."""
    finished = finished_costs.read(self.planned, [self.root, *self.pilots])
    return known_costs.KnownCosts(self.device, self.num_validation, finished)

  def jobs(self, costs: known_costs.KnownCosts) -> list[scheduling.Job]:
    """Return its missing runs."""
    return run_queues.jobs(self.phases, self.root, costs.of, self.whole)


def lines(question: Question) -> Iterator[str]:
  """Yield the plan of a study.

  Raises:
    InputError: Devices are taken away before a run has got anywhere.
  """
  planned, costs = question.planned, question.costs()
  jobs = question.jobs(costs)
  _check_rate(question.preempted_every, jobs)
  yield f'{len(jobs)} of {len(planned)} runs are to be made'
  if not jobs:
    return
  yield from _device_hours(jobs, planned, costs)
  path = scheduling.critical_path(jobs)
  names = ', then '.join(job.key for job in path)
  yield _line('Critical path', f'{durations.text(_alone(path))}: {names}')
  yield from _resources(jobs, planned)
  if all(costs.is_measured(planned[job.key]) for job in jobs):
    here = scheduling.simulate(
      jobs, question.num_processes, order=scheduling.AsThePool()
    )
    label = f'Here, {question.num_processes} at a time'
    yield _line(label, durations.text(here.makespan))
  yield from _makespans(question, jobs)


def _check_rate(every, jobs):
  """Refuse a rate at which a run would take for ever."""
  longest = max(jobs, key=lambda job: job.first_checkpoint, default=None)
  if longest and every * _MOST_TRIES < longest.first_checkpoint:
    raise errors.InputError(
      f'devices that last {durations.text(every)} are lost before '
      f'{longest.key} has written a checkpoint, which takes it '
      f'{durations.text(longest.first_checkpoint)}: plan with a longer '
      '--plan_preempted_every, or with checkpoints more often'
    )


def _device_hours(jobs, planned, costs):
  places: dict[str, list[scheduling.Job]] = {}
  for job in jobs:
    places.setdefault(costs.place_of(planned[job.key]), []).append(job)
  for place, group in places.items():
    hours = _hours(_alone(group) / 3600)
    runs = 'all runs' if len(group) == len(jobs) else f'{len(group)} runs'
    yield _line('Device-hours', f'{hours} ({runs}, {place})')
  others = ', '.join(
    f'{_hours(hours)} on {kind.name}'
    for kind in device_costs.KINDS.values()
    if kind is not costs.device
    for hours in [_hours_on(kind, jobs, planned, costs)]
  )
  yield _line('  as estimated', others)


def _hours_on(kind, jobs, planned, costs):
  total = 0.0
  for job in jobs:
    run = planned[job.key]
    images = costs.num_validation.get(run.data.dataset, 0)
    cost = kind.cost(run, images)
    total += cost.compiling + cost.seconds(run)
  return total / 3600


def _resources(jobs, planned):
  sizes = plan_sizes.read(planned[job.key] for job in jobs)
  taken = sum(
    (spending.of_run(planned[job.key], job.alone, sizes) for job in jobs),
    spending.Spending(),
  )
  yield _line('Storage', f'{taken.storage / 1e9:,.1f} GB, checkpoints, at most')
  used = {planned[job.key].data.dataset for job in jobs}
  unknown = sorted(used - sizes.splits.keys())
  without = f', but for reading {", ".join(unknown)}' if unknown else ''
  yield _line('Requests to a bucket', f'{taken.requests:,}{without}')


def _makespans(question, jobs):
  rates = [math.inf]
  if question.preempted_every < math.inf:
    rates.append(question.preempted_every)
  heads = [
    'never preempted' if math.isinf(rate) else f'every {durations.text(rate)}'
    for rate in rates
  ]
  yield ''
  yield _line('Devices', ''.join(f'{head:{_COLUMN}}' for head in heads))
  for number in question.num_devices:
    cells = [_cell(jobs, number, rate) for rate in rates]
    yield _line(str(number), ''.join(f'{cell:{_COLUMN}}' for cell in cells))
  largest = max(question.num_devices)
  patient = scheduling.simulate(jobs, largest).makespan
  free = [dataclasses.replace(job, phase=0) for job in jobs]
  eager = scheduling.simulate(free, largest).makespan
  if eager < _CLEARLY * patient:
    yield (
      f'Runs wait for all pretraining. If each waited for its own alone, '
      f'{largest} devices would take {durations.text(eager)}'
    )


def _cell(jobs, number, rate):
  """Return a makespan, and the part of the devices' time that was used."""
  count = _SIMULATIONS if rate < math.inf else 1
  made = [
    scheduling.simulate(jobs, number, rate, seed) for seed in range(count)
  ]
  makespan = float(np.mean([each.makespan for each in made]))
  used = np.mean([each.busy - each.lost for each in made]) / number / makespan
  return f'{durations.text(makespan)} ({used:.0%})'


def _hours(hours):
  return f'{hours:,.1f}' if hours >= 1 else f'{hours:.2g}'


def _alone(jobs):
  return sum(job.alone for job in jobs)


def _line(label, text):
  return f'{label:{_LABEL}}{text}'.rstrip()
