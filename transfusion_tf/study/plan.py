"""The runs that a study of one data set needs."""

from collections.abc import Mapping
import dataclasses
import functools
import os
import re

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import startup
from transfusion_tf.init import schemes
from transfusion_tf.models import resnet

RANDOM = 'random'
_PRETRAINED = 'pretrained'
# With the seed of a run, pretraining would begin at the same weights.
_PRETRAINING_SEED = 1000


@dataclasses.dataclass(frozen=True)
class PlannedRun:
  """A run of a study, finished or not.

  Attributes:
    key: Its path below the study's folder: MODEL/START/seedN.
    experiment: The config, with all its paths.
  """

  key: str
  experiment: config.Experiment


@dataclasses.dataclass(frozen=True)
class Plan:
  """A comparison: every model from every start, in several seeds.

  Attributes:
    base: The config that all runs change.
    models: Names, of this project or `package.module:function`.
    starts: Initialization schemes.
    num_seeds: Number of runs of each.
    sources: Model -> its pretrained weights.
    inputs: Model -> the images that its weights were trained on, where they
      do not tell (`config.Init.pretrained_input`).
    pretraining: The config that pretrains the other models first; None trains
      them from random weights only.
  """

  base: config.Experiment
  models: tuple[str, ...]
  starts: tuple[str, ...]
  num_seeds: int
  sources: Mapping[str, str]
  pretraining: config.Experiment | None = None
  inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for start in self.starts:
      if start not in schemes.names():
        raise errors.unknown('init', start, schemes.names())
    folders = [folder(model) for model in self.models]
    if len(set(folders)) < len(folders):
      raise errors.InputError(
        f'--models={",".join(self.models)}: two of them have one folder; name '
        'the functions apart'
      )
    if not self.runs(''):
      raise errors.InputError(
        f'{", ".join(self.models)}: {" and ".join(self.starts)} need '
        'pretrained weights; give --pretrained=MODEL=WEIGHTS, or '
        '--pretrain_on=DATASET to pretrain first'
      )

  def starts_of(self, model: str) -> list[str]:
    """Return the starts that a model can have: without weights, only random."""
    if model in self.sources or self.pretraining:
      return list(self.starts)
    return [start for start in self.starts if start == RANDOM]

  def runs(self, root: str) -> list[PlannedRun]:
    """Return all runs below the folder `root`, pretraining before its users."""
    runs = []
    for model in self.models:
      starts = self.starts_of(model)
      if model not in self.sources and set(starts) - {RANDOM}:
        runs.append(self._pretraining(model))
      for start in starts:
        runs += self.seeds(root, model, start)
    return runs

  def seeds(self, root: str, model: str, start: str) -> list[PlannedRun]:
    """Return the runs that differ in their seed alone."""
    changes = {'model.name': model, 'init.scheme': start}
    if start != RANDOM:
      changes['init.pretrained'] = self._source(model, root)
      changes['init.pretrained_input'] = self.inputs.get(model, '')
    if model == resnet.NAME and self._geometry[0]:
      # As the weights were trained; random ones are compared with them.
      changes['model.stride_in'] = self._geometry[0]
    return [
      PlannedRun(
        f'{folder(model)}/{start}/seed{seed}',
        config.override(self.base, changes | {'seed': seed}),
      )
      for seed in range(self.num_seeds)
    ]

  @property
  def refused(self) -> dict[str, str]:
    """Model -> why none of its runs can be made."""
    _, reason = self._geometry
    return {resnet.NAME: reason} if reason else {}

  @functools.cached_property
  def _geometry(self) -> tuple[str, str]:
    """The unit in which the weights' ResNet strides, or why it is not known.

    Both are empty without weights, or where these do not tell.
    """
    if resnet.NAME not in self.models:
      return '', ''
    if resnet.NAME not in self.sources:
      return self.pretraining.model.stride_in if self.pretraining else '', ''
    try:
      return init.weights.stride_in(self.sources[resnet.NAME]), ''
    except Exception as error:  # Whatever a user's file or function does.
      return '', (
        'its pretrained weights, which tell stride_in of all its runs, cannot '
        f'be read: {startup.report_error(error)}'
      )

  def _source(self, model, root):
    if model in self.sources:
      return self.sources[model]
    return os.path.join(root, self._pretraining(model).key)

  def _pretraining(self, model):
    changes = {'model.name': model, 'seed': _PRETRAINING_SEED}
    return PlannedRun(
      f'{folder(model)}/{_PRETRAINED}',
      config.override(self.pretraining, changes),
    )


def start_of(run: PlannedRun) -> str:
  """Return the scheme of a run; `pretrained` for one that others start from."""
  return run.experiment.init.scheme if is_compared(run) else _PRETRAINED


def is_compared(run: PlannedRun) -> bool:
  """Return whether a run is one of those that the study compares."""
  return not run.key.endswith(f'/{_PRETRAINED}')


def folder(model: str) -> str:
  """Return a model's name as that of a folder."""
  return re.sub(r'[^\w.]+', '-', model)
