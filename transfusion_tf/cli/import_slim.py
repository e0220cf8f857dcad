r"""Makes TF-Slim's published weights usable as --pretrained.

  python bin/import_slim.py --checkpoint=inception_v3.ckpt \
    --model=inception_v3 --output=inception_v3.npz

The checkpoints are those of the TF-Slim model zoo: inception_v3.ckpt and
resnet_v1_50.ckpt. Every weight is matched by name; one too many, one too few
or one of another shape stops the import. Of Inception's 1001 classes the first,
the background, is left out: the others are ImageNet's, in TFDS's order.

Checkpoints of TF-Slim's train_image_classifier.py fit, too. Optimizer variables
are left out; --moving_average takes the averages of the weights.
"""

import os

from absl import flags

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.cli import app

_CHECKPOINT = flags.DEFINE_string(
  'checkpoint', None, 'The .ckpt file or checkpoint prefix.', required=True
)
_MODEL = flags.DEFINE_enum(
  'model', None, ['inception_v3', 'resnet50'], 'Whose weights.', required=True
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'The .npz file to write.', required=True
)
_NORMALIZATION = flags.DEFINE_enum(
  'normalization',
  'published',
  ['published', 'imagenet'],
  'The images that the weights fit, which the file records: those they were '
  "published for (Inception: train.py's --normalization=inception, ResNet: "
  "caffe), or images normalized by ImageNet's mean and standard deviation, "
  "train.py's default.",
)
_MOVING_AVERAGE = flags.DEFINE_bool(
  'moving_average',
  False,
  "Take the weights' moving averages, which training with "
  '--moving_average_decay keeps, in place of the weights.',
)


def main(_) -> None:
  output = _OUTPUT.value
  if not output.endswith('.npz'):
    raise errors.InputError(f'output {output}: must end in .npz')
  folder = os.path.dirname(output) or '.'
  if not storage.is_remote(output) and not os.path.isdir(folder):
    raise errors.InputError(f'output {output}: its folder does not exist')
  startup.import_tensorflow()
  from transfusion_tf import models
  from transfusion_tf.init import input_scaling
  from transfusion_tf.init import types
  from transfusion_tf.init.sources import files
  from transfusion_tf.init.sources import tf_slim

  name = _MODEL.value
  read = tf_slim.read(_CHECKPOINT.value, name, _MOVING_AVERAGE.value)
  arrays = types.WeightSource(
    tf_slim.without_background(tf_slim.for_named_input(read, name)),
    _CHECKPOINT.value,
  )
  trained_on = tf_slim.INPUTS[name]
  if _NORMALIZATION.value != 'published':
    model = models.build(name, 1, (None, None, 3))
    arrays = input_scaling.fit(arrays, model, trained_on, _NORMALIZATION.value)
    trained_on = _NORMALIZATION.value
  origin = tf_slim.origin(_CHECKPOINT.value)
  if _MOVING_AVERAGE.value:
    origin += ', moving averages'
  files.save_npz(output, arrays, origin, trained_on)
  values = sum(array.size for array in arrays.values())
  print(f'{output}: {len(arrays)} weights, {values:,} values, from {origin}')
  _print_left_out(tf_slim.contents(_CHECKPOINT.value))


def _print_left_out(contents):
  if contents.slots:
    print(f'Left out: {len(contents.slots)} variables of an optimizer')
  averages = len(contents.averages)
  if averages and _MOVING_AVERAGE.value:
    print(f'Moving averages taken: {averages}')
  elif averages:
    print(
      f'Not taken: the moving averages of {averages} weights; '
      '--moving_average takes them'
    )


def run() -> None:
  """Run the command."""
  app.run(main)
