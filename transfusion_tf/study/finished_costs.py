"""What runs cost, by those of the same network that are finished.

`result.json` says how long the parts of a run's last session took.
"""

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import os
from typing import NamedTuple

import numpy as np

from transfusion_tf import config
from transfusion_tf import run_folder
from transfusion_tf.study import results
from transfusion_tf.study import run_cost
from transfusion_tf.train import timing as timing_lib

_EVALUATED = ('evaluations', 'checkpoints')
_NOTHING = (0, 0.0)


class Kind(NamedTuple):
  """What runs of one cost have in common."""

  model: str
  dataset: str
  freeze_upto: str
  image_size: int
  batch_size: int
  precision: str


def kind_of(experiment: config.Experiment) -> Kind:
  """Return what an experiment has in common with runs of the same cost."""
  return Kind(
    experiment.model.name,
    experiment.data.dataset,
    experiment.init.freeze_upto,
    experiment.data.image_size,
    experiment.train.batch_size,
    experiment.train.precision,
  )


class _Run(NamedTuple):
  """A finished run.

  Attributes:
    parts: Its timing.
    num_validation: Validation images; 0 if that is not known.
    has_weights: Whether it started from pretrained weights.
    has_compiled: Whether it was the first of its process.
  """

  parts: Mapping[str, timing_lib.Part]
  num_validation: int
  has_weights: bool
  has_compiled: bool


def read(
  planned: Mapping[str, config.Experiment], roots: Iterable[str]
) -> dict[Kind, run_cost.Cost]:
  """Return what the finished ones of some runs cost.

  Runs of earlier versions, which have no timing, and damaged ones tell nothing.

  Args:
    planned: Key -> run.
    roots: Folders of studies that may have these runs.
  """
  kinds: dict[Kind, list[_Run]] = {}
  for root in roots:
    for key, experiment in planned.items():
      if run := _read(os.path.join(root, key), experiment):
        kinds.setdefault(kind_of(experiment), []).append(run)
  return {kind: _cost(runs) for kind, runs in kinds.items()}


def _read(run_dir, experiment) -> _Run | None:
  with contextlib.suppress(*results.UNREADABLE):
    result = run_folder.result(run_dir) or {}
    parts = result.get('timing')
    if parts and timing_lib.FIRST + 'evaluations' in parts:
      return _Run(
        parts,
        result.get('num_validation', 0),
        bool(experiment.init.pretrained),
        f'{timing_lib.FIRST}start' in parts,
      )
  return None


def _cost(runs: Sequence[_Run]) -> run_cost.Cost:
  step = _each(runs, ['steps'], 'steps')
  evaluation = _each(runs, _EVALUATED, 'evaluations')
  others = [_fixed(run, step, evaluation) for run in runs]

  def usual(has_weights, has_compiled):
    chosen = [
      seconds
      for run, seconds in zip(runs, others, strict=True)
      if (run.has_weights, run.has_compiled) == (has_weights, has_compiled)
    ]
    return float(np.median(chosen)) if chosen else None

  run = _first(usual(False, False), usual(True, False))
  with_weights = _first(usual(True, False), run)
  compiled = _first(usual(False, True), usual(True, True), run)
  if run is None:  # Each was the only one of its process.
    run = with_weights = 0.0
  images = max(each.num_validation for each in runs)
  return run_cost.Cost(
    compiling=max(compiled - run, 0.0),
    run=run,
    weights=max(with_weights - run, 0.0),
    step=step,
    evaluation=evaluation,
    image=evaluation / images if images else 0.0,
  )


def _first(*values):
  return next((value for value in values if value is not None), None)


def _each(runs, parts, counted):
  """Return the mean seconds of one, without the first ones, if there are more.

  Args:
    runs: The runs.
    parts: Names of the parts that take the time.
    counted: Name of the part of which one is meant.
  """
  for prefix in ('', timing_lib.FIRST):
    count = sum(run.parts.get(prefix + counted, _NOTHING)[0] for run in runs)
    if count:
      spent = sum(
        run.parts.get(prefix + part, _NOTHING)[1]
        for run in runs
        for part in parts
      )
      return spent / count
  return 0.0


def _fixed(run, step, evaluation):
  """Return what a run took beside its steps and evaluations."""

  def count(part):
    names = (part, timing_lib.FIRST + part)
    return sum(run.parts.get(name, _NOTHING)[0] for name in names)

  total = sum(seconds for _, seconds in run.parts.values())
  usual = step * count('steps') + evaluation * count('evaluations')
  return max(total - usual, 0.0)
