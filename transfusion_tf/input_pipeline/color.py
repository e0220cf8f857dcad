"""Changes of color, on planes of one channel each.

A plane is contiguous: compilers make vector instructions of what is done to its
pixels. Between the channels of one pixel they find none.
"""

from collections.abc import Sequence

import tensorflow as tf


def adjust_hue(
  planes: Sequence['tf.Tensor'], turn: 'tf.Tensor'
) -> list['tf.Tensor']:
  """Rotate each image's hue, as tf.image.adjust_hue does for a single one.

  With v, m and c the largest channel, the smallest and their difference, hue is
  a place h on a circle of length 6. It stays multiplied by c here, so that gray
  has one, too, and nothing is divided.

  Args:
    planes: R, G and B of the images, [B, H, W] each.
    turn: [B, 1, 1], fractions of the circle.

  Returns:
    R, G and B.
  """
  red, green, blue = planes
  v = tf.maximum(tf.maximum(red, green), blue)
  m = tf.minimum(tf.minimum(red, green), blue)
  c = v - m
  h = tf.where(
    v == red,
    green - blue,
    tf.where(v == green, 2 * c + (blue - red), 4 * c + (red - green)),
  )
  h += 6 * (turn - tf.round(turn)) * c  # In [-4 c, 8 c].
  h = tf.where(h < 0, h + 6 * c, tf.where(h >= 6 * c, h - 6 * c, h))
  return [
    m + tf.clip_by_value(tf.abs(h - 3 * c) - c, 0, c),
    m + tf.clip_by_value(2 * c - tf.abs(h - 2 * c), 0, c),
    m + tf.clip_by_value(2 * c - tf.abs(h - 4 * c), 0, c),
  ]


def adjust_contrast(plane: 'tf.Tensor', factor: 'tf.Tensor') -> 'tf.Tensor':
  """Scale one channel [B, H, W] about each image's mean; factor [B, 1, 1]."""
  mean = tf.reduce_mean(plane, axis=[1, 2], keepdims=True)
  return mean + (plane - mean) * factor
