r"""Trains a network from a chosen start: one run of the study.

  python bin/train.py --dataset=retina --data_dir=DATA --model=resnet50 \
    --init=mean_var --pretrained=RUNS/imagenet/resnet50 --run_dir=RUNS/mv0

The recipe (image size, optimizer, batch, length) follows the data set: the
paper's for RETINA, CheXpert and ImageNet; --recipe chooses another, single
flags change it. The same command continues a run that was stopped.
"""

import os
import shlex
import sys

from absl import flags

import cli
import train_flags
from transfusion_tf import config
from transfusion_tf import errors

_RECIPE = flags.DEFINE_string(
  'recipe',
  None,
  f'Settings to start from: {", ".join(config.RECIPES)} (default: the one '
  'named like --dataset, else retina).',
)
_RUN_DIR = flags.DEFINE_string('run_dir', None, 'Folder of the run.')
flags.DEFINE_string('dataset', None, 'Prepared data set, e.g. retina.')
flags.DEFINE_string('data_dir', None, 'Folder that prepare_data.py filled.')
flags.DEFINE_string(
  'model', None, 'resnet50, cbr_tiny, ... or package.module:function.'
)
flags.DEFINE_integer('image_size', None, 'Side in pixels.', lower_bound=8)
flags.DEFINE_integer('subset', None, 'Training examples; 0: all.', 0)
flags.DEFINE_string('uncertain', None, 'mix, zeros, ones or ignore.')
flags.DEFINE_string('normalization', None, 'imagenet, inception, unit, bytes.')
flags.DEFINE_bool('shuffle_labels', None, 'Control: labels of others.')
flags.DEFINE_float('bn_momentum', None, "Batch norm; 0: the network's.", 0, 1)
flags.DEFINE_string('stride_in', None, 'ResNet: last (paper) or first.')
flags.DEFINE_string('slim_from', None, 'First stage at half width.')
flags.DEFINE_string(
  'init', None, 'random, transfer, mean_var, sampling or shuffled.'
)
flags.DEFINE_string('pretrained', None, 'Run folder, weights or imagenet.')
flags.DEFINE_string('upto', None, 'Last stage that --init reaches.')
flags.DEFINE_string('bn_init', None, 'identity, mean_var or transfer.')
flags.DEFINE_string('conv1', None, 'scheme, gabor, transfer or random.')
flags.DEFINE_string('freeze_upto', None, 'Last stage that stays frozen.')
flags.DEFINE_string('optimizer', None, 'adam or sgd.')
flags.DEFINE_float('learning_rate', None, 'Peak.', lower_bound=0)
flags.DEFINE_float('weight_decay', None, 'L2 penalty.', lower_bound=0)
flags.DEFINE_integer('batch_size', None, 'Over all devices.', lower_bound=1)
flags.DEFINE_integer('train_steps', None, 'Length.', lower_bound=1)
flags.DEFINE_integer('eval_every', None, 'Steps.', lower_bound=1)
flags.DEFINE_integer('patience', None, 'Evaluations; 0: never stop.', 0)
flags.DEFINE_integer('seed', None, 'Of weights, order, augmentation.', 0)
flags.DEFINE_bool('deterministic', None, 'The same bits on every run.')
flags.DEFINE_string(
  'precision', None, 'float32, mixed_bfloat16, mixed_float16 or auto.'
)
flags.DEFINE_integer('lanes', None, 'Parts of an epoch; 0: one a host.', 0)
flags.DEFINE_bool('sync_batch_norm', None, 'Over the global batch.')
flags.DEFINE_string(
  'strategy', None, 'auto, one_device, mirrored, multi_worker or tpu.'
)
flags.DEFINE_string('tpu', None, 'Name of a TPU, or local.')
flags.DEFINE_integer('num_virtual_cpus', None, 'Devices to make of one.', 0)
flags.DEFINE_string('xla', None, 'auto, on or off.')
flags.DEFINE_integer('steps_per_call', None, '0: about a second of them.', 0)
flags.DEFINE_integer('eval_batch_size', None, 'Of each device.', 1)
flags.DEFINE_integer('checkpoint_every', None, 'Steps; 0: eval_every.', 0)
flags.DEFINE_integer('keep_checkpoints', None, 'Besides first and best.', 1)
flags.DEFINE_bool('pictures', None, 'On TensorBoard, of patients too.')
flags.DEFINE_integer('profile', None, 'Steps to trace for TensorBoard.', 0)


def _experiment() -> config.Experiment:
  values = flags.FLAGS.flag_values_dict()
  dataset = values['dataset'].split('/')[0]
  recipe = values['recipe'] or (
    dataset if dataset in config.RECIPES else 'retina'
  )
  if recipe not in config.RECIPES:
    raise errors.unknown('recipe', recipe, config.RECIPES)
  changes = {
    field: values[flag]
    for flag, field in config.FLAGS.items()
    if values[flag] is not None
  }
  return config.override(config.RECIPES[recipe], changes)


def main(_) -> None:
  cli.import_tensorflow()
  from transfusion_tf import launch
  from transfusion_tf.train import metrics

  run_dir, experiment = _RUN_DIR.value, _experiment()
  beside = train_flags.file(experiment, run_dir)
  _say_where(run_dir, *beside)
  result = launch.run(experiment, run_dir, beside)
  for name, found in result['test'].items():
    print(f'test {name} {metrics.text(found)}')
  print(f'{result["num_test"]} images, step {result["judged_step"]}')


def _say_where(run_dir, flagfile):
  """Where the run is, and how to go on, watch it and score it."""
  program = shlex.quote(sys.argv[0])
  evaluate = os.path.join(os.path.dirname(program), 'evaluate.py')
  folder = shlex.quote(run_dir)
  print(f'Run folder: {run_dir}')
  print(f'  continue: python {program} --flagfile={folder}/{flagfile}')
  print(f'  watch:    tensorboard --logdir={folder}')
  print(f'  evaluate: python {evaluate} --run_dir={folder}', flush=True)


if __name__ == '__main__':
  flags.mark_flags_as_required(['run_dir', 'dataset', 'data_dir'])
  cli.run(main, train_flags.GROUPS)
