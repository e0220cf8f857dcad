"""Which runs a table or figure needs, at the paper's scale or a smaller one.

A run has a path-like key, `retina/resnet50/mean_var/seed0`, which is also its
folder below the study's; targets share runs by sharing keys.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import os

from transfusion_tf import config
from transfusion_tf import errors


@dataclasses.dataclass(frozen=True)
class Plan:
  """A run to be: its key, and the experiment.

  `experiment.init.pretrained` holds the key of another plan.
  """

  key: str
  experiment: config.Experiment

  def at(self, root: str, data_dir: str) -> config.Experiment:
    """The experiment as it runs below the folder `root`."""
    changes = {'runtime.data_dir': data_dir}
    source = self.experiment.init.pretrained
    if source:
      changes['init.pretrained'] = os.path.join(root, source)
    return config.override(self.experiment, changes)


@dataclasses.dataclass(frozen=True)
class Scale:
  """How large a study is.

  Attributes:
    recipes: Data set -> its recipe.
    pretraining: The data set that weights are transferred from.
  """

  recipes: Mapping[str, config.Experiment]
  pretraining: str


SCALES = {
  'demo': Scale(
    {
      'retina': config.DEMO_RETINA,
      'chexpert': config.DEMO_CHEXPERT,
      'natural': config.DEMO_NATURAL,
    },
    pretraining='natural',
  ),
  'paper': Scale(
    {
      'retina': config.RETINA,
      'chexpert': config.CHEXPERT,
      'imagenet2012': config.IMAGENET,
    },
    pretraining='imagenet2012',
  ),
}


def pretrained(scale: Scale, model: str, seed: int = 0) -> Plan:
  """Pretraining of `model`: where transferred weights come from."""
  recipe = scale.recipes[scale.pretraining]
  return Plan(
    f'{scale.pretraining}/{model}/random/seed{seed}',
    config.override(recipe, {'model.name': model, 'seed': seed}),
  )


def fine_tuned(
  scale: Scale, dataset: str, model: str, scheme: str, seed: int = 0
) -> Plan:
  """`model` trained on `dataset` from `scheme`.

  All seeds of a scheme start from the same pretrained weights (Section 3).
  """
  changes = {'model.name': model, 'init.scheme': scheme, 'seed': seed}
  if scheme != 'random':
    changes['init.pretrained'] = pretrained(scale, model).key
  return Plan(
    f'{dataset}/{model}/{scheme}/seed{seed}',
    config.override(scale.recipes[dataset], changes),
  )


def _quickstart(scale):
  """The paper's question in four runs."""
  return [
    pretrained(scale, 'cbr_tiny'),
    *(
      fine_tuned(scale, 'retina', 'cbr_tiny', scheme)
      for scheme in ('random', 'transfer', 'mean_var')
    ),
  ]


TARGETS: dict[str, Callable[[Scale], list[Plan]]] = {'quickstart': _quickstart}


def plans(targets: Iterable[str], scale: str) -> list[Plan]:
  """The runs that `targets` need, each once, sources before their users.

  Raises:
    InputError: An unknown target or scale.
  """
  if scale not in SCALES:
    raise errors.unknown('scale', scale, SCALES)
  found = {}
  for target in targets:
    if target not in TARGETS:
      raise errors.unknown('target', target, TARGETS)
    for plan in TARGETS[target](SCALES[scale]):
      found.setdefault(plan.key, plan)
  return list(found.values())
