"""A study: one folder of runs at one scale, read when needed."""

from collections.abc import Sequence
import functools

import numpy as np

from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.study import paired_bootstrap
from transfusion_tf.study import results
from transfusion_tf.study import statistics


class Study:
  """The runs and similarities of a study, each read once.

  Attributes:
    root: OUTPUT_DIR, the folder of the study.
    scale: The scale of the study.
    run: Returns the `Result` or `MissingRun` of a key.
  """

  def __init__(self, root: str, scale: scales.Scale):
    self.root = root
    self.scale = scale
    self.run = functools.cache(functools.partial(results.read, root))
    self._repeats = figure_specs.repeats(scale)
    self._resamples = paired_bootstrap.Resamples()
    self._similarities = functools.cache(
      functools.partial(results.read_similarity, root)
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
    return paired_bootstrap.tested(self.seeds(group), metric)

  def accuracies(self, model: str) -> list[float]:
    """Return the top-5 accuracy of each finished pretraining.

    Raises:
      MissingResultError: There is none.
    """
    plans = runs.pretrainings(self.scale, model)
    done = results.finished(self.run(plan.key) for plan in plans)
    return [run.test('top5')['value'] for run in done]

  def areas(
    self, groups: Sequence[figure_specs.Group], metric: str | None = None
  ) -> list[list[float]]:
    """Return `Result.area` of each seed of each group, over the same steps."""
    seeds = [self.seeds(group) for group in groups]
    last = min(run.curve['step'].max() for group in seeds for run in group)
    areas = [[run.area(last, metric) for run in group] for group in seeds]
    if not np.isfinite(np.concatenate(areas)).all():
      raise results.MissingResultError('fewer than two evaluations to compare')
    return areas

  def difference(
    self,
    coefficients: Sequence[float],
    groups: Sequence[figure_specs.Group],
    metric: str | None = None,
  ) -> statistics.Estimate:
    """Return a sum of groups' test AUCs, e.g. transfer minus random, paired.

    As `paired_bootstrap.Resamples.difference`.
    """
    seeds = [self.seeds(group) for group in groups]
    return self._resamples.difference(coefficients, seeds, metric)

  def similarity(self, comparison: cca_pairs.Comparison) -> dict[str, dict]:
    """Return layer -> `Similarity.to_json` of a comparison.

    Raises:
      MissingResultError: It was not made.
    """
    layers = self._similarities(comparison.key)
    if isinstance(layers, results.MissingRun):
      raise results.MissingResultError(f'similarity/{layers}')
    return layers

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


def check_pairs(comparisons: Sequence[cca_pairs.Comparison]) -> None:
  """Raise a MissingResultError if there is nothing to compare."""
  if not comparisons:
    raise results.MissingResultError('one seed: there is no pair')
