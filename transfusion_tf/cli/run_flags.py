"""The flags of train.py, one for each field of a config that has one."""

from collections.abc import Collection, Iterable
from typing import Any

from absl import flags

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.cli import help_text
from transfusion_tf.init import schemes

_HEADINGS = {
  'data': 'Data',
  'model': 'Network',
  'init': 'Start',
  'optimizer': 'Optimizer',
  'train': 'Training',
  'seed': 'Training',
  'runtime': 'Machine (may change between two sessions of a run)',
}
RECIPE_HELP = (
  f'Settings to start from: {", ".join(config.RECIPES)} (default: the one '
  'named like --dataset, else {}).'
)
# Flag -> heading under which --help lists it.
GROUPS = {'recipe': 'Data'} | {
  flag: _HEADINGS[path.split('.')[0]] for flag, path in config.FLAGS.items()
}


def define(
  module: str,
  names: Collection[str] = tuple(config.FLAGS),
  usual: config.Experiment | None = None,
) -> None:
  """Define flags as those of a module; none has a default.

  Args:
    module: Name of the module.
    names: Which of `config.FLAGS`.
    usual: The recipe whose values --help shows.
  """
  values = config.flatten(usual) if usual else {}
  for path, field in config.fields():
    flag = config.flag_of(field)
    if flag and flag.name in names:
      note = f" (default: the recipe's, {values[path]})" if usual else ''
      _define(flag, module, note)


def _define(flag, module, note):
  text = flag.help.removesuffix('.').format(
    models=', '.join(models.NAMES), schemes=help_text.either(schemes.names())
  )
  define = {
    bool: flags.DEFINE_bool,
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
  }[flag.kind]
  bounds = {}
  if flag.kind in (int, float):
    bounds = {'lower_bound': flag.low, 'upper_bound': flag.high}
  define(flag.name, None, f'{text}{note}.', module_name=module, **bounds)


def recipe(name: str | None, dataset: str, usual: str) -> config.Experiment:
  """Return a recipe by name; without one, the data set's, else the usual one.

  Raises:
    InputError: No such recipe.
  """
  return config.RECIPES[recipe_name(name, dataset, usual)]


def recipe_name(name: str | None, dataset: str, usual: str) -> str:
  """Return the name of the recipe that `recipe` returns.

  Raises:
    InputError: No such recipe.
  """
  kind = dataset.split('/')[0]
  name = name or (kind if kind in config.RECIPES else usual)
  if name not in config.RECIPES:
    raise errors.unknown('recipe', name, config.RECIPES)
  return name


def changes(names: Iterable[str] = tuple(config.FLAGS)) -> dict[str, Any]:
  """Return dotted field -> value, of the named flags that are given."""
  values = {name: flags.FLAGS[name].value for name in names}
  return {
    config.FLAGS[name]: value
    for name, value in values.items()
    if value is not None
  }
