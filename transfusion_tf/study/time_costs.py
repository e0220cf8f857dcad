"""What the runs of a study cost on this machine, by short ones of each network.

A network is compiled, and trained for a few steps as a study does: what its
steps and evaluations do not take, a run costs whatever its length. As many
processes measure at once as will train, for they share the cores.
"""

from collections.abc import Iterable
import contextlib
import dataclasses
import functools
import io
import math
import os
import time

import numpy as np

from transfusion_tf import config
from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import network as network_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import files
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import process_pool

_FOLDER, _RECORD = 'time_costs', 'cost.json'
# Steps of the first run, and between its evaluations; a second one has as many
# as take a few seconds.
_STEPS, _EVERY = 12, 4
_LONG_SECONDS, _LAST_START = 3.0, 14.0

# Model and data set.
Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Cost:
  """Seconds of parts of a run.

  Attributes:
    compiling: Of the first run of a process, beside the others.
    run: Of each run, however long.
    weights: Of a run from pretrained weights, beside the others.
    step: Of a training step.
    evaluation: Of an evaluation on validation, with its checkpoint.
    image: Of a forward pass, for an image.
  """

  compiling: float
  run: float
  weights: float
  step: float
  evaluation: float
  image: float = 0.0

  def seconds(self, experiment: config.Experiment) -> float:
    """Return the seconds of a run after the first of its process."""
    train = experiment.train
    evaluations = 1 + -(-train.train_steps // train.eval_every)
    return (
      self.run
      + self.weights * bool(experiment.init.pretrained)
      + self.step * train.train_steps
      + self.evaluation * evaluations
    )


def key_of(experiment: config.Experiment) -> Key:
  """Return what runs of one cost have in common."""
  return experiment.model.name, experiment.data.dataset


def measure(
  runs: Iterable[plan_lib.PlannedRun], root: str, num_processes: int = 1
) -> tuple[dict[Key, Cost], dict[Key, str]]:
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
  costs, failed = {}, {}
  # Importing TensorFlow is no cost of the first network.
  dict(process_pool.each({'nothing': _nothing}, num_processes))
  for key, experiments in groups.items():
    measured = _measure_network(experiments, root, num_processes)
    if isinstance(measured, Cost):
      costs[key] = measured
    else:
      failed[key] = measured
  return costs, failed


def _nothing():
  """Do nothing, in a process."""


def _measure_network(experiments, root, num_processes) -> Cost | str:
  """Return the cost of a network, or why it cannot be measured."""
  folder = os.path.join(root, _FOLDER)
  storage.remove_folder(folder)  # Of a session that was stopped.
  jobs = {
    str(n): functools.partial(
      _measure,
      _without_weights(experiments[0]),
      _with_weights(experiments, root),
      os.path.join(folder, str(n)),
    )
    for n in range(min(num_processes, len(experiments)))
  }
  began = time.monotonic()
  try:
    ended = process_pool.each(jobs, num_processes, None, network_lib.Shared)
    if error := next((error for _, error in ended if error), ''):
      return error
    return _mean(
      [
        json_file.read(
          os.path.join(folder, n, _RECORD), dict[str, float], 'start again'
        )
        for n in jobs
      ],
      time.monotonic() - began,
    )
  finally:
    storage.remove_folder(folder)


def _mean(records, wall) -> Cost:
  """Return the mean of what processes measured.

  What it took to start them belongs to compiling.
  """
  starting = wall - max(record.pop('measured') for record in records)
  names = records[0]
  mean = {name: float(np.mean([r[name] for r in records])) for name in names}
  return Cost(**mean | {'compiling': mean['compiling'] + max(starting, 0.0)})


def _without_weights(experiment):
  return config.override(
    experiment, {'init': config.Init(), 'train.probe_steps': 0}
  )


def _with_weights(experiments, root):
  """Return a run from weights that exist; '' stands for weights of the study.

  None if no run has any.
  """
  # Frozen stages would be another network, to be compiled.
  using = [
    each
    for each in experiments
    if each.init.pretrained and not each.init.freeze_upto
  ]
  inside = os.path.join(os.path.normpath(root), '')
  for each in using:
    if not os.path.normpath(each.init.pretrained).startswith(inside):
      return each
  return config.override(using[0], {'init.pretrained': ''}) if using else None


def _measure(experiment, with_weights, folder, shared):
  """Write the cost of a network to a file in `folder`."""
  began = time.monotonic()
  compiling, image = _compile(experiment, shared)
  first = _run(experiment, folder, _STEPS, _EVERY, shared)
  # Later runs have compiled what the first steps had to.
  extra = max(first.parts[0] - _EVERY * first.step, 0.0)
  cost = Cost(compiling + extra, first.rest, 0.0, first.step, first.evaluation)
  # Small networks have the time for a longer run, and for one from weights.
  if time.monotonic() - began < _LAST_START:
    half = math.ceil(_LONG_SECONDS / 2 / max(first.step, 1e-3))
    long = _run(experiment, folder, 2 * half, half, shared)
    cost = Cost(cost.compiling, long.rest, 0.0, long.step, long.evaluation)
  if with_weights is not None and time.monotonic() - began < _LAST_START:
    if not with_weights.init.pretrained:
      source = os.path.join(folder, f'steps{_STEPS}')
      with_weights = config.override(with_weights, {'init.pretrained': source})
    started = _run(with_weights, folder, _EVERY, _EVERY, shared)
    known = cost.run + started.parts[0] + 2 * cost.evaluation
    weights = max(started.seconds - known, 0.0)
    cost = dataclasses.replace(cost, weights=weights)
  record = vars(cost) | {'image': image, 'measured': time.monotonic() - began}
  storage.write_json(os.path.join(folder, _RECORD), record)


def _compile(experiment, shared):
  """Build and compile a network; return how long that and an image take."""
  began = time.monotonic()
  built = run_lib.build(experiment, shared=shared)
  predict = built.predictor()
  predict(tfds_folder.VALIDATION)
  compiled = time.monotonic()
  predict(tfds_folder.VALIDATION)
  again = time.monotonic() - compiled
  count = built.source.prepared.num_examples(tfds_folder.VALIDATION)
  return max(compiled - began - again, 0.0), again / count


@dataclasses.dataclass(frozen=True)
class _Timed:
  """A short run.

  Attributes:
    seconds: Of all of it.
    parts: Of the steps between two evaluations.
    step: Of a step, the first part apart where there are others.
    evaluation: Of an evaluation and its checkpoint.
  """

  seconds: float
  parts: tuple[float, ...]
  step: float
  evaluation: float

  @property
  def rest(self) -> float:
    """The seconds of what is neither a step nor an evaluation."""
    evaluations = self.evaluation * (len(self.parts) + 1)
    return max(self.seconds - sum(self.parts) - evaluations, 0.0)


def _run(experiment, folder, steps, every, shared) -> _Timed:
  """Train a few steps."""
  short = config.override(
    experiment,
    {
      'train.train_steps': steps,
      'train.eval_every': every,
      'train.patience': 0,
      'train.min_steps': 0,
      'train.probe_steps': 0,
    },
  )
  ends, parts = [], []

  def on_row(row, throughput):
    ends.append(time.monotonic())
    if throughput is not None:
      images = every * short.train.batch_size
      parts.append(images / throughput.images_per_second)

  kind = 'weights' if experiment.init.pretrained else 'steps'
  began = time.monotonic()
  with contextlib.redirect_stdout(io.StringIO()):
    train_and_evaluate.run(
      short, os.path.join(folder, f'{kind}{steps}'), None, shared, on_row
    )
  seconds = time.monotonic() - began
  between = np.diff(ends) - parts
  settled = parts[1:] or parts
  return _Timed(
    seconds,
    tuple(parts),
    float(np.mean(settled)) / every,
    max(float(np.mean(between[1:] if len(parts) > 1 else between)), 0.0),
  )
