"""A study: one folder of runs at one scale, read when asked for."""

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

Gap = results.Gap


class Study:
  """The runs and similarities of a study, each read once."""

  def __init__(self, root: str, scale: scales.Scale):
    """`root` is OUTPUT_DIR."""
    self.root = root
    self.scale = scale
    self._repeats = figure_specs.repeats(scale)
    self._runs = functools.cache(functools.partial(results.read, root))
    self._resamples = paired_bootstrap.Resamples()
    self._similarities = functools.cache(
      functools.partial(results.read_similarity, root)
    )

  def all(self, group: figure_specs.Group) -> list:
    """Return `Result` or `Missing` of each planned seed."""
    count = self._repeats.get(group, 1)
    return [self._runs(self.key(group, seed)) for seed in range(count)]

  def key(self, group: figure_specs.Group, seed: int) -> str:
    """Folder below `root`; Gap if the scale has no such amount of data."""
    if group.images and group.images not in self.scale.subsets:
      raise Gap(f'{group.images} images are no part of {self.scale.name}')
    return runs.key(self.scale, group, seed)

  def run(self, key: str) -> results.Result | results.Missing:
    return self._runs(key)

  def seeds(self, group: figure_specs.Group) -> list[results.Result]:
    """Return the seeds that are there.

    Raises:
      Gap: None is.
    """
    runs_ = self.all(group)
    found = [run for run in runs_ if isinstance(run, results.Result)]
    if not found:
      raise Gap(f'{runs_[0].key}: {runs_[0].reason}')
    return found

  def test(self, group: figure_specs.Group, metric: str | None = None) -> list:
    """Test metric of each seed; Gap if a finding has no value."""
    return paired_bootstrap.tested(self.seeds(group), metric)

  def accuracies(self, model: str) -> list[float]:
    """Top-5 accuracy of each pretraining that is there; Gap if none is."""
    count = self.scale.repeats('pretraining')
    plans = [runs.pretrained(self.scale, model, n) for n in range(count)]
    found = [self._runs(plan.key) for plan in plans]
    done = [run for run in found if isinstance(run, results.Result)]
    if not done:
      raise Gap(f'{found[0].key}: {found[0].reason}')
    return [run.test('top5')['value'] for run in done]

  def areas(
    self, groups: Sequence[figure_specs.Group], metric: str | None = None
  ) -> list[list[float]]:
    """`Result.area` of each seed of each group, over the same steps."""
    seeds = [self.seeds(group) for group in groups]
    last = min(run.curve['step'].max() for of in seeds for run in of)
    areas = [[run.area(last, metric) for run in of] for of in seeds]
    if not np.isfinite(np.concatenate(areas)).all():
      raise Gap('fewer than two evaluations to compare')
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

  def similarity(self, comparison: cca_pairs.Comparison) -> dict:
    """Layer -> measures; Gap if it was not compared."""
    found = self._similarities(comparison.key)
    if isinstance(found, results.Missing):
      raise Gap(f'similarity/{found.key}: {found.reason}')
    return found

  def layers(self, of: Sequence[cca_pairs.Comparison]) -> dict:
    """Layer -> one mean similarity for each comparison that is there.

    Raises:
      Gap: None is.
    """
    found, gap = [], Gap('one seed: there is no pair')
    for comparison in of:
      try:
        found.append(self.similarity(comparison))
      except Gap as missing:
        gap = missing
    if not found:
      raise gap
    return {layer: [f[layer]['mean'] for f in found] for layer in found[0]}
