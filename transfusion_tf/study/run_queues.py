"""The missing runs of a study as jobs of a schedule, in the runner's order."""

from collections.abc import Callable, Mapping, Sequence
import os

from transfusion_tf import config
from transfusion_tf.run import network as network_lib
from transfusion_tf.study import files
from transfusion_tf.study import run_cost
from transfusion_tf.study import runner
from transfusion_tf.study import scheduling


def jobs(
  phases: Sequence[Mapping[str, config.Experiment]],
  root: str,
  cost_of: Callable[[config.Experiment], run_cost.Cost],
  again: bool = False,
) -> list[scheduling.Job]:
  """Return the runs that are missing.

  Args:
    phases: Key -> run of known length, of each call of `runner.train`.
    root: Folder of the study.
    cost_of: Returns the cost of a run.
    again: Whether those that are finished are taken as missing.
  """
  found: dict[str, scheduling.Job] = {}
  for planned in phases:
    missing = [
      key
      for key in planned
      if key not in found and (again or not files.is_finished(root, key))
    ]
    for keys in runner.in_order(missing, planned, root, by_seed=False):
      number = len({job.phase for job in found.values()})
      for key in keys:
        experiment = planned[key]
        cost = cost_of(experiment)
        found[key] = _job(key, experiment, cost, root, number)
  return list(found.values())


def _job(key, experiment, cost, root, number):
  source = experiment.init.pretrained
  inside = os.path.join(root, '')
  return scheduling.Job(
    key,
    work=cost.work(experiment),
    start=cost.start(experiment),
    compiling=cost.compiling,
    saves=max(run_cost.num_checkpoints(experiment), 1),
    # Processes end with their phase.
    group=f'{number} {network_lib.shared_by(experiment)}',
    source=source.removeprefix(inside) if source.startswith(inside) else '',
    phase=number,
  )
