"""Inception-v3 (Szegedy et al., arXiv:1512.00567) in TF-Slim's names.

Where TF-Slim writes `Mixed_5b/Branch_0/Conv2d_0a_1x1/BatchNorm` the layer here
is `Mixed_5b.Branch_0.Conv2d_0a_1x1.BatchNorm`, irregular names included, so
that published weights are matched by name: more than half of the kernels share
their shape with another. Pooling before the head is global, which makes any
image size work; the auxiliary head is left out: the paper names none.
"""

from __future__ import annotations

import dataclasses
import re

from etils import epy

from transfusion_tf import errors
from transfusion_tf.models import layers
from transfusion_tf.models import registry

with epy.lazy_imports():  # Listing runs does without.
  import keras

NAME = 'inception_v3'
MIN_SIZE = 75  # Pixels; less leaves nothing for the last reduction.
# TF-Slim's arg scope: no gamma, and 0.8 of the features kept in training.
_BATCH_NORM = layers.BatchNorm(
  momentum=0.9997, epsilon=1e-3, scale=False, suffix='BatchNorm'
)
_DROPOUT = 0.2
_REDUCE = {'strides': 2, 'padding': 'valid'}

# Scopes of TF-Slim; a stage ends with its scope.
_STAGES = (
  'Conv2d_1a_3x3',
  'Conv2d_2a_3x3',
  'Conv2d_2b_3x3',
  'Conv2d_3b_1x1',
  'Conv2d_4a_3x3',
  *(f'Mixed_5{letter}' for letter in 'bcd'),
  *(f'Mixed_6{letter}' for letter in 'abcde'),
  *(f'Mixed_7{letter}' for letter in 'abc'),
)


@registry.register(
  NAME,
  label='Inception-v3',
  stages=_STAGES,
  multiply_adds=63_900,
  convolutions=94,
)
def build(
  num_classes: int,
  input_shape: tuple[int | None, int | None, int],
  bn_momentum: float = 0.0,
) -> keras.Model:
  """Inception-v3: images [B, H, W, C] -> logits [B, num_classes].

  Args:
    num_classes: Number of logits.
    input_shape: (H, W, C); H and W at least `MIN_SIZE`, or None.
    bn_momentum: Momentum of the moving averages; 0 is TF-Slim's.
  """
  if any(size is not None and size < MIN_SIZE for size in input_shape[:2]):
    raise errors.InputError(
      f'{NAME} needs images of at least {MIN_SIZE}x{MIN_SIZE}, got '
      f'{input_shape[0]}x{input_shape[1]}'
    )
  inputs = keras.Input(input_shape, name='image')
  x = _trunk(_Net(_BATCH_NORM.with_momentum(bn_momentum)), inputs)
  return keras.Model(inputs, layers.head(x, num_classes, _DROPOUT), name=NAME)


def _trunk(net, x):
  """Image to Mixed_7c; sizes are those of an image of 299x299."""
  x = net.conv(x, 'Conv2d_1a_3x3', 32, **_REDUCE)  # 149
  x = net.conv(x, 'Conv2d_2a_3x3', 32, padding='valid')
  x = net.conv(x, 'Conv2d_2b_3x3', 64)
  x = _max_pool(x, 'MaxPool_3a_3x3')  # 73
  x = net.conv(x, 'Conv2d_3b_1x1', 80, padding='valid')
  x = net.conv(x, 'Conv2d_4a_3x3', 192, padding='valid')
  x = _max_pool(x, 'MaxPool_5a_3x3')  # 35
  for scope, branches in _MIXED.items():  # 35, 17 from 6a, 8 from 7a
    x = net.mixed(x, scope, branches)
  return x


def _mixed_5(pool, names=('Conv2d_0a_1x1', 'Conv2d_0b_5x5')):
  return (
    [('Conv2d_0a_1x1', 64)],
    [(names[0], 48), (names[1], 64)],
    [('Conv2d_0a_1x1', 64), ('Conv2d_0b_3x3', 96), ('Conv2d_0c_3x3', 96)],
    ['AvgPool_0a_3x3', ('Conv2d_0b_1x1', pool)],
  )


