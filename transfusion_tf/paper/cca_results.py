"""What Figures 2 to 4 and the claims ask of the similarities."""

from collections.abc import Sequence

import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import statistics

_TOP = 2  # "the top two layers or stages before the output" (Figure 2).


def top(
  study: study_lib.Study, of: Sequence[cca_pairs.Comparison]
) -> list[float]:
  """One value a comparison: the mean over its two highest stages."""
  layers = study.layers(of)
  return list(np.mean(list(layers.values())[-_TOP:], axis=0))


def trained(study: study_lib.Study, model: str) -> dict[str, list[float]]:
  """Figure 2: `random` for two random starts, `across` for both kinds."""
  return {
    'random': top(
      study, cca_pairs.same_start(study.scale, model, initializations.RANDOM)
    ),
    'across': top(study, cca_pairs.across(study.scale, model)),
  }


def movement(
  study: study_lib.Study, model: str, start: initializations.Start
) -> dict[str, list[float]]:
  """Figure 3: stage -> similarity before and after, one value a seed."""
  return study.layers(cca_pairs.movement(study.scale, model, start))


# Figure 4's kinds of pairs.
PAIRS = ('random and random', 'pretrained and random')


def dots(
  study: study_lib.Study, model: str, pair: str, stage: str
) -> list[tuple[np.ndarray, np.ndarray]]:
  """Figure 4: for each pair of networks, similarity before and after.

  A dot is one sample of channels and images, the same before and after.
  """
  before, after = (
    cca_pairs.across(study.scale, model, cca_pairs.DOTS, at)
    if pair == PAIRS[1]
    else cca_pairs.same_start(
      study.scale, model, initializations.RANDOM, cca_pairs.DOTS, at
    )
    for at in (cca_pairs.INIT, cca_pairs.FINAL)
  )
  if not before:
    raise study_lib.Gap('one seed: there is no pair')
  return [
    tuple(_repeats(study.similarity(c)[stage]) for c in ends)
    for ends in zip(before, after, strict=True)
  ]


def correlations(
  study: study_lib.Study, model: str, pair: str, stage: str
) -> list[float]:
  """R squared of each pair's dots."""
  found = [
    statistics.r_squared(*both) for both in dots(study, model, pair, stage)
  ]
  found = [value for value in found if np.isfinite(value)]
  if not found:
    raise study_lib.Gap(f'the similarities of {model} {stage} do not vary')
  return found


# A low and a high stage, the rows of Figure 4.
def shown_stages(model: str) -> tuple[str, str]:
  return registry.stages(model)[0], registry.stages(model)[-1]


def _repeats(found):
  return np.array([repeat['mean'] for repeat in found['repeats']])
