"""How train.py's flags and the fields of a `config.Experiment` correspond."""

import contextlib

from transfusion_tf import config

_HEADINGS = {
  'data': 'Data',
  'model': 'Network',
  'init': 'Start',
  'optimizer': 'Optimizer',
  'train': 'Training',
  'seed': 'Training',
  'runtime': 'Machine (may change between two sittings of a run)',
}
# Flag -> heading under which --help lists it.
GROUPS = {'recipe': 'Data'} | {
  flag: _HEADINGS[field.split('.')[0]] for flag, field in config.FLAGS.items()
}


def file(experiment: config.Experiment, run_dir: str) -> dict[str, str]:
  """`train.flags` -> the shortest flagfile that makes `experiment` again.

  Empty where no recipe and flags make it.
  """
  found = []
  for recipe in config.RECIPES:
    with contextlib.suppress(ValueError):
      found.append(lines(experiment, recipe, run_dir))
  return {'train.flags': min(found, key=len)} if found else {}


def lines(experiment: config.Experiment, recipe: str, run_dir: str) -> str:
  """A flagfile of train.py that makes `experiment` out of a recipe.

  Raises:
    ValueError: A field that no flag sets differs from the recipe's.
  """
  base, wanted = config.RECIPES[recipe], config.flatten(experiment)
  flags = {field: flag for flag, field in config.FLAGS.items()}
  given = {
    'recipe': recipe,
    'run_dir': run_dir,
    'dataset': wanted['data.dataset'],
  }
  for field, value in config.flatten(base).items():
    if wanted[field] == value:
      continue
    if field not in flags:
      raise ValueError(f'{field}: no flag of train.py sets it')
    given[flags[field]] = wanted[field]
  return ''.join(f'--{flag}={value}\n' for flag, value in given.items())
