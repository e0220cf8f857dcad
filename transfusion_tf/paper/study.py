"""A study: folders of runs at one scale, read when needed."""

from collections.abc import Callable, Sequence
import dataclasses
import functools

import numpy as np

from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.study import paired
from transfusion_tf.study import results
from transfusion_tf.study import statistics

_CHANCE, _WAY = 0.5, 0.9


class Study:
  """The runs and similarities of a study, each read once.

  Attributes:
    root: OUTPUT_DIR, the folder of the study.
    scale: The scale of the study.
    roots: Folders that have its runs and similarities, the first one first.
    run: Returns the `Result` or `MissingRun` of a key.
  """

  def __init__(
    self, root: str, scale: scales.Scale, more_roots: Sequence[str] = ()
  ):
    self.root = root
    self.scale = scale
    self.roots = (root, *more_roots)
    self.run = functools.cache(
      functools.partial(results.read_first, results.read, self.roots)
    )
    self._repeats = figure_specs.repeats(scale)
    self._comparer = paired.Comparer()
    self._similarities = functools.cache(
      functools.partial(results.read_first, results.read_similarity, self.roots)
    )

  def planned(
    self, targets: Sequence[str]
  ) -> list[results.Result | results.MissingRun]:
    """Return the runs that targets need."""
    return [self.run(plan.key) for plan in runs.plans(targets, self.scale)]

  def all(
    self, group: figure_specs.Group
  ) -> list[results.Result | results.MissingRun]:
    """Return each planned seed of a group."""
    count = self._repeats.get(group, 1)
    return [self.run(self.key(group, seed)) for seed in range(count)]

  def key(self, group: figure_specs.Group, seed: int) -> str:
    """Return a run's path below `root`.

    Raises:
      MissingResultError: The scale has no such amount of data.
    """
    if group.images and group.images not in self.scale.subsets:
      raise results.MissingResultError(
        f'{group.images} images are no part of {self.scale.name}'
      )
    return runs.key(self.scale, group, seed)

  def seeds(self, group: figure_specs.Group) -> list[results.Result]:
    """Return the finished seeds of a group.

    Raises:
      MissingResultError: There is none.
    """
    return results.finished(self.all(group))

  def test(
    self, group: figure_specs.Group, metric: str | None = None
  ) -> list[float]:
    """Return the test metric of each finished seed.

    Raises:
      MissingResultError: There is none.
    """
    return paired.tested(self.seeds(group), metric)

  def accuracies(self, model: str) -> list[float]:
    """Return the accuracy of each pretraining, or of published weights.

    Raises:
      MissingResultError: There is none.
    """
    plans = runs.pretrainings(self.scale, model)
    done = results.finished(self.run(plan.key) for plan in plans)
    (metric,) = self.scale.datasets[self.scale.pretraining].metrics
    return [run.test(metric)['value'] for run in done]

  def log_steps(
    self,
    coefficients: Sequence[float],
    groups: Sequence[figure_specs.Group],
    metric: str | None = None,
  ) -> statistics.Estimate:
    """Return a sum of groups' logarithms of the steps to a common score.

    The score is `_WAY` of the way from chance to the best validation score of
    the slowest group. A run that never reaches it took at least all its steps:
    the sum is then known on one side only.
    """
    seeds = [self.seeds(group) for group in groups]
    best = min(np.mean([r.best(metric) for r in runs]) for runs in seeds)
    score = float(_CHANCE + _WAY * (best - _CHANCE))
    crossings = [[run.crossing(score, metric) for run in g] for g in seeds]
    estimate = statistics.contrast(
      coefficients, [[c.log_steps for c in group] for group in crossings]
    )
    censored = [
      coefficient
      for coefficient, group in zip(coefficients, crossings, strict=True)
      if not all(crossing.reached for crossing in group)
    ]
    return dataclasses.replace(
      estimate,
      at_least=any(c > 0 for c in censored),
      at_most=any(c < 0 for c in censored),
    )

  def difference(
    self,
    coefficients: Sequence[float],
    groups: Sequence[figure_specs.Group],
    metric: str | None = None,
  ) -> statistics.Estimate:
    """Return a sum of groups' test AUCs, e.g. transfer minus random, paired.

    As `paired.Comparer.difference`.
    """
    seeds = [self.seeds(group) for group in groups]
    return self._comparer.difference(coefficients, seeds, metric)

  def similarity(self, comparison: cca_pairs.Comparison) -> dict[str, dict]:
    """Return layer -> `Similarity.to_json` of a comparison.

    Raises:
      MissingResultError: It was not made.
    """
    layers = self._similarities(comparison.key)
    if isinstance(layers, results.MissingRun):
      raise results.MissingResultError(f'similarity/{layers}')
    return layers

  def similarities(
    self,
    terms: Sequence[tuple[float, Sequence[cca_pairs.Comparison]]],
    value: Callable[[dict[str, dict]], float],
  ) -> statistics.Estimate:
    """Return a sum of coefficients times means over comparisons.

    Comparisons share networks, so that they are not independent: the jackknife
    leaves out a seed of a model, with all comparisons of its networks.

    Args:
      terms: Coefficients, each with its comparisons.
      value: A number from `similarity`.

    Raises:
      MissingResultError: No comparison of a term was made.
    """
    values = [
      (coefficient, results.collect(self.similarity, comparisons)[0])
      for coefficient, comparisons in terms
    ]
    seeds: dict[str, set[int]] = {}
    for _, layers in values:
      for c in layers:
        seeds.setdefault(c.model, set()).update((c.a.seed, c.b.seed))

    def statistic(groups):
      kept = dict(zip(seeds, groups, strict=True))
      return sum(
        coefficient
        * _mean(
          value(similarity)
          for c, similarity in layers.items()
          if {c.a.seed, c.b.seed} <= set(kept[c.model])
        )
        for coefficient, layers in values
      )

    return statistics.jackknife(statistic, [sorted(s) for s in seeds.values()])

  def layers(
    self, comparisons: Sequence[cca_pairs.Comparison]
  ) -> dict[str, list[float]]:
    """Return layer -> the mean similarity in each comparison that was made.

    Raises:
      MissingResultError: None was.
    """
    check_pairs(comparisons)
    similarities, _ = results.collect(self.similarity, comparisons)
    first, *_ = similarities.values()
    return {
      layer: [layers[layer]['mean'] for layers in similarities.values()]
      for layer in first
    }


def _mean(values):
  values = list(values)
  return sum(values) / len(values) if values else float('nan')


def check_pairs(comparisons: Sequence[cca_pairs.Comparison]) -> None:
  """Raise a MissingResultError if there is nothing to compare."""
  if not comparisons:
    raise results.MissingResultError('one seed: there is no pair')
