"""The config of a run as a flagfile of train.py."""

import contextlib

from transfusion_tf import config


def file(experiment: config.Experiment, run_dir: str) -> dict[str, str]:
  """Return `train.flags` -> the shortest flagfile that makes `experiment`.

  It is empty if no recipe with flags makes it.
  """
  texts = []
  for recipe in config.RECIPES:
    with contextlib.suppress(ValueError):
      texts.append(lines(experiment, recipe, run_dir))
  return {'train.flags': min(texts, key=len)} if texts else {}


def lines(experiment: config.Experiment, recipe: str, run_dir: str) -> str:
  """Return a flagfile of train.py that makes `experiment` out of a recipe.

  Raises:
    ValueError: A field that no flag sets differs from the recipe's.
  """
  base, values = config.RECIPES[recipe], config.flatten(experiment)
  flags = {field: flag for flag, field in config.FLAGS.items()}
  given = {
    'recipe': recipe,
    'run_dir': run_dir,
    'dataset': values['data.dataset'],
  }
  # Without its flag, such a field would be fitted again.
  fitted = config.FITTED.get(recipe, ())
  for field, value in config.flatten(base).items():
    is_set = field in fitted and values[field]
    if values[field] == value and not is_set:
      continue
    if field not in flags:
      raise ValueError(f'{field}: no flag of train.py sets it')
    given[flags[field]] = values[field]
  return ''.join(f'--{flag}={value}\n' for flag, value in given.items())
