r"""Trains a network from a chosen initialization: one run of the study.

  python bin/train.py --dataset=retina --data_dir=DATA --model=resnet50 \
    --init=mean_var --pretrained=RUNS/imagenet/resnet50 --run_dir=RUNS/mv0

The recipe (image size, optimizer, batch, length) follows the data set: the
paper's for RETINA, CheXpert and ImageNet, else that of a table, fitted to the
number of images; --recipe chooses another, single flags change it. The same
command continues a run that was stopped. --check_devices, with --strategy and
--tpu, says in seconds whether the machine has what a run needs, and ends with 0
or 2.
"""

import os
import shlex
import sys

from absl import flags

from transfusion_tf import config
from transfusion_tf import flagfile
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.cli import app
from transfusion_tf.cli import run_flags

_RECIPE = flags.DEFINE_string(
  'recipe', None, run_flags.RECIPE_HELP.format('image_table')
)
_CONFIG = 'config.json'  # `run_folder.CONFIG`.
_RUN_DIR = flags.DEFINE_string('run_dir', None, 'Folder of the run.')
_CHECK_DEVICES = flags.DEFINE_bool(
  'check_devices', False, 'Say what this machine can train on, and end.'
)
run_flags.define(__name__)


def main(_) -> None:
  startup.import_tensorflow()
  if _CHECK_DEVICES.value:
    _check_devices()
    return
  from transfusion_tf import metrics
  from transfusion_tf.run import train_and_evaluate

  run_dir, experiment = _RUN_DIR.value or '', _experiment()
  flag_files = flagfile.file(experiment, run_dir)
  _print_commands(run_dir, *flag_files)
  result = train_and_evaluate.run(experiment, run_dir, flag_files)
  for name, summary in result['test'].items():
    print(f'test {name} {metrics.text(summary)}')
  for point in result.get('operating_points', ()):
    print(f'test {metrics.operating_points.text(point)}')
  print(f'{result["num_test"]} images, step {result["judged_step"]}')


def _check_devices():
  """Print the devices; no flag but those of the machine is needed."""
  from transfusion_tf.train import devices

  experiment = config.override(config.RETINA, run_flags.changes())
  for line in devices.check(experiment.runtime):
    print(line, flush=True)


def _experiment():
  """Return the experiment; a recipe that fits the data opens them.

  A run that has begun keeps what was fitted.
  """
  name = run_flags.recipe_name(
    _RECIPE.value, flags.FLAGS.dataset, 'image_table'
  )
  fitted = config.FITTED.get(name, ())
  changes = _fitted_before(fitted) | run_flags.changes()
  if set(fitted) <= set(changes):
    return config.override(config.RECIPES[name], changes)
  from transfusion_tf.input_pipeline import tfds_folder
  from transfusion_tf.run import table_recipe

  opened = tfds_folder.open_dataset(flags.FLAGS.data_dir, flags.FLAGS.dataset)
  num_examples = opened.num_examples(tfds_folder.TRAIN)
  return table_recipe.fit(name, num_examples, changes)


def _fitted_before(fields):
  """Return fields of the run in --run_dir, if there is one."""
  path = os.path.join(_RUN_DIR.value or '', _CONFIG)
  if not fields or not storage.exists(path):
    return {}
  values = config.flatten(config.load(path))
  return {field: values[field] for field in fields}


def _print_commands(run_dir, flagfile):
  """Print where the run is, and how to continue, watch and score it."""
  program = shlex.quote(sys.argv[0])
  # The script next to it.
  evaluate = 'evaluate'.join(program.rsplit('train', 1))
  folder = shlex.quote(run_dir)
  print(f'Run folder: {run_dir}')
  print(f'  continue: python {program} --flagfile={folder}/{flagfile}')
  print(f'  watch:    tensorboard --logdir={folder}')
  print(f'  evaluate: python {evaluate} --run_dir={folder}', flush=True)


def run() -> None:
  """Run the command."""
  for name in ('run_dir', 'dataset', 'data_dir'):
    flags.register_multi_flags_validator(
      [name, 'check_devices'],
      lambda values, name=name: values['check_devices'] or values[name],
      f'Flag --{name} must have a value.',
    )
  app.run(main, run_flags.GROUPS)
