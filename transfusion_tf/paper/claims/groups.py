"""Groups and sums of them that several claims ask for."""

from collections.abc import Sequence

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import statistics

RESNET = 'resnet50'


def retina(
  model: str, *of: initializations.Start, images: int = 0
) -> list[figure_specs.Group]:
  """Return a group for each start."""
  return [figure_specs.Group(figure_specs.RETINA, model, s, images) for s in of]


def gains(
  models: Sequence[str], images: int = 0
) -> tuple[list[float], list[figure_specs.Group]]:
  """Transfer minus random, mean over models: coefficients and groups."""
  groups = [
    g for m in models for g in retina(m, *figure_specs.BOTH, images=images)
  ]
  return [-1 / len(models), 1 / len(models)] * len(models), groups


def speed(
  study: study_lib.Study,
  coefficients: Sequence[float],
  groups: Sequence[figure_specs.Group],
  metric: str | None = None,
) -> statistics.Estimate:
  """Return a sum of groups' mean validation AUCs over training."""
  return statistics.contrast(coefficients, study.areas(groups, metric))
