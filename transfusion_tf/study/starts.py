"""Starts of a study, as a user writes them: what a network begins with.

  random, transfer, mean_var, ...  a scheme of `init.schemes`
  transfer@block2       that scheme up to a stage, random weights above it
                        (Figure 7)
  transfer@all          one such start for every stage of the network
  frozen@block2         pretrained weights, of which those up to a stage stay as
                        they are (Figure 12); frozen alone trains only the head
  frozen_random@block2  the same of another scheme
  lp_ft                 a linear probe of pretrained features, then everything
                        (Kumar et al., ICLR 2022): the first quarter of the
                        steps trains the head alone

A start with one of several pretrained sources has its name behind a colon.
"""

from collections.abc import Sequence
import dataclasses
import re
from typing import Any

from transfusion_tf import errors
from transfusion_tf.init import schemes

ALL = 'all'
_FROZEN, _PROBED, _TRANSFER = 'frozen', 'lp_ft', 'transfer'
# The paper has no such runs. Kumar et al. give both parts as many epochs and
# train the probe to its end; on features computed anew at each step a quarter
# of a budget that is the same for all starts leaves most of it to the rest.
_PROBE_FRACTION = 1 / 4


@dataclasses.dataclass(frozen=True)
class Start:
  """A start.

  Attributes:
    scheme: Initialization scheme.
    stage: Last stage that it reaches, or that stays frozen; empty for all.
    frozen: Whether what it reaches stays as it is.
    probed: Whether the head is trained alone before all is.
    source: Name of the pretrained weights, where a model has several.
  """

  scheme: str
  stage: str = ''
  frozen: bool = False
  probed: bool = False
  source: str = ''

  @property
  def word(self) -> str:
    """What stands before the stage."""
    if self.probed:
      return _PROBED
    if not self.frozen:
      return self.scheme
    return _FROZEN + ('' if self.scheme == _TRANSFER else f'_{self.scheme}')

  @property
  def name(self) -> str:
    """What identifies it in a study, as `parse` reads it."""
    stage = f'@{self.stage}' if self.stage else ''
    source = f':{self.source}' if self.source else ''
    return f'{self.word}{stage}{source}'

  @property
  def key(self) -> str:
    """The name as that of a folder."""
    return re.sub(r'[^\w.]+', '-', self.name)

  @property
  def needs_weights(self) -> bool:
    """Whether it takes pretrained weights."""
    return self.scheme != schemes.RANDOM

  def changes(
    self, stages: Sequence[str], total_steps: int
  ) -> dict[str, str | int]:
    """Return what it changes in a config: dotted field -> value.

    Args:
      stages: Names of the network's stages, the head last; may be empty for a
        start that names its stage or has none.
      total_steps: Length of the run.

    Raises:
      InputError: It needs the stages or more steps.
    """
    changes: dict[str, Any] = {'init.scheme': self.scheme}
    if self.frozen:
      changes['init.freeze_upto'] = self.stage or _last_below_head(stages)
    elif self.stage:
      changes['init.upto'] = self.stage
    if self.probed:
      steps = int(total_steps * _PROBE_FRACTION)
      if not steps:
        raise errors.InputError(
          f'{_PROBED} trains the head alone in a quarter of the steps, and '
          f'there are {total_steps}: give more --epochs'
        )
      changes['train.probe_steps'] = steps
    return changes


def words() -> tuple[str, ...]:
  """Return what may stand before the stage of a start."""
  return (
    *schemes.names(),
    _FROZEN,
    *(f'{_FROZEN}_{s}' for s in schemes.names() if s != _TRANSFER),
    _PROBED,
  )


def parse(text: str) -> Start:
  """Return the start that a text names.

  Raises:
    InputError: It names none.
  """
  place, _, source = text.partition(':')
  word, at, stage = place.partition('@')
  if word not in words():
    raise errors.unknown('init', word, words())
  if at and not stage:
    raise errors.InputError(
      f'{text}: name a stage behind @, or {word}@{ALL} for each'
    )
  if stage and word in (schemes.RANDOM, _PROBED):
    raise errors.InputError(
      f'{text}: {word} takes no stage; leave @{stage} out'
    )
  if word == _PROBED:
    return Start(_TRANSFER, probed=True, source=source)
  if word not in schemes.names():
    scheme = word.removeprefix(_FROZEN).removeprefix('_') or _TRANSFER
    return Start(scheme, stage, frozen=True, source=source)
  return Start(word, stage, source=source)


def of_network(start: Start, stages: Sequence[str]) -> list[Start]:
  """Return a start as a network can have it: none without its stage.

  Args:
    start: A start.
    stages: Names of the network's stages, the head last; empty if unknown.
  """
  if start.stage == ALL and stages:
    return [dataclasses.replace(start, stage=s) for s in stages[:-1]]
  if start.stage and stages and start.stage not in stages[:-1]:
    return []
  return [start]


def _last_below_head(stages):
  if len(stages) < 2:
    raise errors.InputError(
      f'{_FROZEN} needs the stages of the network; name one: {_FROZEN}@STAGE'
    )
  return stages[-2]
