r"""Trains a network from a chosen initialization: one run of the study.

  python bin/train.py --dataset=retina --data_dir=DATA --model=resnet50 \
    --init=mean_var --pretrained=RUNS/imagenet/resnet50 --run_dir=RUNS/mv0

The recipe (image size, optimizer, batch, length) follows the data set: the
paper's for RETINA, CheXpert and ImageNet; --recipe chooses another, single
flags change it. The same command continues a run that was stopped.
"""

import shlex
import sys

from absl import flags

from transfusion_tf import config
from transfusion_tf import flagfile
from transfusion_tf import startup
from transfusion_tf.cli import app
from transfusion_tf.cli import run_flags

_RECIPE = flags.DEFINE_string(
  'recipe', None, run_flags.RECIPE_HELP.format('retina')
)
_RUN_DIR = flags.DEFINE_string(
  'run_dir', None, 'Folder of the run.', required=True
)
run_flags.define(__name__)


def main(_) -> None:
  startup.import_tensorflow()
  from transfusion_tf import metrics
  from transfusion_tf.run import train_and_evaluate

  run_dir, experiment = _RUN_DIR.value, _experiment()
  flag_files = flagfile.file(experiment, run_dir)
  _print_commands(run_dir, *flag_files)
  result = train_and_evaluate.run(experiment, run_dir, flag_files)
  for name, summary in result['test'].items():
    print(f'test {name} {metrics.text(summary)}')
  print(f'{result["num_test"]} images, step {result["judged_step"]}')


def _experiment():
  recipe = run_flags.recipe(_RECIPE.value, flags.FLAGS.dataset, 'retina')
  return config.override(recipe, run_flags.changes())


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
  flags.mark_flags_as_required(['dataset', 'data_dir'])
  app.run(main, run_flags.GROUPS)
