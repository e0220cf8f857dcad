"""Pillow's scaling of 8-bit pictures, which preparing data uses, in a graph.

Pillow scales along the width, rounds to 8 bits, then along the height, and
rounds again; that is done here, too.
"""

import tensorflow as tf

from transfusion_tf.image_ops import blocks
from transfusion_tf.image_ops import rules

_GAP = 2  # `thumbnail` lets the filter shrink by at least this factor.
_FIXED_POINT = 2.0**22  # Pillow's weights are multiples of 1 / this,
_REDUCE_FIXED_POINT = 2**24  # and those of `reduce` of 1 / this.


def lanczos(
  image: 'tf.Tensor', height: 'tf.Tensor', width: 'tf.Tensor'
) -> 'tf.Tensor':
  """Scale uint8 [H, W, 3] to [height, width, 3], low-pass if it shrinks."""
  shape = tf.shape(image)
  return tf.cond(
    rules.is_height_first(shape[1], shape[0], width, height),
    lambda: _scale_width(_scale_height(image, height), width),
    lambda: _scale_height(_scale_width(image, width), height),
  )


def lanczos_square(
  image: 'tf.Tensor', start: 'tf.Tensor', length: 'tf.Tensor', side: int
) -> 'tf.Tensor':
  """Scale a square of an image, black beyond it, to [side, side, 3].

  Args:
    image: uint8 [H, W, 3].
    start: int32 [2], y and x of its corner, which may lie outside.
    length: Its side, int32.
    side: The one to scale to.
  """
  shape = tf.shape(image)[:2]
  first = tf.clip_by_value(start, 0, shape)
  last = tf.clip_by_value(start + length, 0, shape)
  inside = image[first[0] : last[0], first[1] : last[1]]
  before, after = first - start, start + length - last
  # Black rows stay black: they are added when rows are short.
  narrow = _scale_width(inside, side, before[1], after[1])
  narrow = tf.pad(narrow, [[before[0], after[0]], [0, 0], [0, 0]])
  return _scale_height(narrow, side)


def _scale_width(image, width, left=0, right=0):
  """Scale along the width, with black columns at the left and right."""

  def scaled(rows):
    rows = tf.pad(rows, [[0, 0], [left, right], [0, 0]])
    return _scale(rows, (tf.shape(rows)[0], width))

  # A step in between holds all columns as numbers of four bytes.
  columns = tf.maximum(tf.shape(image)[1] + left + right, width)
  return blocks.map_rows(scaled, image, 12 * columns)


def _scale_height(image, height):
  return _scale(image, (height, tf.shape(image)[1]))


def _scale(image, size):
  return _eight_bits(tf.image.resize(image, size, 'lanczos3', antialias=True))


def thumbnail(image: 'tf.Tensor', longer_side: int) -> 'tf.Tensor':
  """Average uint8 [H, W, 3] down to a longer side; keep a smaller one."""
  shape = tf.shape(image)[:2]
  return tf.cond(
    tf.reduce_max(shape) <= longer_side,
    lambda: image,
    lambda: _average(image, _thumbnail_size(shape, longer_side)),
  )


def _thumbnail_size(shape, longer_side):
  """Return the size that keeps the aspect, width / height, best."""
  height, width = tf.unstack(tf.cast(shape, tf.float64))
  aspect = width / height
  exact = longer_side * tf.minimum(aspect, 1 / aspect)
  shorter = tf.maximum(tf.floor(exact) + tf.constant([0, 1], tf.float64), 1)
  lost = tf.abs(
    aspect - tf.where(aspect > 1, longer_side / shorter, shorter / longer_side)
  )
  shorter = tf.cast(shorter[tf.argmin(lost)], tf.int32)
  return tf.where(shape == tf.reduce_max(shape), longer_side, shorter)


def _average(image, size):
  shape = tf.shape(image)[:2]
  factor = tf.maximum(shape // (size * _GAP), 1)
  reduced = tf.cond(
    tf.reduce_any(factor > 1), lambda: _reduce(image, factor), lambda: image
  )
  pixels = tf.cast(reduced, tf.float64)
  # Of the image, once reduced; Pillow passes it on in single precision.
  extent = tf.cast(tf.cast(shape / factor, tf.float32), tf.float64)
  across = _weights(tf.shape(pixels)[1], extent[1], size[1])
  pixels = _rounded(tf.einsum('hwc,ow->hoc', pixels, across))
  down = _weights(tf.shape(pixels)[0], extent[0], size[0])
  pixels = _rounded(tf.einsum('hwc,oh->owc', pixels, down))
  return tf.cast(pixels, tf.uint8)


def _reduce(image, factor):
  """Average blocks of `factor` pixels; the last ones may be smaller."""
  shape = tf.shape(image)[:2]
  means = tf.raw_ops.ScaleAndTranslate(
    images=image[None],
    size=-(-shape // factor),
    scale=1 / tf.cast(factor, tf.float32),
    translation=tf.zeros([2]),
    kernel_type='box',
    antialias=True,
  )[0]
  rows, columns = (
    tf.minimum(f, length - tf.range(0, length, f))
    for f, length in zip(tf.unstack(factor), tf.unstack(shape), strict=True)
  )
  count = rows[:, None, None] * columns[:, None]
  sums = tf.cast(tf.round(means * tf.cast(count, tf.float32)), tf.int64)
  # Pillow multiplies by the inverse as a number of 24 bits, rounded down: a
  # sum that it would divide without a remainder comes out one lower.
  inverse = tf.cast(_REDUCE_FIXED_POINT / tf.cast(count, tf.float32), tf.int64)
  rounded = (sums + tf.cast(count // 2, tf.int64)) * inverse
  return tf.cast(rounded // _REDUCE_FIXED_POINT, tf.uint8)


def _weights(num_in, extent, num_out):
  """Return [out, in]: equal weights of the pixels that an output covers."""
  scale = extent / tf.cast(num_out, tf.float64)
  reach = tf.maximum(scale, 1)
  centers = (_counting(num_out)[:, None] + 0.5) * scale
  index = _counting(num_in)
  # Often a border falls on a pixel's center, and rounding errors decide: the
  # operations and their order are Pillow's.
  distance = (index - centers + 0.5) * (1 / reach)
  covered = (
    (distance > -0.5)
    & (distance <= 0.5)
    & (index >= tf.floor(centers - reach / 2 + 0.5))
    & (index < tf.floor(centers + reach / 2 + 0.5))
  )
  covered = tf.cast(covered, tf.float64)
  weights = covered / tf.reduce_sum(covered, axis=1, keepdims=True)
  return tf.floor(weights * _FIXED_POINT + 0.5) / _FIXED_POINT


def _counting(number):
  return tf.cast(tf.range(number), tf.float64)


def _rounded(values):
  return tf.clip_by_value(tf.floor(values + 0.5), 0, 255)


def _eight_bits(values):
  return tf.cast(_rounded(values), tf.uint8)
