"""Similarities as Figures 2 and 4 and the claims use them."""

import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results
from transfusion_tf.study import statistics

_TOP = 2  # "the top two layers or stages before the output" (Figure 2).


def top(layers: dict[str, dict]) -> float:
  """Return the mean similarity of the highest stages (Figure 2)."""
  return float(np.mean([layer['mean'] for layer in layers.values()][-_TOP:]))


def trained(study: study_lib.Study, model: str) -> dict[str, list[float]]:
  """Return kind of pairs -> similarity of the highest stages (Figure 2)."""
  similarities = {}
  for kind in cca_pairs.KINDS:
    pairs = cca_pairs.of_kind(study.scale, model, kind)
    made, _ = results.collect(study.similarity, pairs)
    similarities[kind] = [top(layers) for layers in made.values()]
  return similarities


def dots(
  study: study_lib.Study, model: str, kind: str, stage: str
) -> list[list[np.ndarray]]:
  """Return similarity before and after training, for each pair (Figure 4).

  A dot is one sample of channels and images, the same before and after.
  """
  before, after = (
    cca_pairs.of_kind(study.scale, model, kind, cca_pairs.DOTS, at)
    for at in (cca_pairs.INIT, cca_pairs.FINAL)
  )
  study_lib.check_pairs(before)
  return [
    [_repeats(study.similarity(c)[stage]) for c in ends]
    for ends in zip(before, after, strict=True)
  ]


def correlations(
  study: study_lib.Study, model: str, kind: str, stage: str
) -> list[float]:
  """Return R squared of each pair's dots (Figure 4).

  Raises:
    MissingResultError: The dots of a pair do not vary.
  """
  pairs = dots(study, model, kind, stage)
  values = [statistics.r_squared(*pair) for pair in pairs]
  if not np.isfinite(values).all():
    raise results.MissingResultError(
      f'the similarities of {model} {stage} do not vary'
    )
  return values


def explained(
  study: study_lib.Study, model: str, stage: str
) -> statistics.Estimate:
  """Return the mean of `correlations` over both kinds of pairs.

  The unit is the seed, as in `Study.similarities`.
  """
  kinds = []
  for kind in cca_pairs.KINDS:
    pairs = cca_pairs.of_kind(study.scale, model, kind, cca_pairs.DOTS)
    used = [{pair.a.seed, pair.b.seed} for pair in pairs]
    values = correlations(study, model, kind, stage)
    kinds.append(list(zip(used, values, strict=True)))

  def statistic(groups):
    (kept,) = map(set, groups)
    left = [[v for used, v in pairs if used <= kept] for pairs in kinds]
    return float(np.mean([np.mean(v) if v else np.nan for v in left]))

  seeds = {seed for pairs in kinds for used, _ in pairs for seed in used}
  return statistics.jackknife(statistic, [sorted(seeds)])


def shown_stages(model: str) -> tuple[str, str]:
  """Return a low and a high stage, the rows of Figure 4."""
  lowest, *_, highest = registry.stages(model)
  return lowest, highest


def _repeats(layer):
  return np.array([repeat['mean'] for repeat in layer['repeats']])
