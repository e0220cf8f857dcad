"""The initializations that the paper compares, by name."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from transfusion_tf.models import registry


@dataclasses.dataclass(frozen=True)
class Initialization:
  """One way of initializing a network.

  Attributes:
    name: Part of a run's key.
    label: Name in tables and figures.
    changes: Dotted field of `config.Experiment` -> value.
    pretrained: Whether it reads pretrained weights.
  """

  name: str
  label: str
  changes: Mapping[str, Any] = dataclasses.field(
    default_factory=dict, hash=False
  )
  pretrained: bool = True


RANDOM = Initialization('random', 'Random', pretrained=False)
TRANSFER, MEAN_VAR, SAMPLING, SHUFFLED = (
  Initialization(scheme, label, {'init.scheme': scheme})
  for scheme, label in (
    ('transfer', 'Transfer'),
    ('mean_var', 'Mean Var'),
    ('sampling', 'Sampling'),
    ('shuffled', 'Shuffled'),
  )
)

# Pretrained weights with their head; the recipe says the rest.
PUBLISHED = Initialization('published', 'Published')

# Section 5: pretrained to block2, half width above; Figure 20: all random.
_SLIM = {'model.slim_from': 'block3'}
SLIM = Initialization(
  'slim_transfer', 'Slim hybrid', {'init.scheme': 'transfer', **_SLIM}
)
SLIM_RANDOM = Initialization(
  'slim_random', 'Slim, random', _SLIM, pretrained=False
)
# The pretrained weights set the filters' scale, nothing more (Appendix F.3).
GABOR = Initialization('gabor', 'Gabor conv1', {'init.conv1': 'gabor'})

# Appendix F.1; `identity` is the default of Mean Var.
MEAN_VAR_BN_MEAN_VAR = Initialization(
  'mean_var_bn_mean_var',
  'BN Mean Var',
  {'init.scheme': 'mean_var', 'init.bn_init': 'mean_var'},
)
MEAN_VAR_BN_TRANSFER = Initialization(
  'mean_var_bn_transfer',
  'BN Transfer',
  {'init.scheme': 'mean_var', 'init.bn_init': 'transfer'},
)


def up_to(model: str, stage: str) -> Initialization:
  """Return weight transfusion: pretrained up to a stage, random above."""
  if stage == registry.stages(model)[-1]:
    return TRANSFER  # Nothing random but the head, which always is.
  return Initialization(
    f'transfer_upto_{stage}',
    f'up to {stage}',
    {'init.scheme': 'transfer', 'init.upto': stage},
  )


def transfusions(model: str) -> list[Initialization]:
  """Return random, then transfusion up to each stage, then all (Figure 7)."""
  return [RANDOM, *(up_to(model, stage) for stage in registry.stages(model))]


def fixed(model: str, stage: str) -> dict[str, Initialization]:
  """Return kind -> initialization with features fixed up to a stage.

  Figures 12 and 13: (i) `imagenet`, (ii) `transfused` and (iii) `random`.
  """
  frozen = {'init.freeze_upto': stage}
  imagenet = Initialization(
    f'fixed_imagenet_{stage}',
    'pretrained; pretrained above',
    {'init.scheme': 'transfer', **frozen},
  )
  transfused = Initialization(
    f'fixed_transfused_{stage}',
    'pretrained; random above',
    {'init.scheme': 'transfer', 'init.upto': stage, **frozen},
  )
  random = Initialization(
    f'fixed_random_{stage}', 'random; random above', frozen, pretrained=False
  )
  if stage == registry.stages(model)[-1]:
    transfused = imagenet
  return {'imagenet': imagenet, 'transfused': transfused, 'random': random}
