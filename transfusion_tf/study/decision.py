"""The decision that follows from the runs of a study, by a stated rule.

Whether an initialization (`start`) helps is read off the 95 % interval of its
test score minus that of random weights, paired on patients, with the variance
of the seeds; `margin` is the smallest difference that matters to the user:

  all of it within +-margin      makes no difference that matters
  all of it above 0              helps
  all of it below 0              hurts
  else                           inconclusive

Each model is represented by the start with the best mean validation score. The
best of these on validation is the reference; recommended is the model with the
fewest parameters whose interval excludes that it is worse than the reference by
`margin` or more. The test set decides nothing else.
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

# Model -> start -> finished runs.
Runs = Mapping[str, Mapping[str, Sequence[results.Result]]]


@dataclasses.dataclass(frozen=True)
class Effect:
  """A start against random weights, on one model.

  Attributes:
    model: Model.
    start: Scheme.
    difference: Difference of the test scores.
    verdict: SAME, HELPS, HURTS or OPEN.
  """

  model: str
  start: str
  difference: statistics.Estimate
  verdict: str


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A model from its best start.

  Attributes:
    model: Model.
    start: The start with the best mean validation score.
    deficit: Test score of the reference minus this one's; None for the
      reference itself.
    good_enough: Whether it is shown not to be worse by the margin or more.
  """

  model: str
  start: str
  deficit: statistics.Estimate | None
  good_enough: bool


@dataclasses.dataclass(frozen=True)
class Decision:
  """The effects and the recommendation.

  Attributes:
    effects: Effect of every start but random, on every model.
    candidates: The models, the fewest parameters first; none if the validation
      score is not defined.
  """

  effects: tuple[Effect, ...]
  candidates: tuple[Candidate, ...]

  @property
  def recommended(self) -> Candidate | None:
    """The smallest model that is good enough; None without candidates."""
    return next((c for c in self.candidates if c.good_enough), None)

  @property
  def reference(self) -> Candidate | None:
    """The best model on validation; None without candidates."""
    return next((c for c in self.candidates if c.deficit is None), None)

  def effect(self, model: str, start: str) -> Effect | None:
    """Return an effect; None for random weights."""
    pair = model, start
    return next((e for e in self.effects if (e.model, e.start) == pair), None)


def judge(difference: statistics.Estimate, margin: float) -> str:
  """Return the verdict on a difference; see the module docstring."""
  if not difference.known:
    return OPEN
  if -margin < difference.low and difference.high < margin:
    return SAME
  if difference.low > 0:
    return HELPS
  return HURTS if difference.high < 0 else OPEN


def decide(
  runs: Runs,
  margin: float,
  parameters: Mapping[str, int],
  resamples: paired_bootstrap.Resamples | None = None,
) -> Decision:
  """Return the decision on finished runs.

  Args:
    runs: Runs with a test score; may be empty.
    margin: The smallest difference in the test score that matters.
    parameters: Number of parameters of each model.
    resamples: Resamples of the runs, to share.

  Raises:
    MissingResultError: Scores are damaged, or of different images.
  """
  resamples = resamples or paired_bootstrap.Resamples()
  effects = tuple(_effects(runs, resamples, margin))
  groups = [seeds for starts in runs.values() for seeds in starts.values()]
  if not runs or not all(map(_is_validated, groups)):
    return Decision(effects, ())
  best = {model: _best_start(starts) for model, starts in runs.items()}
  reference = max(best, key=lambda m: _validation(runs[m][best[m]]))
  candidates = []
  for model in sorted(runs, key=parameters.__getitem__):
    deficit = None
    if model != reference:
      pair = [runs[m][best[m]] for m in (reference, model)]
      deficit = resamples.difference([1, -1], pair)
    good = deficit is None or (deficit.known and deficit.high < margin)
    candidates.append(Candidate(model, best[model], deficit, bool(good)))
  return Decision(effects, tuple(candidates))


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
