"""The runs that a study of one data set needs."""

from collections.abc import Mapping
import dataclasses
import functools
import os
import re
from typing import Any

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import startup
from transfusion_tf.init import schemes
from transfusion_tf.models import resnet
from transfusion_tf.study import sources as sources_lib
from transfusion_tf.study import starts as starts_lib
from transfusion_tf.study import subsets as subsets_lib

RANDOM = schemes.RANDOM
_PRETRAINED = 'pretrained'
# With the seed of a run, pretraining would begin at the same weights.
_PRETRAINING_SEED = 1000


@dataclasses.dataclass(frozen=True)
class PlannedRun:
  """A run of a study, finished or not.

  Attributes:
    key: Its path below the study's folder: MODEL/START/seedN, or
      MODEL/START/lrRATE/seedN of a rate that is not the recipe's; behind START
      is /nPATIENTS if it trains on a subset.
    experiment: The config, with all its paths.
    start: Name of its start; `pretrained` if others start from it.
    patients: Number of training patients, if it trains on a subset.
  """

  key: str
  experiment: config.Experiment
  start: str = _PRETRAINED
  patients: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
  """A comparison: every model from every start, in several seeds.

  Attributes:
    base: The config that all runs change.
    models: Names, of this project or `package.module:function`.
    starts: What `starts.parse` reads.
    num_seeds: Number of runs of each.
    sources: Model -> name -> its pretrained weights.
    inputs: MODEL, or MODEL:NAME -> the images that its weights were trained on,
      where they do not tell (`config.Init.pretrained_input`).
    pretraining: The config that pretrains the other models first; None trains
      them from random weights only.
    rates: Learning rates, of which each model takes the best from each start;
      none is that of `base`.
    chosen: Model, name of a start -> the best of `rates`.
    stages: Model -> names of its stages, the head last, where they are known.
    subsets: Smaller sets that the starts are trained on as well.
    patients: Number of training patients of these runs; 0 for all.
  """

  base: config.Experiment
  models: tuple[str, ...]
  starts: tuple[str, ...]
  num_seeds: int
  sources: sources_lib.Sources
  pretraining: config.Experiment | None = None
  inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
  rates: tuple[float, ...] = ()
  chosen: Mapping[tuple[str, str], float] = dataclasses.field(
    default_factory=dict
  )
  stages: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  subsets: subsets_lib.Subsets = subsets_lib.NONE
  patients: int = 0

  def __post_init__(self):
    parsed = [starts_lib.parse(start) for start in self.starts]
    folders = [folder(model) for model in self.models]
    if len(set(folders)) < len(folders):
      raise errors.InputError(
        f'--models={",".join(self.models)}: two of them have one folder; name '
        'the functions apart'
      )
    self._check_rates()
    self._check_stages(parsed)
    if not any(self.starts_of(model) for model in self.models):
      raise errors.InputError(
        f'--inits={",".join(self.starts)} takes pretrained weights, and '
        f'{", ".join(self.models)} has none: give --pretrained=MODEL=WEIGHTS, '
        'or --pretrain_on=DATASET to pretrain first'
      )
    for model in self.models:
      keys = [start.key for start in self.starts_of(model)]
      if twice := next((key for key in keys if keys.count(key) > 1), ''):
        raise errors.InputError(
          f'{model}: two starts have one folder, {twice}; give each once, and '
          'sources names that differ in their letters'
        )

  def _check_rates(self):
    for rate in self.rates:
      if rate <= 0 or self.rates.count(rate) > 1:
        raise errors.InputError(
          f'--learning_rates: {rate:g} is not positive, or stands twice'
        )

  def _check_stages(self, parsed):
    """Refuse a stage that none of the networks has."""
    for start in parsed:
      able = [m for m in self.models if not start.needs_weights or self._has(m)]
      known = {model: self.stages.get(model, ()) for model in able}
      if not start.stage or not known or not all(known.values()):
        continue
      if not any(starts_lib.of_network(start, s) for s in known.values()):
        stages = '; '.join(
          f'{model}: {", ".join(names[:-1])}' for model, names in known.items()
        )
        raise errors.InputError(
          f'--inits={start.name}: no network has a stage {start.stage!r} below '
          f'its head (there are: {stages})'
        )

  def _has(self, model):
    """Return whether a model has pretrained weights."""
    return model in self.sources or self.pretraining is not None

  def starts_of(self, model: str) -> list[starts_lib.Start]:
    """Return the starts that a model can have: without weights, only random.

    With several pretrained sources, there is one start of each.
    """
    names = tuple(self.sources.get(model, ()))
    found = []
    for start in map(starts_lib.parse, self.starts):
      if start.needs_weights and not self._has(model):
        continue
      of_sources = [start]
      if start.needs_weights and len(names) > 1:
        of_sources = [dataclasses.replace(start, source=n) for n in names]
      for each in of_sources:
        found += starts_lib.of_network(each, self.stages.get(model, ()))
    return found

  def runs(self, root: str) -> list[PlannedRun]:
    """Return all runs below the folder `root`, pretraining before its users."""
    runs = []
    for model in self.models:
      runs += self._pretrainings(model)
      for start in self.starts_of(model):
        runs += self.seeds(root, model, start)
    return runs

  def all_runs(self, root: str) -> list[PlannedRun]:
    """Return `runs` and `subset_runs`."""
    return [*self.runs(root), *self.subset_runs(root)]

  def subset_runs(self, root: str) -> list[PlannedRun]:
    """Return the runs on subsets, of the starts that name no stage."""
    return [
      run
      for patients, base in self.subsets.bases.items()
      for plan in [dataclasses.replace(self, base=base, patients=patients)]
      for model in self.models
      for start in self.starts_of(model)
      if not start.stage
      for run in plan.seeds(root, model, start)
    ]

  def trials(self, root: str) -> list[PlannedRun]:
    """Return the first seeds at each of several rates; none if there is one.

    Before them are the runs that they start from.
    """
    if len(self.rates) < 2:
      return []
    runs = []
    for model in self.models:
      runs += self._pretrainings(model)
      for start in self.starts_of(model):
        runs += self.trials_of(root, model, start).values()
    return runs

  def trials_of(
    self, root: str, model: str, start: starts_lib.Start
  ) -> dict[float, PlannedRun]:
    """Return learning rate -> the run that tries it."""
    return {rate: self._run(root, model, start, rate, 0) for rate in self.rates}

  def seeds(
    self, root: str, model: str, start: starts_lib.Start
  ) -> list[PlannedRun]:
    """Return the runs that differ in their seed alone."""
    usual = self.rates[0] if self.rates else self._usual_rate
    rate = self.chosen.get((model, start.name), usual)
    return [
      self._run(root, model, start, rate, seed)
      for seed in range(self.num_seeds)
    ]

  @property
  def _usual_rate(self):
    return self.base.optimizer.learning_rate

  def _run(self, root, model, start, rate, seed):
    experiment = self.experiment(model)
    changes: dict[str, Any] = {
      'optimizer.learning_rate': rate,
      'seed': seed,
      **start.changes(self.stages.get(model, ()), experiment.train.train_steps),
    }
    if start.needs_weights:
      changes['init.pretrained'] = self._source(model, start.source, root)
      changes['init.pretrained_input'] = self.inputs.get(
        f'{model}:{start.source}', self.inputs.get(model, '')
      )
    at_rate = '' if rate == self._usual_rate else f'/lr{rate!r}'
    of_size = f'/n{self.patients}' if self.patients else ''
    return PlannedRun(
      f'{folder(model)}/{start.key}{of_size}{at_rate}/seed{seed}',
      config.override(experiment, changes),
      start.name,
      self.patients,
    )

  def experiment(self, model: str) -> config.Experiment:
    """Return what all runs of a model have in common."""
    changes = {'model.name': model}
    if model == resnet.NAME and self._geometry[0]:
      # As the weights were trained; random ones are compared with them.
      changes['model.stride_in'] = self._geometry[0]
    return config.override(self.base, changes)

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
    sources = self.sources[resnet.NAME].values()
    try:
      units = {init.weights.stride_in(source) for source in sources} - {''}
    except Exception as error:  # Whatever a user's file or function does.
      return '', (
        'its pretrained weights, which tell stride_in of all its runs, cannot '
        f'be read: {startup.report_error(error)}'
      )
    if len(units) > 1:
      return '', (
        'its pretrained weights stride in different units of a block, which '
        'makes two networks: compare each with random weights in a study of '
        'its own'
      )
    return next(iter(units), ''), ''

  def _source(self, model, name, root):
    if model in self.sources:
      known = self.sources[model]
      return known[name] if name else next(iter(known.values()))
    return os.path.join(root, f'{folder(model)}/{_PRETRAINED}')

  def _pretrainings(self, model):
    """Return the run that others of a model start from, if there is one."""
    needed = any(start.needs_weights for start in self.starts_of(model))
    if model in self.sources or not needed:
      return []
    changes = {'model.name': model, 'seed': _PRETRAINING_SEED}
    return [
      PlannedRun(
        f'{folder(model)}/{_PRETRAINED}',
        config.override(self.pretraining, changes),
      )
    ]


def start_of(run: PlannedRun) -> str:
  """Return a run's start; `pretrained` for one that others start from."""
  return run.start


def is_compared(run: PlannedRun) -> bool:
  """Return whether a run is one of those that the study compares."""
  return not run.key.endswith(f'/{_PRETRAINED}')


def folder(model: str) -> str:
  """Return a model's name as that of a folder."""
  return re.sub(r'[^\w.]+', '-', model)
