"""The decision that follows from the runs of a study, by a stated rule.

Whether an initialization (`start`) helps is read off the 95 % interval of its
test score minus that of random weights, paired on patients, with the variance
of the seeds; `margin` is the smallest difference that matters to the user:

  all of it within +-margin      makes no difference that matters
  all of it above 0              helps
  all of it below 0              hurts
  else, or one seed a side       inconclusive

Many models and starts are as many chances to be wrong once: beside each verdict
stands its p value, adjusted for their number (Holm).

Each model is represented by the start with the best mean validation score. The
best of these on validation is the reference; recommended is the model with the
fewest parameters whose interval excludes that it is worse than the reference by
`margin` or more. The test set decides nothing else.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from transfusion_tf import metrics
from transfusion_tf.study import paired
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import results
from transfusion_tf.study import statistics

SAME = 'makes no difference that matters'
HELPS, HURTS, OPEN = 'helps', 'hurts', 'inconclusive'

# Where a verdict puts a difference, in units of the margin.
_RANGES = {
  SAME: {'above': -1.0, 'below': 1.0},
  HELPS: {'above': 0.0},
  HURTS: {'below': 0.0},
}

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
    p_value: The level 1 - p at which the verdict still follows, Holm-adjusted
      for the number of effects; 1 for OPEN.
  """

  model: str
  start: str
  difference: statistics.Estimate
  verdict: str
  p_value: float


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
  verdict, _ = _judge(difference, margin)
  return verdict


def _judge(difference, margin):
  """Return the verdict on a difference, and its p value."""
  for verdict, ends in _RANGES.items():
    p_value = difference.p_value(**{e: x * margin for e, x in ends.items()})
    if p_value < 1 - metrics.LEVEL:
      return verdict, p_value
  return OPEN, 1.0


def decide(
  runs: Runs,
  margin: float,
  parameters: Mapping[str, int],
  comparer: paired.Comparer | None = None,
) -> Decision:
  """Return the decision on finished runs.

  Args:
    runs: Runs with a test score; may be empty.
    margin: The smallest difference in the test score that matters.
    parameters: Number of parameters of each model.
    comparer: Has read the scores of the runs, if it is shared.

  Raises:
    MissingResultError: Scores are damaged, or of different images.
  """
  comparer = comparer or paired.Comparer()
  effects = tuple(_effects(runs, comparer, margin))
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
      deficit = comparer.difference([1, -1], pair)
    good = deficit is None or (deficit.known and deficit.high < margin)
    candidates.append(Candidate(model, best[model], deficit, bool(good)))
  return Decision(effects, tuple(candidates))


def _effects(runs, comparer, margin):
  differences = {
    (model, start): comparer.difference(
      [1, -1], [seeds, starts[plan_lib.RANDOM]]
    )
    for model, starts in runs.items()
    for start, seeds in starts.items()
    if start != plan_lib.RANDOM and plan_lib.RANDOM in starts
  }
  judged = [_judge(each, margin) for each in differences.values()]
  p_values = statistics.holm([p_value for _, p_value in judged])
  return [
    Effect(*names, difference, verdict, p_value)
    for (names, difference), (verdict, _), p_value in zip(
      differences.items(), judged, p_values, strict=True
    )
  ]


def _is_validated(seeds):
  return all(run.curve[run.primary_metric].notna().all() for run in seeds)


def _best_start(starts):
  return max(starts, key=lambda start: _validation(starts[start]))


def _validation(seeds):
  return float(np.mean([run.best() for run in seeds]))
