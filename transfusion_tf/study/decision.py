"""The decision that follows from the runs of a study, by a stated rule.

Whether an initialization (`start`) helps is read off the 95 % interval of its
test score minus that of random weights, paired on patients, with the variance
of the seeds; `margin` is the smallest difference that matters to the user:

  all of it within +-margin      makes no difference that matters
  all of it above 0              helps
  all of it below 0              hurts
  else, or one seed a side       inconclusive

A comparison with a start that is not better than chance on the test set gives
no verdict, however clear the difference: networks that have not learned yet
tell how early one looked, not which start is better.

Nor does one verdict stand where a longer run could undo it. A side is settled
unless more than half of its runs were still improving when they ended
(`results.Result.is_improving`). "Helps" needs settled runs from random weights,
which otherwise may catch up; "hurts" those of the start; "makes no difference"
both. A side that is ahead may go on improving.

Many models and starts are as many chances to be wrong once: beside each verdict
stands its p value, adjusted for their number (Holm).

Each model is represented by the start with the best mean validation score. The
best of these on validation is the reference; recommended is the model with the
fewest parameters whose interval excludes that it is worse than the reference by
`margin` or more, neither being at chance and the reference settled. The test
set decides nothing else.
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
NONE = 'no verdict'

# Where a verdict puts a difference, in units of the margin.
_RANGES = {
  SAME: {'above': -1.0, 'below': 1.0},
  HELPS: {'above': 0.0},
  HURTS: {'below': 0.0},
}

# Verdict -> whether the start, and random weights, could undo it by improving.
_UNDONE_BY = {SAME: (True, True), HELPS: (False, True), HURTS: (True, False)}

# Model -> start -> finished runs.
Runs = Mapping[str, Mapping[str, Sequence[results.Result]]]


@dataclasses.dataclass(frozen=True)
class ChanceTest:
  """The test score of a start, and that of a guess.

  Attributes:
    model: Model.
    start: Scheme.
    score: Test score, over networks and patients.
    chance: `metrics.Metric.chance`.
  """

  model: str
  start: str
  score: statistics.Estimate
  chance: float

  @property
  def better(self) -> bool:
    """Whether the score is shown to be better than chance."""
    return self.score.low > self.chance


@dataclasses.dataclass(frozen=True)
class Effect:
  """A start against random weights, on one model.

  Attributes:
    model: Model.
    start: Scheme.
    difference: Difference of the test scores.
    verdict: SAME, HELPS, HURTS or OPEN; NONE if a side is at chance, or is
      still improving and could undo the verdict.
    p_value: The level 1 - p at which the verdict still follows, Holm-adjusted
      for the number of effects; 1 for OPEN and NONE.
    at_chance: The start, random weights or both, if not better than chance.
    improving: The start, random weights or both, if not settled.
  """

  model: str
  start: str
  difference: statistics.Estimate
  verdict: str
  p_value: float
  at_chance: tuple[str, ...] = ()
  improving: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A model from its best start.

  Attributes:
    model: Model.
    start: The start with the best mean validation score.
    deficit: Test score of the reference minus this one's; None for the
      reference itself.
    good_enough: Whether it is shown not to be worse by the margin or more,
      and neither of the two is at chance.
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
    chance_tests: Every start with two seeds, if the metric tells its chance.
  """

  effects: tuple[Effect, ...]
  candidates: tuple[Candidate, ...]
  chance_tests: tuple[ChanceTest, ...] = ()

  @property
  def recommended(self) -> Candidate | None:
    """The smallest model that is good enough; None if there is none."""
    return next((c for c in self.candidates if c.good_enough), None)

  @property
  def reference(self) -> Candidate | None:
    """The best model on validation; None without candidates."""
    return next((c for c in self.candidates if c.deficit is None), None)

  def effect(self, model: str, start: str) -> Effect | None:
    """Return an effect; None for random weights."""
    pair = model, start
    return next((e for e in self.effects if (e.model, e.start) == pair), None)

  def chance_test(self, model: str, start: str) -> ChanceTest | None:
    """Return the test of a start; None if there is none."""
    pair = model, start
    tests = self.chance_tests
    return next((t for t in tests if (t.model, t.start) == pair), None)

  @property
  def at_chance(self) -> tuple[ChanceTest, ...]:
    """The starts that are not better than chance."""
    return tuple(test for test in self.chance_tests if not test.better)


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
  chance_tests = tuple(_chance_tests(runs, comparer))
  at_chance = {(t.model, t.start) for t in chance_tests if not t.better}
  effects = tuple(_effects(runs, comparer, margin, at_chance))
  groups = [seeds for starts in runs.values() for seeds in starts.values()]
  if not runs or not all(map(_is_validated, groups)):
    return Decision(effects, (), chance_tests)
  best = {model: _best_start(starts) for model, starts in runs.items()}
  reference = max(best, key=lambda m: _validation(runs[m][best[m]]))
  candidates = []
  for model in sorted(runs, key=parameters.__getitem__):
    deficit = None
    if model != reference:
      pair = [runs[m][best[m]] for m in (reference, model)]
      deficit = comparer.difference([1, -1], pair)
    good = deficit is None or (deficit.known and deficit.high < margin)
    good = good and at_chance.isdisjoint(
      (m, best[m]) for m in (reference, model)
    )
    if model != reference:
      good = good and is_settled(runs[reference][best[reference]])
    candidates.append(Candidate(model, best[model], deficit, bool(good)))
  return Decision(effects, tuple(candidates), chance_tests)


