"""How long a plan takes, by what the runs of its networks cost.

Runs are taken by processes as `process_pool` hands them out, with those that
others start from first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import heapq
import itertools
import time

from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import registry
from transfusion_tf.run import network as network_lib
from transfusion_tf.study import benefit
from transfusion_tf.study import files
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import process_pool
from transfusion_tf.study import run_cost
from transfusion_tf.study import runner
from transfusion_tf.study import time_costs

Costs = Mapping[time_costs.Key, run_cost.Cost]

# Seconds of the figures and pages; of a start's similarity at a stage.
_REPORT, _SIMILARITY = 8.0, 1.0
_STATISTICS_IMAGES = 256  # That batch norm has its statistics of.


@dataclasses.dataclass(frozen=True)
class Machine:
  """How a study is made.

  Attributes:
    root: Its folder.
    num_processes: Runs at a time.
    locates_benefit: Whether that comes after the runs.
    probes: Seconds of probes that come after the runs.
  """

  root: str
  num_processes: int = 1
  locates_benefit: bool = True
  probes: float = 0.0


def phases(plan: plan_lib.Plan, root: str) -> list[list[plan_lib.PlannedRun]]:
  """Return the runs of a plan that are trained one after another."""
  return [plan.trials(root), plan.all_runs(root)]


class Forecast:
  """How long plans take, by short runs of their networks."""

  def __init__(self, plan: plan_lib.Plan, machine: Machine):
    """Measure the networks of a plan."""
    self._machine = machine
    root = machine.root
    data = plan.base.data.dataset
    prepared = tfds_folder.open_dataset(plan.base.runtime.data_dir, data)
    self._num_test = prepared.num_examples(prepared.scored_split)
    print('== Measuring what runs cost', flush=True)
    began = time.monotonic()
    runs = itertools.chain(*phases(plan, root))
    self._costs, failed = time_costs.measure(runs, root, machine.num_processes)
    for (model, *_), error in failed.items():
      print(f'{registry.label(model)}: not measured, not planned: {error}')
    print(f'{time.monotonic() - began:.0f} seconds of measuring', flush=True)

  def seconds(self, plan: plan_lib.Plan) -> float:
    """Return the seconds of all that is missing of a plan."""
    training = seconds(
      phases(plan, self._machine.root),
      self._costs,
      self._machine.root,
      self._machine.num_processes,
    )
    return training + self.closing(plan)

  def closing(self, plan: plan_lib.Plan) -> float:
    """Return the seconds of the comparisons and the report."""
    comparing = closing(
      plan, self._costs, self._num_test, self._machine.locates_benefit
    )
    return comparing + self._machine.probes

  def record(self) -> dict[str, dict[str, float]]:
    """Return the costs as JSON can hold them."""
    return {
      ', '.join(filter(None, key)): {
        name: round(value, 5) for name, value in vars(cost).items()
      }
      for key, cost in self._costs.items()
    }

  def lines(self, plan: plan_lib.Plan) -> Iterator[str]:
    """Yield the table of a plan."""
    root = self._machine.root
    rows = table(phases(plan, root), self._costs, root)
    yield f'{"Network":24}{"Runs":>6}{"Minutes":>9}'
    for name, count, total in rows:
      minutes = total / 60 / self._machine.num_processes
      yield f'{name:24}{count:6}{minutes:9.1f}'
    yield f'{"Comparisons, report":30}{self.closing(plan) / 60:9.1f}'


def seconds(
  phases: Sequence[Iterable[plan_lib.PlannedRun]],
  costs: Costs,
  root: str,
  num_processes: int = 1,
) -> float:
  """Return how long the missing runs of phases train, one after another.

  Args:
    phases: Runs that are trained by one call of `runner.train`.
    costs: Of networks; the runs of others count nothing.
    root: Folder of the study.
    num_processes: Runs at a time.
  """
  total = 0.0
  made: set[str] = set()
  for phase in phases:
    planned = {
      run.key: run.experiment
      for run in phase
      if run.key not in made and not files.is_finished(root, run.key)
    }
    made |= planned.keys()
    for keys in runner.in_order(list(planned), planned, root, by_seed=True):
      total += _together([planned[key] for key in keys], costs, num_processes)
  return total


def _together(experiments, costs, num_processes) -> float:
  """Return how long runs take that processes share as `process_pool` does."""
  groups = {
    str(n): network_lib.shared_by(each) for n, each in enumerate(experiments)
  }
  waiting = process_pool.Waiting(groups)
  # When each is free, and the group that its process has compiled.
  workers = [(0.0, n, '') for n in range(min(num_processes, len(experiments)))]
  end = 0.0
  while workers:
    free, number, compiled = heapq.heappop(workers)
    taken = waiting.take(compiled)
    if taken is None:
      continue
    group, key = taken
    experiment = experiments[int(key)]
    if cost := costs.get(time_costs.key_of(experiment)):
      free += cost.seconds(experiment) + cost.compiling * (group != compiled)
    end = max(end, free)
    heapq.heappush(workers, (free, number, group))
  return end


def closing(
  plan: plan_lib.Plan, costs: Costs, num_test: int, locates_benefit: bool
) -> float:
  """Return the seconds of the comparisons after the runs, and the report.

  Args:
    plan: The plan.
    costs: Of networks.
    num_test: Test images.
    locates_benefit: Whether that is measured too.
  """
  total = _REPORT
  for model in plan.models:
    cost = _of_network(model, plan, costs)
    if cost is None:
      continue
    starts = plan.starts_of(model)
    stages = max(len(plan.stages.get(model, ())), 1)
    # Before and after training, on all test images.
    total += cost.compiling + _SIMILARITY * len(starts) * stages
    total += 2 * len(starts) * num_test * cost.image
    if locates_benefit:
      whole = [start for start in starts if not start.stage]
      lines = len(benefit.POSITIONS) if plan.num_seeds > 1 else 0
      scored = stages * len(whole)
      scored += lines * sum(start.scheme in benefit.PATHS_OF for start in whole)
      images = _STATISTICS_IMAGES + min(num_test, benefit.MOST_IMAGES)
      total += cost.compiling + scored * images * cost.image
  return total


def _of_network(model, plan, costs):
  """Return the cost of a network, of the whole one if that was measured."""
  of_data = {
    stage: cost
    for (name, dataset, stage), cost in costs.items()
    if (name, dataset) == (model, plan.base.data.dataset)
  }
  return of_data.get('', next(iter(of_data.values()), None))


def table(
  phases: Sequence[Iterable[plan_lib.PlannedRun]], costs: Costs, root: str
) -> list[tuple[str, int, float]]:
  """Return each network, its missing runs and the seconds of these alone."""
  missing = {
    run.key: run.experiment
    for run in itertools.chain(*phases)
    if not files.is_finished(root, run.key)
  }
  rows: dict[str, list[float]] = {}
  for experiment in missing.values():
    cost = costs.get(time_costs.key_of(experiment))
    rows.setdefault(experiment.model.name, []).append(
      cost.seconds(experiment) if cost else 0.0
    )
  return [
    (registry.label(model), len(each), sum(each))
    for model, each in rows.items()
  ]
