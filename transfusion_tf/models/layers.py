"""The common parts of the models: convolutions with batch norm, and a head.

Every layer is named, so a model's weight paths do not depend on what else was
built in the process. Random weights are He normal over the fan-in, which Keras
draws from a truncated normal as TF-Slim's variance scaling does; TF-Slim's
networks start so.
"""

from __future__ import annotations

import dataclasses

from etils import epy

with epy.lazy_imports():  # Listing runs does without.
  import keras

_HE_NORMAL = 'he_normal'


@dataclasses.dataclass(frozen=True)
class BatchNorm:
  """The constants of batch norm in one family of networks.

  Attributes:
    momentum: Fraction of the old moving average kept at each training step.
    epsilon: Added to the variance.
    scale: True if there is a gamma.
    suffix: Last part of the layer's name, after the convolution's.
  """

  momentum: float
  epsilon: float
  scale: bool = True
  suffix: str = 'bn'

  def with_momentum(self, momentum: float) -> BatchNorm:
    """Return the same at another momentum; 0 leaves it as it is."""
    return dataclasses.replace(self, momentum=momentum or self.momentum)

  def __call__(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(
      momentum=self.momentum,
      epsilon=self.epsilon,
      scale=self.scale,
      name=f'{name}.{self.suffix}',
    )(x)


def conv_bn(
  x: keras.KerasTensor,
  channels: int,
  kernel_size: int | tuple[int, int],
  bn: BatchNorm,
  name: str,
  strides: int = 1,
  padding: str = 'same',
) -> keras.KerasTensor:
  """Apply a convolution, without the bias that batch norm cancels, and BN."""
  x = keras.layers.Conv2D(
    channels,
    kernel_size,
    strides=strides,
    padding=padding,
    use_bias=False,
    kernel_initializer=_HE_NORMAL,
    name=name,
  )(x)
  return bn(x, name)


def relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
  return keras.layers.ReLU(name=f'{name}.relu')(x)


def head(
  x: keras.KerasTensor, num_classes: int, dropout: float = 0.0
) -> keras.KerasTensor:
  """Return logits [B, num_classes] of [B, H, W, C], always float32."""
  x = keras.layers.GlobalAveragePooling2D(name='global_pool')(x)
  if dropout:
    x = keras.layers.Dropout(dropout, name='dropout')(x)
  return keras.layers.Dense(
    num_classes, kernel_initializer=_HE_NORMAL, dtype='float32', name='head'
  )(x)
