"""How train.py's flags and the fields of a `config.Experiment` correspond."""

import contextlib

from transfusion_tf import config

# Flag -> the field of `config.Experiment` that it sets. A flag that is not
# given leaves the recipe's value.
FIELDS = {
  'dataset': 'data.dataset',
  'image_size': 'data.image_size',
  'subset': 'data.subset',
  'uncertain': 'data.uncertain',
  'normalization': 'data.normalization',
  'shuffle_labels': 'data.shuffle_labels',
  'model': 'model.name',
  'bn_momentum': 'model.bn_momentum',
  'stride_in': 'model.stride_in',
  'slim_from': 'model.slim_from',
  'init': 'init.scheme',
  'pretrained': 'init.pretrained',
  'upto': 'init.upto',
  'bn_init': 'init.bn_init',
  'conv1': 'init.conv1',
  'freeze_upto': 'init.freeze_upto',
  'optimizer': 'optimizer.name',
  'learning_rate': 'optimizer.learning_rate',
  'weight_decay': 'optimizer.weight_decay',
  'batch_size': 'train.batch_size',
  'train_steps': 'train.train_steps',
  'eval_every': 'train.eval_every',
  'patience': 'train.patience',
  'deterministic': 'train.deterministic',
  'precision': 'train.precision',
  'lanes': 'train.lanes',
  'sync_batch_norm': 'train.sync_batch_norm',
  'seed': 'seed',
  'data_dir': 'runtime.data_dir',
  'strategy': 'runtime.strategy',
  'tpu': 'runtime.tpu',
  'num_virtual_cpus': 'runtime.num_virtual_cpus',
  'xla': 'runtime.xla',
  'steps_per_call': 'runtime.steps_per_call',
  'eval_batch_size': 'runtime.eval_batch_size',
  'checkpoint_every': 'runtime.checkpoint_every',
  'keep_checkpoints': 'runtime.keep_checkpoints',
  'pictures': 'runtime.pictures',
  'profile': 'runtime.profile',
}

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
  flag: _HEADINGS[field.split('.')[0]] for flag, field in FIELDS.items()
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
  flags = {field: flag for flag, field in FIELDS.items()}
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