def _mixed_6(width):
  return (
    [('Conv2d_0a_1x1', 192)],
    [
      ('Conv2d_0a_1x1', width),
      ('Conv2d_0b_1x7', width),
      ('Conv2d_0c_7x1', 192),
    ],
    [
      ('Conv2d_0a_1x1', width),
      ('Conv2d_0b_7x1', width),
      ('Conv2d_0c_1x7', width),
      ('Conv2d_0d_7x1', width),
      ('Conv2d_0e_1x7', 192),
    ],
    ['AvgPool_0a_3x3', ('Conv2d_0b_1x1', 192)],
  )


def _mixed_7(split):
  # A list of rows within a branch is a fork whose ends are concatenated.
  return (
    [('Conv2d_0a_1x1', 320)],
    [('Conv2d_0a_1x1', 384), [('Conv2d_0b_1x3', 384), (split, 384)]],
    [
      ('Conv2d_0a_1x1', 448),
      ('Conv2d_0b_3x3', 384),
      [('Conv2d_0c_1x3', 384), ('Conv2d_0d_3x1', 384)],
    ],
    ['AvgPool_0a_3x3', ('Conv2d_0b_1x1', 192)],
  )


# Scope -> branches; a branch is a list of rows: (layer, channels[, options]),
# the name of a pool, or a fork. The kernel size ends the layer's name.
_MIXED = {
  'Mixed_5b': _mixed_5(32),
  'Mixed_5c': _mixed_5(64, ('Conv2d_0b_1x1', 'Conv_1_0c_5x5')),
  'Mixed_5d': _mixed_5(64),
  'Mixed_6a': (
    # These two are 3x3 whatever their published names say.
    [('Conv2d_1a_1x1', 384, {'kernel_size': 3, **_REDUCE})],
    [
      ('Conv2d_0a_1x1', 64),
      ('Conv2d_0b_3x3', 96),
      ('Conv2d_1a_1x1', 96, {'kernel_size': 3, **_REDUCE}),
    ],
    ['MaxPool_1a_3x3'],
  ),
  'Mixed_6b': _mixed_6(128),
  'Mixed_6c': _mixed_6(160),
  'Mixed_6d': _mixed_6(160),
  'Mixed_6e': _mixed_6(192),
  'Mixed_7a': (
    [('Conv2d_0a_1x1', 192), ('Conv2d_1a_3x3', 320, _REDUCE)],
    [
      ('Conv2d_0a_1x1', 192),
      ('Conv2d_0b_1x7', 192),
      ('Conv2d_0c_7x1', 192),
      ('Conv2d_1a_3x3', 192, _REDUCE),
    ],
    ['MaxPool_1a_3x3'],
  ),
  'Mixed_7b': _mixed_7('Conv2d_0b_3x1'),
  'Mixed_7c': _mixed_7('Conv2d_0c_3x1'),
}


@dataclasses.dataclass(frozen=True)
class _Net:
  """Turns rows into layers that share their batch norm's constants."""

  bn: layers.BatchNorm

  def conv(self, x, name, channels, kernel_size=None, **options):
    kernel_size = kernel_size or _kernel_size(name)
    x = layers.conv_bn(x, channels, kernel_size, self.bn, name, **options)
    return layers.relu(x, name)

  def mixed(self, x, scope, branches):
    ends = [
      self._branch(x, f'{scope}.Branch_{i}', rows)
      for i, rows in enumerate(branches)
    ]
    return keras.layers.Concatenate(name=scope)(ends)

  def _branch(self, x, scope, rows):
    for row in rows:
      x = self._row(x, scope, row)
    return x

  def _row(self, x, scope, row):
    match row:
      case str(pool) if pool.startswith('Avg'):
        return keras.layers.AveragePooling2D(
          3, 1, padding='same', name=f'{scope}.{pool}'
        )(x)
      case str(pool):
        return _max_pool(x, f'{scope}.{pool}')
      case list(fork):
        ends = [self._row(x, scope, end) for end in fork]
        return keras.layers.Concatenate(name=f'{scope}.concat')(ends)
      case (name, channels, *options):
        return self.conv(
          x, f'{scope}.{name}', channels, **(options[0] if options else {})
        )


def _max_pool(x, name):
  return keras.layers.MaxPooling2D(3, 2, name=name)(x)


def _kernel_size(name):
  height, width = re.search(r'(\d)x(\d)$', name).groups()
  return int(height), int(width)