def _chance_tests(runs, comparer):
  for model, starts in runs.items():
    for start, seeds in starts.items():
      score = comparer.difference([1], [seeds])
      chance = seeds[0].test_metric().chance
      if score.known and chance is not None:
        yield ChanceTest(model, start, score, chance)


def _effects(runs, comparer, margin, at_chance):
  differences = {
    (model, start): comparer.difference(
      [1, -1], [seeds, starts[plan_lib.RANDOM]]
    )
    for model, starts in runs.items()
    for start, seeds in starts.items()
    if start != plan_lib.RANDOM and plan_lib.RANDOM in starts
  }
  guessing = _sides(differences, at_chance.__contains__)
  improving = _sides(
    differences, lambda side: not is_settled(runs[side[0]][side[1]])
  )
  judged = [_judge(difference, margin) for difference in differences.values()]
  verdicts = [
    (NONE, 1.0)
    if guessing[names] or _can_be_undone(verdict, names[1], improving[names])
    else (verdict, p_value)
    for names, (verdict, p_value) in zip(differences, judged, strict=True)
  ]
  p_values = statistics.holm([p_value for _, p_value in verdicts])
  return [
    Effect(
      *names, difference, verdict, p_value, guessing[names], improving[names]
    )
    for (names, difference), (verdict, _), p_value in zip(
      differences.items(), verdicts, p_values, strict=True
    )
  ]


def _sides(pairs, holds):
  """Return model, start -> which of the start and random weights it holds of.

  Args:
    pairs: Models and starts.
    holds: Function of (model, start).
  """
  return {
    (model, start): tuple(
      side for side in (start, plan_lib.RANDOM) if holds((model, side))
    )
    for model, start in pairs
  }


def _can_be_undone(verdict, start, improving):
  """Return whether sides that still improve could undo a verdict."""
  sides = zip(
    (start, plan_lib.RANDOM), _UNDONE_BY.get(verdict, ()), strict=False
  )
  return any(undoes and side in improving for side, undoes in sides)


def is_settled(seeds: Sequence[results.Result]) -> bool:
  """Return whether at most half of the runs were still improving."""
  return 2 * sum(run.is_improving for run in seeds) <= len(seeds)


def _is_validated(seeds):
  return all(run.curve[run.primary_metric].notna().all() for run in seeds)


def _best_start(starts):
  return max(starts, key=lambda start: _validation(starts[start]))


def _validation(seeds):
  return float(np.mean([run.best() for run in seeds]))
