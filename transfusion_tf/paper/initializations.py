"""The ways of starting a network that the paper compares, by name.

A start's name is its part of a run's key; its settings are fields of
`config.Experiment`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from transfusion_tf.models import registry


@dataclasses.dataclass(frozen=True)
class Start:
  """One way of starting.

  Attributes:
    name: Part of a run's key.
    label: What tables and figures call it.
    pretrained: Whether it reads pretrained weights.
    settings: Dotted field -> value, as pairs.
  """

  name: str
  label: str
  pretrained: bool
  settings: tuple[tuple[str, Any], ...] = ()

  @property
  def changes(self) -> Mapping[str, Any]:
    return dict(self.settings)


def _start(name, label, pretrained=True, **settings):
  changes = ((k.replace('__', '.'), v) for k, v in settings.items())
  return Start(name, label, pretrained, tuple(changes))


RANDOM = _start('random', 'Random', pretrained=False)
TRANSFER = _start('transfer', 'Transfer', init__scheme='transfer')
MEAN_VAR = _start('mean_var', 'Mean Var', init__scheme='mean_var')
SAMPLING = _start('sampling', 'Sampling', init__scheme='sampling')
SHUFFLED = _start('shuffled', 'Shuffled', init__scheme='shuffled')

# Section 5.1: pretrained to block2, half width above; Figure 20: all random.
SLIM = _start(
  'slim_transfer',
  'Slim hybrid',
  init__scheme='transfer',
  model__slim_from='block3',
)
SLIM_RANDOM = _start(
  'slim_random', 'Slim, random', pretrained=False, model__slim_from='block3'
)
# The pretrained weights set the filters' scale, nothing more (Appendix F.3).
GABOR = _start('gabor', 'Gabor conv1', init__conv1='gabor')

# Appendix F.1; `identity` is the default of Mean Var.
MEAN_VAR_BN_MEAN_VAR = _start(
  'mean_var_bn_mean_var',
  'BN Mean Var',
  init__scheme='mean_var',
  init__bn_init='mean_var',
)
MEAN_VAR_BN_TRANSFER = _start(
  'mean_var_bn_transfer',
  'BN Transfer',
  init__scheme='mean_var',
  init__bn_init='transfer',
)


def up_to(model: str, stage: str) -> Start:
  """Weight transfusion: pretrained up to a stage, random above."""
  if stage == registry.stages(model)[-1]:
    return TRANSFER  # Nothing random but the head, which always is.
  return _start(
    f'transfer_upto_{stage}',
    f'up to {stage}',
    init__scheme='transfer',
    init__upto=stage,
  )


def transfusions(model: str) -> list[Start]:
  """Random, then transfusion up to each stage, then all (Figure 7)."""
  return [RANDOM, *(up_to(model, stage) for stage in registry.stages(model))]


def fixed_imagenet(stage: str) -> Start:
  """Figure 12 (i): all pretrained, fixed up to a stage."""
  return _start(
    f'fixed_imagenet_{stage}',
    'pretrained, pretrained above',
    init__scheme='transfer',
    init__freeze_upto=stage,
  )


def fixed_transfused(model: str, stage: str) -> Start:
  """Figure 12 (ii): pretrained and fixed up to a stage, random above."""
  if stage == registry.stages(model)[-1]:
    return fixed_imagenet(stage)
  return _start(
    f'fixed_transfused_{stage}',
    'pretrained, random above',
    init__scheme='transfer',
    init__upto=stage,
    init__freeze_upto=stage,
  )


def fixed_random(stage: str) -> Start:
  """Figure 12 (iii): random and fixed up to a stage, random above."""
  return _start(
    f'fixed_random_{stage}',
    'random, random above',
    pretrained=False,
    init__freeze_upto=stage,
  )
