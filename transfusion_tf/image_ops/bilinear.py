"""The bilinear resize of a batch of pictures, in the form a device is good at.

Both forms compute tf.image.resize, with centers at half pixels. XLA makes a
gather of that operation. TPUs pad its result, [S, S, B, 3, 3, 3] in memory, to
lanes of 128: of ResNet-50's step at 587 px, batch 8, it was 16 of 27 GB of
memory traffic. Two products with a constant matrix have no such result. A CPU
takes 25 times as long for them. GPUs have the native form; there, the products
were not measured.

B is the batch, C the side before and S after.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from transfusion_tf import tpu_settings

Resize = Callable[['tf.Tensor', int], 'tf.Tensor']


def native(images: 'tf.Tensor', side: int) -> 'tf.Tensor':
  """Resize float32 [B, C, C, 3] to [B, S, S, 3]."""
  return tf.image.resize(images, [side, side])


# XLA has the product, see `_dot`: on a TPU, or where it compiles for the host.
@tf.function(jit_compile=tpu_settings.has_host_xla(), autograph=False)
def as_products(images: 'tf.Tensor', side: int) -> 'tf.Tensor':
  """Resize float32 [B, C, C, 3] to [B, S, S, 3]."""
  return _apply(images, matrix(images.shape[1], side))


def matrix(size: int, side: int) -> np.ndarray:
  """Return the weights of `size` pixels in `side` pixels: float32 [S, C]."""
  # A constant, also where a function is being traced.
  with tf.init_scope():
    identity = tf.eye(size)[..., None]
    return tf.image.resize(identity, [side, size])[..., 0].numpy()


def _apply(images, weights):
  """Return sum_hw weights[s, h] weights[t, w] images[b, h, w, c]."""

  @tf.custom_gradient
  def product(images):
    columns = _dot(images, weights, axis=2)  # [B, C, 3, S]
    rows = _dot(columns, weights, axis=1)  # [B, 3, S, S], width before height
    return tf.transpose(rows, [0, 3, 2, 1]), _gradient

  def _gradient(upstream):
    return _apply(upstream, weights.T)

  return product(images)


def _dot(images, weights, axis):
  """Contract an axis of `images` with the second of `weights`."""
  # The only product of TensorFlow with a choice of precision. By default, TPUs
  # round the factors to bfloat16: weights of a pixel would not sum to 1.
  from tensorflow.compiler.tf2xla.python import xla

  dimensions = xla.DotDimensionNumbers()
  dimensions.lhs_contracting_dimensions.append(axis)
  dimensions.rhs_contracting_dimensions.append(1)
  precision = xla.PrecisionConfig()
  precision.operand_precision.extend([xla.PrecisionConfig.HIGHEST] * 2)
  return xla.dot_general(images, weights, dimensions, precision)
