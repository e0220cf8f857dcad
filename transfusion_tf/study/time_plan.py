"""What of a study fits into a time limit, chosen before its first run.

Given up are, in this order: seeds down to three, steps down to the recipe's
floor, the third seed, and then networks, the costliest first. A study keeps to
its plan (STUDY/time_plan.json) when it is continued, so that a run has the same
config in every session.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import dataclasses
import os
from typing import Any, NotRequired, TypedDict

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.models import registry
from transfusion_tf.run import table_recipe
from transfusion_tf.study import durations
from transfusion_tf.study import plan as plan_lib

RECORD = 'time_plan.json'
_FEWEST_SEEDS, _ENOUGH_SEEDS = 2, 3
_BISECTIONS = 6


class _Asked(TypedDict):
  limit: float
  models: list[str]
  seeds: int


class _Record(TypedDict):
  models: list[str]
  seeds: int
  length: float
  left_out: list[str]
  asked: NotRequired[_Asked]
  closing: NotRequired[float]


@dataclasses.dataclass(frozen=True)
class Part:
  """The part of a study that is made.

  Attributes:
    models: Networks.
    num_seeds: Seeds of each start.
    length: Fraction of the steps, of which a run has at least its floor.
  """

  models: tuple[str, ...]
  num_seeds: int
  length: float = 1.0

  def of(self, plan: plan_lib.Plan) -> plan_lib.Plan:
    """Return this part of a plan."""
    bases = {
      size: shorter(base, self.length)
      for size, base in plan.subsets.bases.items()
    }
    return dataclasses.replace(
      plan,
      models=self.models,
      num_seeds=self.num_seeds,
      base=shorter(plan.base, self.length),
      subsets=dataclasses.replace(plan.subsets, bases=bases),
      pretraining=plan.pretraining and shorter(plan.pretraining, self.length),
    )


def whole(plan: plan_lib.Plan) -> Part:
  """Return all of a plan as a part."""
  return Part(plan.models, plan.num_seeds)


def shorter(experiment: config.Experiment, length: float) -> config.Experiment:
  """Return a run of a fraction of the steps, or of its floor."""
  train = experiment.train
  least = min(train.train_steps, max(train.min_steps, table_recipe.LEAST_STEPS))
  steps = max(round(train.train_steps * length), least)
  if steps >= train.train_steps:
    return experiment
  floor = round(train.min_steps * steps / train.train_steps)
  return config.override(
    experiment, {'train.train_steps': steps, 'train.min_steps': floor}
  )


def choose(
  plan: plan_lib.Plan,
  limit: float,
  seconds_of: Callable[[plan_lib.Plan], float],
  lengths: bool = True,
) -> Part | None:
  """Return the most of a plan that fits into a time; None if nothing does.

  Args:
    plan: The whole.
    limit: Seconds.
    seconds_of: The time that a plan takes.
    lengths: Whether steps may be given up: not once runs have begun.
  """

  def fits(part):
    return seconds_of(part.of(plan)) <= limit

  for models in _models(plan, seconds_of):
    for part in _parts(models, plan.num_seeds, lengths):
      if fits(part):
        return _longest(part, fits)
  return None


def smallest(
  plan: plan_lib.Plan,
  seconds_of: Callable[[plan_lib.Plan], float],
  lengths: bool = True,
) -> Part:
  """Return the part that is made if nothing else fits."""
  *_, models = _models(plan, seconds_of)
  *_, part = _parts(models, plan.num_seeds, lengths)
  return part


def _models(plan, seconds_of) -> Iterator[tuple[str, ...]]:
  """Yield all networks, then ever fewer, without the costliest."""
  models = plan.models
  yield models
  alone = {}
  for model in models:
    try:
      alone[model] = seconds_of(dataclasses.replace(plan, models=(model,)))
    except errors.InputError:  # Alone it has none of the starts.
      alone[model] = 0.0
  while len(models) > 1:
    # Of equals the last one.
    costliest = max(reversed(models), key=alone.__getitem__)
    models = tuple(model for model in models if model != costliest)
    if any(alone[model] for model in models):
      yield models


def _parts(models, num_seeds, lengths) -> Iterator[Part]:
  """Yield parts of some networks, the best first.

  One whose steps are given up has the fewest: `_longest` takes more.
  """
  enough = min(num_seeds, _ENOUGH_SEEDS)
  for count in range(num_seeds, enough - 1, -1):
    yield Part(models, count)
  for count in range(enough, min(enough, _FEWEST_SEEDS) - 1, -1):
    yield Part(models, count, 0.0 if lengths else 1.0)


def _longest(part, fits):
  """Return a part that fits with as many steps as do."""
  if part.length or fits(longest := dataclasses.replace(part, length=1.0)):
    return part if part.length else longest
  low, high = 0.0, 1.0
  for _ in range(_BISECTIONS):
    middle = (low + high) / 2
    if fits(dataclasses.replace(part, length=middle)):
      low = middle
    else:
      high = middle
  return dataclasses.replace(part, length=low)


def left_out(plan: plan_lib.Plan, part: Part) -> list[str]:
  """Return what a part lacks of a plan, in sentences."""
  sentences = []
  lost = [m for m in plan.models if m not in part.models]
  if lost:
    names = ', '.join(map(registry.label, lost))
    sentences.append(f'No time for {names}.')
  if part.num_seeds < plan.num_seeds:
    sentences.append(
      f'{part.num_seeds} seeds of each in place of {plan.num_seeds}.'
    )
  made = part.of(plan)
  for name, full, now in (
    ('Runs', plan.base, made.base),
    ('Pretraining', plan.pretraining, made.pretraining),
  ):
    if full and now and now.train.train_steps < full.train.train_steps:
      sentences.append(
        f'{name} of {now.train.train_steps:,} steps in place of '
        f'{full.train.train_steps:,}.'
      )
  return sentences


def refusal(limit: float, least: float, full: float) -> errors.InputError:
  """Return the error of a limit into which nothing fits."""
  return errors.InputError(
    f'--time_limit: {durations.text(limit)} are too short: with what comes '
    'before the runs, the smallest part of this study takes about '
    f'{durations.text(least)}, all of it {durations.text(full)}'
  )


def write(root: str, record: Mapping[str, Any]) -> None:
  """Write STUDY/time_plan.json."""
  storage.makedirs(root)
  storage.write_json(os.path.join(root, RECORD), dict(record))


def read(root: str) -> dict[str, Any]:
  """Return STUDY/time_plan.json; empty if there is none.

  Raises:
    DamagedFileError: It is damaged.
  """
  path, remedy = (
    os.path.join(root, RECORD),
    'delete it: the time is planned anew',
  )
  try:
    record = json_file.read(path, _Record, remedy)
  except FileNotFoundError:
    return {}
  is_plan = 0 <= record['length'] <= 1 <= record['seeds']
  if not is_plan or ('asked' in record and 'closing' not in record):
    raise errors.DamagedFileError(path, 'no plan of a time', remedy)
  return record


def has_begun(runs: Iterable[plan_lib.PlannedRun], root: str) -> bool:
  """Return whether a run of a study has begun."""
  return any(
    storage.exists(os.path.join(root, run.key, run_folder.CONFIG))
    for run in runs
  )
