r"""Trains a network from a chosen start: one run of the study.

  python bin/train.py --dataset=retina --data_dir=DATA --model=resnet50 \
    --init=mean_var --pretrained=RUNS/imagenet/resnet50 --run_dir=RUNS/mv0

The recipe (image size, optimizer, batch, length) follows the data set: the
paper's for RETINA, CheXpert and ImageNet; --recipe chooses another, single
flags change it. The same command continues a run that was stopped.
"""

from absl import flags

import cli
from transfusion_tf import config
from transfusion_tf import errors

_RECIPE = flags.DEFINE_string(
  'recipe',
  None,
  f'Settings to start from: {", ".join(config.RECIPES)} (default: the one '
  'named like --dataset, else retina).',
)
# Flag -> the field of `config.Experiment` that it sets. A flag that is not
# given leaves the recipe's value.
_FIELDS = {
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
  'seed': 'seed',
  'data_dir': 'runtime.data_dir',
  'strategy': 'runtime.strategy',
  'checkpoint_every': 'runtime.checkpoint_every',
  'keep_checkpoints': 'runtime.keep_checkpoints',
}

_RUN_DIR = flags.DEFINE_string('run_dir', None, 'Folder of the run.')
flags.DEFINE_string('dataset', None, 'Prepared data set, e.g. retina.')
flags.DEFINE_string('data_dir', None, 'Folder that prepare_data.py filled.')
flags.DEFINE_string('model', None, 'resnet50, inception_v3, cbr_tiny, ...')
flags.DEFINE_integer('image_size', None, 'Side in pixels.', lower_bound=8)
flags.DEFINE_integer('subset', None, 'Training examples; 0: all.', 0)
flags.DEFINE_string('uncertain', None, 'mix, zeros, ones or ignore.')
flags.DEFINE_string('normalization', None, 'imagenet or inception.')
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
flags.DEFINE_string('strategy', None, 'auto, one_device or mirrored.')
flags.DEFINE_integer('checkpoint_every', None, 'Steps; 0: eval_every.', 0)
flags.DEFINE_integer('keep_checkpoints', None, 'Besides first and best.', 1)


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
    for flag, field in _FIELDS.items()
    if values[flag] is not None
  }
  return config.override(config.RECIPES[recipe], changes)


def main(_) -> None:
  cli.import_tensorflow()
  from transfusion_tf import launch

  run_dir = _RUN_DIR.value
  print(f'Run folder: {run_dir}')
  result = launch.run(_experiment(), run_dir)
  for name, found in result['test'].items():
    print(
      f'test {name} {found["value"]:.4f} '
      f'(95 % interval {found["low"]:.4f} to {found["high"]:.4f}, '
      f'{result["num_test"]} images, step {result["judged_step"]})'
    )


if __name__ == '__main__':
  flags.mark_flags_as_required(['run_dir', 'dataset', 'data_dir'])
  cli.run(main)
