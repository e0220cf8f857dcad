"""Groups and sums of them that several claims ask for."""

from collections.abc import Sequence

from transfusion_tf.paper import contents
from transfusion_tf.paper import starts
from transfusion_tf.paper import statistics
from transfusion_tf.paper import study as study_lib

RESNET = 'resnet50'


def retina(
  model: str, *of: starts.Start, images: int = 0
) -> list[contents.Group]:
  """A group for each start."""
  return [contents.Group(contents.RETINA, model, s, images) for s in of]


def gains(
  models: Sequence[str], images: int = 0
) -> tuple[list[float], list[contents.Group]]:
  """Transfer minus random, mean over models: coefficients and groups."""
  groups = [g for m in models for g in retina(m, *contents.BOTH, images=images)]
  return [-1 / len(models), 1 / len(models)] * len(models), groups


def speed(
  study: study_lib.Study,
  coefficients: Sequence[float],
  groups: Sequence[contents.Group],
  metric: str | None = None,
) -> statistics.Estimate:
  """A sum of groups' mean validation AUCs over training."""
  return statistics.contrast(coefficients, study.areas(groups, metric))
