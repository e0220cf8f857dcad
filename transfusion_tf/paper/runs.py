"""Which runs a table or figure needs, at the paper's scale or a smaller one.

A run has a path-like key, `retina/resnet50/mean_var/seed0`, which is also its
folder below the study's; targets share runs by sharing keys.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import json
import os

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations
from transfusion_tf.paper import scales

CLAIMS, ALL = 'claims', 'all'
_STUDY = 'study.json'


@dataclasses.dataclass(frozen=True)
class Plan:
  """A run to be.

  Attributes:
    key: Its path below the study's folder.
    experiment: What is run; `init.pretrained` holds the key of another plan,
      or the path of a weights file below the study's folder.
    recipe: The name in `config.RECIPES` of what it is a change of.
  """

  key: str
  experiment: config.Experiment
  recipe: str

  @property
  def source(self) -> str:
    """What it takes weights from; empty for nothing."""
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


def pretrained(scale: scales.Scale, model: str, seed: int = 0) -> Plan:
  """Pretraining of `model`: where transferred weights come from."""
  group = figure_specs.Group(scale.pretraining, model, initializations.RANDOM)
  return _planned(scale, group, _PRETRAINING_SEEDS + seed)


def plan(scale: scales.Scale, group: figure_specs.Group, seed: int = 0) -> Plan:
  """Return a run of a group.

  All seeds of a start take the same pretrained weights (Section 3).
  """
  if not group.start.pretrained:
    return _planned(scale, group, seed)
  source = scale.weights.get(group.model) or pretrained(scale, group.model).key
  return _planned(scale, group, seed, {'init.pretrained': source})


def key(scale: scales.Scale, group: figure_specs.Group, seed: int) -> str:
  """Return a run's path below the study's folder."""
  part = f'_{scale.subsets[group.images]}' if group.images else ''
  return f'{group.dataset}{part}/{group.model}/{group.start.name}/seed{seed}'


def _planned(scale, group, seed, changes=()):
  recipe = scale.recipes[group.dataset]
  experiment = config.override(
    config.RECIPES[recipe],
    {
      **scale.changes,
      **scale.of_model.get(group.model, {}),
      'model.name': group.model,
      'data.subset': scale.subsets[group.images] if group.images else 0,
      'seed': seed,
      **group.start.changes,
      **dict(changes),
    },
  )
  return Plan(key(scale, group, seed), experiment, recipe)


def _sources(scale, plans):
  """Each plan with the pretraining it needs before it."""
  for plan_ in plans:
    if plan_.source.startswith(f'{scale.pretraining}/'):
      yield pretrained(scale, plan_.experiment.model.name)
    yield plan_


def claim(root: str, scale: str) -> None:
  """Make `root` the folder of a study at one scale, in OUTPUT_DIR/study.json.

  Raises:
    InputError: It is that of a study at another, whose runs would pass for
      ours, or what it says of itself cannot be read.
  """
  path = os.path.join(root, _STUDY)
  if not os.path.exists(path):
    with storage.atomic_write(path) as file:
      json.dump({'scale': scale}, file)
    return
  try:
    with open(path, encoding='utf-8') as file:
      held = json.load(file)['scale']
  except (ValueError, LookupError, TypeError):
    raise errors.InputError(
      f'{path} is damaged; if this is the folder of a study of scale {scale}, '
      'delete that file'
    ) from None
  if held != scale:
    raise errors.InputError(
      f'{root} holds a study of scale {held}, not {scale}: choose another '
      '--output_dir'
    )


def expand(targets: Iterable[str]) -> list[str]:
  """`all` and `claims` as the tables and figures that they are made of.

  Raises:
    InputError: An unknown target.
  """
  known = [*figure_specs.TARGETS, CLAIMS, ALL]
  found = []
  for target in targets:
    if target not in known:
      raise errors.unknown('target', target, known)
    found += figure_specs.TARGETS if target in (CLAIMS, ALL) else [target]
  return list(dict.fromkeys(found))


def plans(targets: Iterable[str], scale: scales.Scale) -> list[Plan]:
  """Return the runs that `targets` need, each once, sources before their users.

  A group is repeated as often as any table or figure wants it, so that each
  shows the same numbers whichever others are made.

  Raises:
    InputError: An unknown target.
  """
  targets = expand(targets)
  repeats = figure_specs.repeats(scale)
  groups = dict.fromkeys(
    g for target in targets for g in figure_specs.GROUPS[target](scale)
  )
  wanted = [plan(scale, g, s) for g in groups for s in range(repeats[g])]
  if 'table1' in targets:  # Its column of ImageNet accuracies.
    wanted += accuracies(scale)
  return list(dict.fromkeys(_sources(scale, wanted)))


def accuracies(scale: scales.Scale) -> list[Plan]:
  """Return the pretraining runs whose accuracy Table 1 shows."""
  return [
    pretrained(scale, model, seed)
    for model in figure_specs.ALL_MODELS
    if model not in scale.weights
    for seed in range(scale.repeats('pretraining'))
  ]


def weights_files(plans: Sequence[Plan]) -> list[str]:
  """Weights that runs take from files, as paths below the study's folder."""
  sources = {plan_.source for plan_ in plans} - {''}
  return sorted(sources - {plan_.key for plan_ in plans})


def stages(plans: Sequence[Plan]) -> dict[str, list[Plan]]:
  """Return what can run at once: sources of weights, then the others."""
  sources = {plan_.source for plan_ in plans}
  first = [p for p in plans if p.key in sources]
  names = ('First, pretraining', 'Then, in any order')
  rest = [p for p in plans if p.key not in sources]
  return {n: of for n, of in zip(names, (first, rest), strict=True) if of}
