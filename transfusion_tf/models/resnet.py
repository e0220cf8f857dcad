"""ResNet-50 as the paper has it: stride in the last unit of blocks 1 to 3.

Appendix C quotes activations of 294x294x64 after conv1 and 19x19x1024 after
block3 for images of 587x587. Those are the shapes of TF-Slim's `resnet_v1_50`
(He et al., arXiv:1512.03385), whose blocks stride in their last unit;
`keras.applications.ResNet50` strides in the first unit of blocks 2 to 4 and
has 37x37 there. `stride_in='first'` is that geometry, for its weights.
"""

from __future__ import annotations

from etils import epy

from transfusion_tf import errors
from transfusion_tf.models import layers
from transfusion_tf.models import registry
from transfusion_tf.models import stages as stages_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras

NAME = 'resnet50'
STRIDE_IN = ('last', 'first')
_EXPANSION = 4  # Of a bottleneck's output over its inside.
_BATCH_NORM = layers.BatchNorm(momentum=0.997, epsilon=1e-5)  # TF-Slim's.

# Block -> units and channels inside a unit.
_BLOCKS = {
  'block1': (3, 64),
  'block2': (4, 128),
  'block3': (6, 256),
  'block4': (3, 512),
}
_ROOT_CHANNELS = 64
_STAGES = ('conv1', *_BLOCKS)  # Each ends with its last ReLU.


@registry.register(
  NAME,
  label='ResNet-50',
  stages=_STAGES,
  multiply_adds=70_000,
  convolutions=53,
)
def build(
  num_classes: int,
  input_shape: tuple[int | None, int | None, int],
  bn_momentum: float = 0.0,
  stride_in: str = 'last',
  slim_from: str = '',
) -> keras.Model:
  """ResNet-50: images [B, H, W, C] -> logits [B, num_classes].

  Args:
    num_classes: Number of logits.
    input_shape: (H, W, C); H and W may be None.
    bn_momentum: Momentum of the moving averages; 0 is TF-Slim's.
    stride_in: The unit of a block that strides, `last` or `first`.
    slim_from: First stage at half width (Section 5); none if empty.
  """
  if stride_in not in STRIDE_IN:
    raise errors.unknown('stride_in', stride_in, STRIDE_IN)
  bn = _BATCH_NORM.with_momentum(bn_momentum)
  units, channels = zip(*_BLOCKS.values(), strict=True)
  root, *widths = stages_lib.halve_widths(
    _STAGES, (_ROOT_CHANNELS, *channels), slim_from
  )
  x = inputs = keras.Input(input_shape, name='image')
  x = layers.relu(_conv_same(x, root, 7, bn, 'conv1', strides=2), 'conv1')
  x = _root_pool(x, stride_in)
  for block, num_units, width in zip(_BLOCKS, units, widths, strict=True):
    for unit in range(1, num_units + 1):
      strides = 2 if _strides(block, unit, num_units, stride_in) else 1
      x = _bottleneck(
        x, width, strides, stride_in, bn, unit == 1, f'{block}.unit_{unit}'
      )
  return keras.Model(inputs, layers.head(x, num_classes), name=NAME)


def stride_in(model: keras.Model) -> str:
  """Return the unit of a block in which `model`, of `build`, strides."""
  strides = model.get_layer('block2.unit_1.conv1').strides
  return 'first' if strides == (2, 2) else 'last'


def _strides(block, unit, num_units, stride_in):
  if stride_in == 'last':
    return unit == num_units and block != 'block4'
  return unit == 1 and block != 'block1'


def _root_pool(x, stride_in):
  # On even sizes TF's SAME pads one side only, keras.applications both. Zeros
  # are neutral here: what comes out of a ReLU is no smaller.
  if stride_in == 'first':
    x = keras.layers.ZeroPadding2D(1, name='pool1.pad')(x)
  padding = 'same' if stride_in == 'last' else 'valid'
  return keras.layers.MaxPooling2D(3, 2, padding=padding, name='pool1')(x)


def _bottleneck(x, width, strides, stride_in, bn, project, name):
  """Three convolutions and a shortcut; [B, H, W, _] -> [B, H', W', 4 width]."""
  first, second = (strides, 1) if stride_in == 'first' else (1, strides)
  y = layers.conv_bn(x, width, 1, bn, f'{name}.conv1', first)
  y = layers.relu(y, f'{name}.conv1')
  y = _conv_same(y, width, 3, bn, f'{name}.conv2', second)
  y = layers.relu(y, f'{name}.conv2')
  y = layers.conv_bn(y, _EXPANSION * width, 1, bn, f'{name}.conv3')
  # The first unit of a block always projects. In a slim net this keeps the
  # full net's layers even where the halved block needs no change of width.
  if project:
    x = layers.conv_bn(
      x, _EXPANSION * width, 1, bn, f'{name}.shortcut', strides
    )
  elif strides > 1:
    x = keras.layers.MaxPooling2D(1, strides, name=f'{name}.shortcut.pool')(x)
  return layers.relu(keras.layers.Add(name=f'{name}.add')([x, y]), name)


def _conv_same(x, channels, kernel_size, bn, name, strides):
  """Return a convolution whose SAME padding is symmetric on even sizes."""
  if strides == 1:
    return layers.conv_bn(x, channels, kernel_size, bn, name)
  x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f'{name}.pad')(x)
  return layers.conv_bn(x, channels, kernel_size, bn, name, strides, 'valid')
