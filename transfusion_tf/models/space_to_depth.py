"""Convolutions of pictures that stride by two, in a form TPUs are good at.

Such a convolution of C channels is one of 4 C channels that does not stride:
the four phases of each channel, pixels of even and odd rows and columns. TPUs
pad a batch of eight pictures of three channels to [S, S, 4, 128] in memory;
twelve channels of a fourth of the pixels take half of that. On TPUs this is
known of ResNet-50's first convolution as "space to depth". Larger batches fill
more of the 128: of 16 pictures it moves as much as before, of 32 4 % more.

B is the batch, C and F the channels before and after, K the kernel's side.
"""

from __future__ import annotations

from collections.abc import Callable
import itertools

from etils import epy

from transfusion_tf.models import graph

with epy.lazy_imports():  # Listing runs does without.
  import keras
  import tensorflow as tf

_STRIDE = 2
# A channel of three is padded to four, one of twelve to sixteen; networks'
# inner convolutions have more channels than lanes are lost to.
_MAX_CHANNELS = 4
_MAX_BATCH = 8  # On one chip.
_SCOPE = 'space_to_depth'  # Of operations, in profiles and compiled programs.


def install(model: keras.Model, wanted: Callable[[], bool]) -> None:
  """Let a model's convolutions of pictures compute by phases.

  Weights, their paths and the results, up to rounding, are as before.

  Args:
    model: Its convolutions of at most four channels that stride by two.
    wanted: Called when a convolution is traced: whether to compute by phases.
  """
  for layer in graph.layers(model):
    if _is_strided_on_pictures(layer):
      layer.convolution_op = _choice(layer, wanted)


def _is_strided_on_pictures(layer):
  return (
    isinstance(layer, keras.layers.Conv2D)
    and type(layer).convolution_op is keras.layers.Conv2D.convolution_op
    and layer.strides == (_STRIDE, _STRIDE)
    and layer.dilation_rate == (1, 1)
    and layer.groups == 1
    and layer.data_format == 'channels_last'
    and layer.kernel.shape[2] <= _MAX_CHANNELS
  )


def _choice(layer, wanted):
  """Return a `convolution_op` of a layer that asks `wanted` first."""
  usual = layer.convolution_op

  def convolution_op(images, kernel):
    if wanted() and _is_small(images.shape):
      return convolve(images, tf.convert_to_tensor(kernel), layer.padding)
    return usual(images, kernel)

  return convolution_op


def _is_small(shape):
  return None not in shape and shape[0] <= _MAX_BATCH


def convolve(
  images: tf.Tensor, kernel: tf.Tensor, padding: str = 'valid'
) -> tf.Tensor:
  """Convolve [B, H, W, C] with a kernel [K, K, C, F], striding by two.

  Args:
    images: Of static height, width and channels.
    kernel: Of the same type.
    padding: `valid` or `same`, as in `tf.nn.conv2d`.

  Returns:
    [B, H', W', F].
  """
  with tf.name_scope(_SCOPE):
    rows, columns = (
      _padding(images.shape[axis], kernel.shape[axis - 1], padding)
      for axis in (1, 2)
    )
    planes = [
      _padded(plane, rows, columns) for plane in tf.unstack(images, axis=-1)
    ]
    phases = [
      plane[:, row::_STRIDE, column::_STRIDE]
      for row, column in itertools.product(range(_STRIDE), repeat=2)
      for plane in planes
    ]
    stacked = tf.transpose(tf.stack(phases), [1, 2, 3, 0])
    phase_kernel = _by_phases(kernel)
  return tf.nn.conv2d(stacked, phase_kernel, strides=1, padding='VALID')


def _padding(size, kernel_size, padding):
  """Return the zeros before and after an axis; fewer than none cut it."""
  if padding == 'same':
    num_outputs = -(-size // _STRIDE)
    seen = _STRIDE * (num_outputs - 1) + kernel_size
    before = max(seen - size, 0) // 2
  else:
    num_outputs = (size - kernel_size) // _STRIDE + 1
    before = 0
  whole = _STRIDE * (num_outputs - 1) + _even(kernel_size)
  return before, whole - size - before


def _padded(plane, rows, columns):
  """Pad or cut [B, H, W]."""
  (top, bottom), (left, right) = rows, columns
  plane = plane[:, : min(bottom, 0) or None, : min(right, 0) or None]
  return tf.pad(plane, [[0, 0], [top, max(bottom, 0)], [left, max(right, 0)]])


def _by_phases(kernel):
  """Rearrange [K, K, C, F] to [K / 2, K / 2, 4 C, F], K rounded up to even."""
  height, width, channels, filters = kernel.shape
  even_height, even_width = _even(height), _even(width)
  kernel = tf.pad(
    kernel, [[0, even_height - height], [0, even_width - width], [0, 0], [0, 0]]
  )
  half_height, half_width = even_height // _STRIDE, even_width // _STRIDE
  kernel = tf.reshape(
    kernel, [half_height, _STRIDE, half_width, _STRIDE, channels, filters]
  )
  kernel = tf.transpose(kernel, [0, 2, 1, 3, 4, 5])
  return tf.reshape(
    kernel, [half_height, half_width, _STRIDE**2 * channels, filters]
  )


def _even(size):
  return size + size % _STRIDE
