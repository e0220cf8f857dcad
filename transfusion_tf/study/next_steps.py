"""What a study does not know yet, and what would settle it.

A comparison without a verdict is open: how many seeds, or test patients, would
decide it is forecast from the spreads that were observed (`power`), whatever
the decision then is. Where a start is at chance, or runs still improve, more
seeds do not help, and what may is said instead.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import math

import numpy as np
from scipy import stats

from transfusion_tf.models import registry
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import paired
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import power
from transfusion_tf.study import results

# Seeds that are tried together with more patients.
_TOGETHER = (5, 10, 20, power.MOST_SEEDS)
GOOD_ENOUGH = 'good enough'
NOT_SHOWN = 'not shown to be good enough'
# Pilot, seeds and factor of patients -> the chance of a decision.
_ChanceOf = Callable[[power.Pilot, float, float], float]


@dataclasses.dataclass(frozen=True)
class Step:
  """What is known of one comparison, and what would settle it.

  Attributes:
    model: Model.
    start: Its start.
    known: The verdict, or what there is in place of one.
    advice: What would settle it, in sentences; empty if it is known.
    more_seeds: Seeds to add to those of each start, if that does; else 0.
    epochs: The `--epochs` to give, if the runs were too short; else 0.
  """

  model: str
  start: str
  known: str
  advice: str = ''
  more_seeds: int = 0
  epochs: int = 0

  @property
  def is_known(self) -> bool:
    return not self.advice


def steps(
  runs: decision.Runs,
  decided: decision.Decision,
  margin: float,
  comparer: paired.Comparer,
) -> list[Step]:
  """Return a step for each comparison of a study.

  Args:
    runs: The scored runs.
    decided: The decision on them.
    margin: The smallest difference in the test score that matters.
    comparer: Has read the scores of the runs.
  """
  effects = [_effect(runs, e, margin, comparer) for e in decided.effects]
  return [*effects, *_candidates(runs, decided, margin, comparer)]


def _effect(runs, effect, margin, comparer):
  """Return the step for a start against random weights."""
  step = Step(effect.model, effect.start, effect.verdict)
  groups = [runs[effect.model][s] for s in (effect.start, plan_lib.RANDOM)]
  if effect.at_chance:
    sides = ' and '.join(display.start(s).label for s in effect.at_chance)
    return _at_chance(step, sides)
  if effect.verdict == decision.NONE:
    return _longer(step, groups)
  if effect.verdict != decision.OPEN:
    return step
  return _open(
    step,
    groups,
    comparer,
    margin,
    lambda pilot, *grown: pilot.verdict_chance(margin, *grown),
  )


def _candidates(runs, decided, margin, comparer) -> Iterator[Step]:
  """Yield the steps for networks smaller than the one to take."""
  reference = decided.reference
  if reference is None:
    return
  guessing = {(test.model, test.start) for test in decided.at_chance}
  best = runs[reference.model][reference.start]
  for candidate in decided.candidates:
    if candidate.deficit is None or candidate == decided.recommended:
      return  # No smaller one is left.
    step = Step(candidate.model, candidate.start, NOT_SHOWN)
    groups = [best, runs[candidate.model][candidate.start]]
    sides = [
      registry.label(each.model)
      for each in (reference, candidate)
      if (each.model, each.start) in guessing
    ]
    if sides:
      yield _at_chance(step, ' and '.join(sides))
    elif not decision.is_settled(best):
      yield _longer(step, groups)
    else:
      yield _open(
        step,
        groups,
        comparer,
        margin,
        lambda pilot, *grown: pilot.chance(*grown, below=margin).decided,
      )


def _at_chance(step, sides):
  return dataclasses.replace(
    step,
    advice=(
      f'{sides}: not better than chance. More seeds do not settle it: more '
      'training images, longer runs or another recipe may.'
    ),
  )


def _longer(step, groups):
  """Return the step of runs that were still improving."""
  run = next((r for g in groups for r in g if r.is_improving), groups[0][0])
  train = run.experiment.train
  epochs = train.train_steps * train.batch_size / run.result['num_train']
  epochs = math.ceil(2 * (epochs or train.train_epochs))
  return dataclasses.replace(
    step,
    advice=(
      'Runs were still improving when they ended: longer ones may end '
      f'otherwise (--epochs={epochs}).'
    ),
    epochs=epochs,
  )


def _open(step, groups, comparer, margin, chance_of: _ChanceOf):
  """Return the step of a difference that seeds or patients may decide."""
  pilot = _pilot(groups, comparer)
  if pilot is None:
    return dataclasses.replace(
      step,
      advice='One seed tells no spread. Two more would give a first answer.',
      more_seeds=2,
    )
  count = _num_patients(groups)
  seeds = power.fewest(
    lambda seeds: chance_of(pilot, seeds, 1.0), power.more_seeds(pilot.seeds)
  )
  patients, together = _patients(pilot, chance_of)
  more = int(seeds - pilot.seeds) if seeds else 0
  enough = f'about {_rounded(patients * count):,} test patients'
  if seeds:
    advice = f'{_counted(more)} would settle it with a chance of 80 %'
    advice += f'; so would {enough}.' if together == pilot.seeds else '.'
  elif patients:
    advice = (
      f'No number of seeds up to {power.MOST_SEEDS} would settle it; {enough}, '
      f'in place of {count:,}, with {together} seeds each would, with a chance '
      'of 80 %.'
    )
  else:
    advice = (
      f'Neither {power.MOST_SEEDS} seeds nor '
      f'{int(power.MOST_PATIENTS * count):,} test patients would settle it '
      f'with a chance of 80 %.{_likely_small(pilot.estimate, margin)}'
    )
  return dataclasses.replace(step, advice=advice, more_seeds=more)


def _pilot(groups, comparer) -> power.Pilot | None:
  """Return what the seeds tell, with the part of patients that they share."""
  estimate = comparer.difference([1, -1], groups)
  if not estimate.known:
    return None
  seeds = min(map(len, groups))
  # A mean over n seeds has the variance A + B / n over patients; a seed, A + B.
  one = np.mean(
    [
      comparer.difference(
        [1, -1], [[group[n]] for group in groups]
      ).patients.value
      for n in range(seeds)
    ]
  )
  own = (one - estimate.patients.value) / (1 - 1 / seeds)
  shared = estimate.patients.value - max(own, 0) / seeds
  return power.Pilot(estimate, seeds, max(float(shared), 0.0))


def _patients(pilot, chance_of) -> tuple[float, int]:
  """Return the factor of patients that decides, 0 if none, and the seeds."""
  for seeds in (pilot.seeds, *(n for n in _TOGETHER if n > pilot.seeds)):
    factor = power.fewest(
      functools.partial(chance_of, pilot, seeds),
      power.more_patients(),
    )
    if factor:
      return factor, seeds
  return 0.0, 0


def _likely_small(estimate, margin):
  """Return that a difference is likely too small to matter, or ''."""
  stddev = math.sqrt(estimate.variance + estimate.patients.value)
  if not stddev:
    return ''
  low, high = stats.norm.cdf(
    [-margin, margin], loc=estimate.value, scale=stddev
  )
  likely = high - low > 0.5
  return f' The difference is likely smaller than {margin:g}.' if likely else ''


def _num_patients(groups: Sequence[Sequence[results.Result]]) -> int:
  return groups[0][0].scores['patient_id'].nunique()


def _rounded(count):
  """Return a number with two digits: a forecast has no more."""
  digits = max(len(str(int(count))) - 2, 0)
  return int(math.ceil(count / 10**digits) * 10**digits)


def _counted(more):
  return f'{more} more seed{"" if more == 1 else "s"} of each'
