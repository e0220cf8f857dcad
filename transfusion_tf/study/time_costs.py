"""What the runs of a study cost on this machine, by short ones of each network.

As many processes measure at once as will train, for they share the cores.
"""

from collections.abc import Iterable
import functools
import os
import time

import numpy as np

from transfusion_tf import config
from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf.run import network as network_lib
from transfusion_tf.study import executors
from transfusion_tf.study import files
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import run_cost
from transfusion_tf.study import short_runs

_FOLDER = 'time_costs'

# Model, data set, and the stage up to which the network is frozen, if it is.
Key = tuple[str, str, str]


def key_of(experiment: config.Experiment) -> Key:
  """Return what runs of one cost have in common."""
  return (
    experiment.model.name,
    experiment.data.dataset,
    experiment.init.freeze_upto,
  )


def measure(
  runs: Iterable[plan_lib.PlannedRun], root: str, num_processes: int = 1
) -> tuple[dict[Key, run_cost.Cost], dict[Key, str]]:
  """Measure the missing runs of a study.

  Args:
    runs: All runs.
    root: Folder of the study.
    num_processes: Runs at a time.

  Returns:
    The cost of each network on each data set; and of those that cannot be
    measured, why.
  """
  groups: dict[Key, list[config.Experiment]] = {}
  for run in runs:
    if not files.is_finished(root, run.key):
      groups.setdefault(key_of(run.experiment), []).append(run.experiment)
  costs: dict[Key, run_cost.Cost] = {}
  failed: dict[Key, str] = {}
  # Importing TensorFlow is no cost of the first network.
  here = executors.Local(num_processes)
  dict(here.run([executors.Job('nothing', _nothing)]))
  for key, experiments in groups.items():
    measured = _measure_network(experiments, root, here)
    if isinstance(measured, run_cost.Cost):
      costs[key] = measured
    else:
      failed[key] = measured
  return costs, failed


def _nothing():
  """Do nothing, in a process."""


def _measure_network(experiments, root, here) -> run_cost.Cost | str:
  """Return the cost of a network, or why it cannot be measured."""
  folder = os.path.join(root, _FOLDER)
  storage.remove_folder(folder)  # Of a session that was stopped.
  jobs = [
    executors.Job(
      str(n),
      functools.partial(
        short_runs.measure,
        _without_weights(experiments[0]),
        _with_weights(experiments, root),
        os.path.join(folder, str(n)),
      ),
    )
    for n in range(min(here.num_processes, len(experiments)))
  ]
  began = time.monotonic()
  try:
    ended = here.run(jobs, network_lib.Shared)
    if error := next((error for _, error in ended if error), ''):
      return error
    return _mean(
      [
        json_file.read(
          os.path.join(folder, job.key, short_runs.RECORD),
          dict[str, float],
          'start again',
        )
        for job in jobs
      ],
      time.monotonic() - began,
    )
  finally:
    storage.remove_folder(folder)


def _mean(records, wall) -> run_cost.Cost:
  """Return the mean of what processes measured.

  What it took to start them belongs to compiling.
  """
  starting = wall - max(record.pop('measured') for record in records)
  names = records[0]
  mean = {name: float(np.mean([r[name] for r in records])) for name in names}
  return run_cost.Cost(
    **mean | {'compiling': mean['compiling'] + max(starting, 0.0)}
  )


def _without_weights(experiment):
  init = config.Init(freeze_upto=experiment.init.freeze_upto)
  return config.override(experiment, {'init': init, 'train.probe_steps': 0})


def _with_weights(experiments, root):
  """Return a run from weights that exist; '' stands for weights of the study.

  None if no run has any.
  """
  using = [each for each in experiments if each.init.pretrained]
  inside = os.path.join(os.path.normpath(root), '')
  for each in using:
    if not os.path.normpath(each.init.pretrained).startswith(inside):
      return each
  return config.override(using[0], {'init.pretrained': ''}) if using else None
