"""A run's settings as a flagfile of train.py."""

import contextlib

from transfusion_tf import config


def file(experiment: config.Experiment, run_dir: str) -> dict[str, str]:
  """Return `train.flags` -> the shortest flagfile that makes `experiment`.

  Empty where no recipe and flags make it.
  """
  found = []
  for recipe in config.RECIPES:
    with contextlib.suppress(ValueError):
      found.append(lines(experiment, recipe, run_dir))
  return {'train.flags': min(found, key=len)} if found else {}


def lines(experiment: config.Experiment, recipe: str, run_dir: str) -> str:
  """Return a flagfile of train.py that makes `experiment` out of a recipe.

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
