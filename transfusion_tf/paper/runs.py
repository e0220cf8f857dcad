"""The runs that a table or figure needs, at the paper's scale or a smaller one.

A run has a path-like key, `retina/resnet50/mean_var/seed0`, which is also its
folder below the study's; targets share runs by sharing keys.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import os
from typing import TypedDict

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import scales

CLAIMS, ALL = 'claims', 'all'
_STUDY = 'study.json'


class _Study(TypedDict):
  scale: str


@dataclasses.dataclass(frozen=True)
class PlannedRun:
  """A run of a study, finished or not.

  Attributes:
    key: Its path below the study's folder.
    experiment: The config; `init.pretrained` holds the key of another run, or
      the path of a weights file below the study's folder.
    recipe: Name in `config.RECIPES` of the recipe that it changes.
  """

  key: str
  experiment: config.Experiment
  recipe: str

  @property
  def source(self) -> str:
    """Key or path that it takes weights from; empty for none."""
    return self.experiment.init.pretrained

  def at(self, root: str, data_dir: str) -> config.Experiment:
    """Return the experiment as it runs below the folder `root`."""
    changes = {'runtime.data_dir': data_dir}
    if self.source:
      changes['init.pretrained'] = os.path.join(root, self.source)
    return config.override(self.experiment, changes)


# With the seed of a fine-tuned net, pretraining would begin at the same random
# weights, and the two would look alike for that reason.
_PRETRAINING_SEEDS = 1000


def pretrained(scale: scales.Scale, model: str, seed: int = 0) -> PlannedRun:
  """Return a pretraining run of `model`, the source of transferred weights."""
  group = figure_specs.Group(scale.pretraining, model, init_lib.RANDOM)
  return _planned(scale, group, _PRETRAINING_SEEDS + seed)


def plan(
  scale: scales.Scale, group: figure_specs.Group, seed: int = 0
) -> PlannedRun:
  """Return a run of a group.

  All seeds of an initialization take the same pretrained weights (Section 3).
  """
  if not group.initialization.pretrained:
    return _planned(scale, group, seed)
  source = scale.weights.get(group.model) or pretrained(scale, group.model).key
  return _planned(scale, group, seed, {'init.pretrained': source})


def key(scale: scales.Scale, group: figure_specs.Group, seed: int) -> str:
  """Return a run's path below the study's folder."""
  part = f'_{scale.subsets[group.images]}' if group.images else ''
  name = group.initialization.name
  dataset = scale.datasets[group.dataset].name
  return f'{dataset}{part}/{group.model}/{name}/seed{seed}'


def _planned(scale, group, seed, changes=(), recipe=''):
  recipe = recipe or scale.datasets[group.dataset].recipe
  experiment = config.override(
    config.RECIPES[recipe],
    {
      **scale.changes,
      **scale.model_changes.get(group.model, {}),
      **scale.dataset_changes.get(group.dataset, {}).get(group.model, {}),
      'model.name': group.model,
      'data.subset': scale.subsets[group.images] if group.images else 0,
      'seed': seed,
      **group.initialization.changes,
      **dict(changes),
    },
  )
  return PlannedRun(key(scale, group, seed), experiment, recipe)


def _with_sources(scale, planned):
  """Yield each run, with the pretraining that it needs before it."""
  folder = scale.datasets[scale.pretraining].name
  for run in planned:
    if run.source.startswith(f'{folder}/'):
      yield pretrained(scale, run.experiment.model.name)
    yield run


def claim(root: str, scale: str) -> None:
  """Make `root` the folder of a study at one scale, in OUTPUT_DIR/study.json.

  Raises:
    InputError: It is that of a study at another scale, whose runs would be
      taken for ours, or its study.json is damaged.
  """
  if _check_scale(root, scale):
    return
  path = os.path.join(root, _STUDY)
  with storage.convert_write_errors(path):
    storage.makedirs(root)
  storage.write_json(path, {'scale': scale})


def check_more(roots: Iterable[str], scale: str) -> None:
  """Check other folders that may have runs of a study.

  Raises:
    InputError: There is no such folder, or it is of a study at another scale.
  """
  for root in roots:
    if not storage.isdir(root):
      raise errors.InputError(f'--more_runs: {root}: no such folder')
    _check_scale(root, scale)


def _check_scale(root, scale):
  """Return whether a folder is of a study; refuse one at another scale."""
  path = os.path.join(root, _STUDY)
  remedy = f'if this folder is of a study of scale {scale}, delete that file'
  try:
    existing = json_file.read(path, _Study, remedy)['scale']
  except FileNotFoundError:
    return False
  if existing != scale:
    raise errors.InputError(
      f'{root} holds a study of scale {existing}, not {scale}: choose another '
      'folder'
    )
  return True


def expand(targets: Iterable[str]) -> list[str]:
  """Replace `all` and `claims` by the tables and figures that they need.

  Raises:
    InputError: An unknown target.
  """
  known = [*figure_specs.targets(), CLAIMS, ALL]
  names: list[str] = []
  for target in targets:
    if target not in known:
      raise errors.unknown('target', target, known)
    names += figure_specs.targets() if target in (CLAIMS, ALL) else [target]
  return list(dict.fromkeys(names))


def plans(targets: Iterable[str], scale: scales.Scale) -> list[PlannedRun]:
  """Return the runs that `targets` need, each once, sources before their users.

  A group is repeated as often as any table or figure requires, so that each
  shows the same numbers whichever others are made.

  Raises:
    InputError: An unknown target.
  """
  targets = expand(targets)
  repeats = figure_specs.repeats(scale)
  groups = dict.fromkeys(
    g for target in targets for g in figure_specs.groups_of(target, scale)
  )
  planned = [plan(scale, g, s) for g in groups for s in range(repeats[g])]
  if 'table1' in targets:  # Its column of accuracies.
    for model in figure_specs.ALL_MODELS:
      planned += pretrainings(scale, model)
  return list(dict.fromkeys(_with_sources(scale, planned)))


def pretrainings(scale: scales.Scale, model: str) -> list[PlannedRun]:
  """Return the runs whose accuracy Table 1 shows for a model."""
  if model in scale.weights:
    return [_published(scale, model)]
  count = scale.repeats('pretraining')
  return [pretrained(scale, model, seed) for seed in range(count)]


def _published(scale, model):
  """Return the run that scores published weights: it trains no step."""
  group = figure_specs.Group(scale.pretraining, model, init_lib.PUBLISHED)
  source = {'init.pretrained': scale.weights[model]}
  return _planned(scale, group, 0, source, scale.published)


def weights_files(planned: Sequence[PlannedRun]) -> list[str]:
  """Return the weights files of runs, as paths below the study's folder."""
  sources = {run.source for run in planned} - {''}
  return sorted(sources - {run.key for run in planned})


def stages(planned: Sequence[PlannedRun]) -> dict[str, list[PlannedRun]]:
  """Return the runs that can run at once: sources of weights, then the rest."""
  sources = {run.source for run in planned}
  stages = {
    'First, pretraining': [run for run in planned if run.key in sources],
    'Then, in any order': [run for run in planned if run.key not in sources],
  }
  return {name: group for name, group in stages.items() if group}
