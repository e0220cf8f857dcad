"""What follows from the runs, by a rule that is stated here.

Whether a start helps is read off the 95 % interval of its test score less that
of random weights, paired on patients, with the spread of the seeds; `margin` is
the smallest difference that matters to whoever asks:

  all of it within +-margin      makes no difference that matters
  all of it above 0              helps
  all of it below 0              hurts
  else                           inconclusive

Each model is represented by the start with the best mean validation score. The
best of these on validation is the yardstick; recommended is the model with the
fewest parameters of which the interval excludes that it is worse than the
yardstick by `margin` or more. The test set chooses nothing else.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from transfusion_tf.study import paired_bootstrap
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import results
from transfusion_tf.study import statistics

SAME = 'makes no difference that matters'
HELPS, HURTS, OPEN = 'helps', 'hurts', 'inconclusive'

# Model -> start -> the runs that are there.
Runs = Mapping[str, Mapping[str, Sequence[results.Result]]]


@dataclasses.dataclass(frozen=True)
class Effect:
  """A start against random weights, on one model.

  Attributes:
    model: Model.
    start: Scheme.
    difference: Of the test scores.
    word: SAME, HELPS, HURTS or OPEN.
  """

  model: str
  start: str
  difference: statistics.Estimate
  word: str


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A model from its best start.

  Attributes:
    model: Model.
    start: The start with the best mean validation score.
    shortfall: Test score of the yardstick less this one's; None for the
      yardstick itself.
    good_enough: Whether it is not worse by the margin or more.
  """

  model: str
  start: str
  shortfall: statistics.Estimate | None
  good_enough: bool


@dataclasses.dataclass(frozen=True)
class Verdict:
  """All that follows.

  Attributes:
    effects: Of every start but random, of every model.
    candidates: The models, the fewest parameters first; none if the validation
      score is not defined.
  """

  effects: tuple[Effect, ...]
  candidates: tuple[Candidate, ...]

  @property
  def recommended(self) -> Candidate | None:
    """None if validation ranks no model."""
    return next((c for c in self.candidates if c.good_enough), None)

  @property
  def yardstick(self) -> Candidate | None:
    return next((c for c in self.candidates if c.shortfall is None), None)

  def effect(self, model: str, start: str) -> Effect | None:
    for effect in self.effects:
      if (effect.model, effect.start) == (model, start):
        return effect
    return None


def judge(difference: statistics.Estimate, margin: float) -> str:
  """Return the word for a difference; see the module's docstring."""
  if not difference.known:
    return OPEN
  if -margin < difference.low and difference.high < margin:
    return SAME
  if difference.low > 0:
    return HELPS
  return HURTS if difference.high < 0 else OPEN


def reach(
  runs: Runs,
  margin: float,
  parameters: Mapping[str, int],
  resamples: paired_bootstrap.Resamples | None = None,
) -> Verdict:
  """Return the verdict on finished runs.

  Args:
    runs: Those with a test score; may be empty.
    margin: The smallest difference in the test score that matters.
    parameters: Of each model.
    resamples: Of the runs, where others use them too.

  Raises:
    Gap: Scores are damaged, or of different images.
  """
  resamples = resamples or paired_bootstrap.Resamples()
  effects = tuple(_effects(runs, resamples, margin))
  every = [seeds for starts in runs.values() for seeds in starts.values()]
  if not runs or not all(map(_is_validated, every)):
    return Verdict(effects, ())
  best = {model: _best_start(starts) for model, starts in runs.items()}
  yardstick = max(best, key=lambda m: _validation(runs[m][best[m]]))
  candidates = []
  for model in sorted(runs, key=parameters.__getitem__):
    shortfall = None
    if model != yardstick:
      pair = [runs[m][best[m]] for m in (yardstick, model)]
      shortfall = resamples.difference([1, -1], pair)
    good = shortfall is None or (shortfall.known and shortfall.high < margin)
    candidates.append(Candidate(model, best[model], shortfall, bool(good)))
  return Verdict(effects, tuple(candidates))


def _effects(runs, resamples, margin):
  for model, starts in runs.items():
    for start, seeds in starts.items():
      if start != plan_lib.RANDOM and plan_lib.RANDOM in starts:
        difference = resamples.difference(
          [1, -1], [seeds, starts[plan_lib.RANDOM]]
        )
        yield Effect(model, start, difference, judge(difference, margin))


def _is_validated(seeds):
  return all(run.curve[run.primary_metric].notna().all() for run in seeds)


def _best_start(starts):
  return max(starts, key=lambda start: _validation(starts[start]))


def _validation(seeds):
  return float(np.mean([run.curve[run.primary_metric].max() for run in seeds]))
