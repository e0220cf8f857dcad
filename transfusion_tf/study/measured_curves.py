"""Learning curves of a study's runs: what was measured, and the law of it."""

from collections.abc import Mapping, Sequence
import dataclasses

from transfusion_tf.study import curve_points
from transfusion_tf.study import decision
from transfusion_tf.study import learning_curve
from transfusion_tf.study import paired
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import power_law
from transfusion_tf.study import results
from transfusion_tf.study import statistics

_FEW = f'a law takes {learning_curve.FEWEST} sizes or more'


@dataclasses.dataclass(frozen=True)
class Curve:
  """Scores of a start, or their differences, by size.

  Attributes:
    model: Model.
    start: Start.
    is_difference: Whether random weights are subtracted.
    scores: Number of training patients -> the score, ascending.
    runs: Number of training patients -> the runs of the start.
    at_chance: The sizes at which it, or random weights, are not shown to be
      better than chance; no law is of them.
    points: What the law is of; errors, unless these are differences.
    law: The law; None if there is none.
    reason: Why there is none.
  """

  model: str
  start: str
  is_difference: bool
  scores: dict[int, statistics.Estimate]
  runs: dict[int, Sequence[results.Result]]
  at_chance: tuple[int, ...]
  points: curve_points.Points | None = None
  law: power_law.Law | None = None
  reason: str = ''

  @property
  def largest(self) -> int:
    """The largest size that the law is of; without one, that was measured."""
    return max(
      n for n in self.scores if not self.law or n not in self.at_chance
    )

  def at(self, size: float) -> curve_points.Interval:
    """Return the score, or the difference, that the law has at a size."""
    assert self.law is not None
    return self._shown(self.law.at(size))

  def doubled(self) -> curve_points.Interval:
    """Return what twice the largest size would add."""
    assert self.law is not None
    change = self.law.change(self.largest, 2 * self.largest)
    return change if self.is_difference else _times(change, -1)

  def held_out(self) -> tuple[float, curve_points.Interval] | None:
    """Return the largest size's score, and its forecast from the others.

    None if these are too few for a law.
    """
    points = self.points
    if points is None or len(points.sizes) <= learning_curve.FEWEST:
      return None
    law = _fit(points.first(-1), not self.is_difference)
    if law is None:
      return None
    forecast = law.predicted(
      points.sizes[-1], points.covariance[-1, -1], points.covariance[-1, :-1]
    )
    value = float(points.values[-1])
    measured = value if self.is_difference else 1 - value
    return measured, self._shown(forecast)

  def crossing(self, level: float) -> learning_curve.Crossing:
    """Return where a difference may be a level."""
    assert self.law is not None
    assert self.points is not None
    return learning_curve.crossing(self.law, self.points.sizes, level)

  def _shown(self, interval):
    if self.is_difference:
      return interval
    score = _times(interval, -1)
    return curve_points.Interval(1 + score.value, 1 + score.low, 1 + score.high)


def score(
  by_size: Mapping[int, decision.Runs],
  model: str,
  start: str,
  comparer: paired.Comparer,
) -> Curve:
  """Return the curve of a start's scores."""
  groups = {
    size: [runs[model][start]]
    for size, runs in by_size.items()
    if start in runs.get(model, {})
  }
  return _curve(model, start, groups, comparer)


def difference(
  by_size: Mapping[int, decision.Runs],
  model: str,
  start: str,
  comparer: paired.Comparer,
) -> Curve:
  """Return the curve of a start less random weights, paired."""
  groups = {
    size: [runs[model][start], runs[model][plan_lib.RANDOM]]
    for size, runs in by_size.items()
    if {start, plan_lib.RANDOM} <= set(runs.get(model, {}))
  }
  return _curve(model, start, groups, comparer)


def equivalent(
  scores: Curve, random: Curve, size: int, comparer: paired.Comparer
) -> learning_curve.Crossing | None:
  """Return the patients from which random weights score as a start of `size`.

  None if the law of that is not known.

  Args:
    scores: Curve of the start.
    random: Curve of random weights.
    size: Number of training patients of the start.
    comparer: Has read the scores of the runs.
  """
  known = [n for n in random.scores if n not in random.at_chance]
  if len(known) < learning_curve.FEWEST or size in scores.at_chance:
    return None
  start = scores.runs[size]
  groups = {n: [start, random.runs[n]] for n in known}
  # All of these differences share the runs of the start.
  shared = curve_points.seed_variances(
    curve_points.samples(scores.runs.values())
  )[list(scores.runs).index(size)]
  points = curve_points.of_groups(groups, comparer, shared)
  if points is None:
    return None
  law = _fit(points, is_error=False)
  if law is None:
    return None
  return learning_curve.crossing(law, points.sizes, 0.0)


def _curve(model, start, groups: curve_points.Groups, comparer) -> Curve:
  coefficients = curve_points.coefficients_of(groups)
  scores = {
    size: comparer.difference(coefficients, each)
    for size, each in groups.items()
  }
  at_chance = tuple(
    size
    for size, each in groups.items()
    if any(curve_points.is_at_chance(group, comparer) for group in each)
  )
  curve = Curve(
    model,
    start,
    len(coefficients) > 1,
    scores,
    {size: each[0] for size, each in groups.items()},
    at_chance,
  )
  learned = {n: each for n, each in groups.items() if n not in at_chance}
  points, reason = None, _FEW
  if len(learned) >= learning_curve.FEWEST:
    points = curve_points.of_groups(learned, comparer)
    reason = '' if points else 'a law takes two seeds or more, which differ'
  if points and not curve.is_difference and (points.values < 0).any():
    points, reason = None, 'a law takes scores of at most 1'
  if not points:
    if at_chance and len(groups) >= learning_curve.FEWEST:
      reason += ' at which networks are better than chance'
    return dataclasses.replace(curve, reason=reason)
  law = _fit(points, not curve.is_difference)
  reason = '' if law else 'no law fits the points'
  return dataclasses.replace(curve, points=points, law=law, reason=reason)


def _fit(points, is_error) -> power_law.Law | None:
  try:
    return power_law.Law(points, is_error)
  except ValueError:
    return None


def _times(interval, sign):
  low, high = sorted((sign * interval.low, sign * interval.high))
  return curve_points.Interval(sign * interval.value, low, high)
