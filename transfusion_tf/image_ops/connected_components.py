"""Connected regions of a mask; neighbors share an edge."""

import tensorflow as tf


def largest_component(mask: 'tf.Tensor') -> 'tf.Tensor':
  """Return the largest region of bool [H, W]; of equals, the first one."""
  labels = _labels(mask)
  nowhere = tf.size(mask)
  sizes = tf.math.bincount(tf.reshape(labels, [-1]), minlength=nowhere + 1)
  return mask & (labels == tf.argmax(sizes[:nowhere], output_type=tf.int32))


def fill_holes(mask: 'tf.Tensor') -> 'tf.Tensor':
  """Return bool [H, W] with the pixels that its regions enclose."""
  ground = tf.pad(~mask, [[1, 1], [1, 1]], constant_values=True)
  labels = _labels(ground)
  return (labels != labels[0, 0])[1:-1, 1:-1]


def inner_boundary(mask: 'tf.Tensor') -> 'tf.Tensor':
  """Return the pixels of a mask that border on others within the picture."""
  around = tf.pad(mask, [[1, 1], [1, 1]], constant_values=True)
  return mask & ~tf.reduce_all(_neighbors(around), axis=0)


def _labels(mask):
  """Return int32 [H, W]: the least place in each region, H * W outside.

  The least place spreads through whole runs of pixels at a time, along rows
  and columns in turn, so that a disc takes few rounds.
  """
  nowhere = tf.size(mask)
  places = tf.reshape(tf.range(nowhere), tf.shape(mask))
  rows, columns = _runs(mask), tf.transpose(_runs(tf.transpose(mask)))

  def spread(labels, _):
    wide = labels
    for runs in (rows, columns):
      least = tf.math.unsorted_segment_min(wide, runs, nowhere + 1)
      wide = tf.where(mask, tf.gather(least, runs), nowhere)
    return wide, tf.reduce_any(wide != labels)

  start = tf.where(mask, places, nowhere)
  labels, _ = tf.while_loop(lambda _, goes_on: goes_on, spread, (start, True))
  return labels


def _runs(mask):
  """Return int32 [H, W]: the number of a pixel's run along its row."""
  begins = mask & ~tf.pad(mask, [[0, 0], [1, 0]])[:, :-1]
  numbers = tf.cumsum(tf.reshape(tf.cast(begins, tf.int32), [-1]))
  return tf.reshape(numbers, tf.shape(mask))


def _neighbors(around):
  """Return the four neighbors of each pixel of a picture with a border."""
  return (
    around[:-2, 1:-1],
    around[2:, 1:-1],
    around[1:-1, :-2],
    around[1:-1, 2:],
  )
