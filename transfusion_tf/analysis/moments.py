"""Means and covariances of activations, accumulated batch by batch.

A batch is centered by its own mean before it is multiplied, and batches are
merged by the update of Chan, Golub and LeVeque (1979), all in float64: no sum
of raw products loses digits to a large mean.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from transfusion_tf.analysis import fourth_moments

Array: TypeAlias = np.ndarray | tf.Tensor


class Moments(NamedTuple):
  """Moments of rows [N, D]: the channels of several networks, side by side.

  Attributes:
    num_rows: [], N.
    mean: [D].
    scatter: [D, D], the sum over rows of the centered outer products.
  """

  num_rows: Array
  mean: Array
  scatter: Array

  def merge(self, other: 'Moments') -> 'Moments':
    """Return the moments of both sets of rows together."""
    num_rows = self.num_rows + other.num_rows
    shift = other.mean - self.mean
    return Moments(
      num_rows,
      self.mean + shift * (other.num_rows / num_rows),
      self.scatter
      + other.scatter
      + _outer(shift, self.num_rows * other.num_rows / num_rows),
    )

  def without(self, part: 'Moments') -> 'Moments':
    """Return the moments of the rows not in `part`: undoes `merge`."""
    num_rows = self.num_rows - part.num_rows
    mean = (self.num_rows * self.mean - part.num_rows * part.mean) / num_rows
    return Moments(
      num_rows,
      mean,
      self.scatter
      - part.scatter
      - _outer(part.mean - mean, part.num_rows * num_rows / self.num_rows),
    )

  def take(self, channels: np.ndarray) -> 'Moments':
    return Moments(
      self.num_rows,
      self.mean[channels],
      self.scatter[np.ix_(channels, channels)],
    )


class Permuted(NamedTuple):
  """Scatter of two networks, `first` and `last`, paired row by row at random.

  Rows come in random order, so that a row and its neighbor are a random pair.
  Pairs are drawn, and rows centered, within a batch, so that the common mean of
  a batch does not make two networks look alike.

  Attributes:
    freedom: [], degrees of freedom: rows less one for each batch's mean.
    first: [D1, D1].
    last: [D2, D2].
    cross: [D1, D2], between a row of `first` and another row of `last`.
    products: [R], of each repeat's channels, the sum of the squared norm of
      a row of `first` times that of another row of `last`; [0] without the sums
      behind unbiased CKA.
  """

  freedom: Array
  first: Array
  last: Array
  cross: Array
  products: Array

  def merge(self, other: 'Permuted') -> 'Permuted':
    return Permuted(*(a + b for a, b in zip(self, other, strict=True)))

  def without(self, part: 'Permuted') -> 'Permuted':
    return Permuted(*(a - b for a, b in zip(self, part, strict=True)))

  def take(
    self, first: np.ndarray, last: np.ndarray, repeat: int
  ) -> 'Permuted':
    return Permuted(
      self.freedom,
      self.first[np.ix_(first, first)],
      self.last[np.ix_(last, last)],
      self.cross[np.ix_(first, last)],
      np.sum(self.products[repeat : repeat + 1]),
    )


class Statistics(NamedTuple):
  """The statistics of the rows of several networks.

  `fourth` is empty without a layout: it is for unbiased CKA alone.
  """

  moments: Moments
  fourth: fourth_moments.FourthMoments | tuple[()]
  permuted: Permuted  # Of the first and the last network.

  @classmethod
  def zeros(
    cls, sizes: Sequence[int], layout: fourth_moments.Layout | None
  ) -> 'Statistics':
    """Return the statistics of no rows, for networks of these channels."""
    total, first, last = sum(sizes), sizes[0], sizes[-1]
    repeats = layout.members.shape[1] // len(sizes) if layout else 0
    shapes = [
      *([], [total], [total] * 2),
      *([], [first] * 2, [last] * 2, [first, last], [repeats]),
    ]
    arrays = [tf.zeros(x, tf.float64) for x in shapes]
    return cls(
      Moments(*arrays[:3]),
      fourth_moments.FourthMoments.zeros(layout) if layout else (),
      Permuted(*arrays[3:]),
    )

  @classmethod
  def from_batch(
    cls,
    rows: tf.distribute.DistributedValues | tf.Tensor,
    sizes: Sequence[int],
    layout: fourth_moments.Layout | None,
    strategy: tf.distribute.Strategy,
  ) -> 'Statistics':
    """Return the statistics of rows [n, D], in float64 and in random order.

    Args:
      rows: The rows of each replica of the strategy.
      sizes: Channels of each network; D is their sum.
      layout: Groups of the channels.
      strategy: The strategy of the replicas.
    """

    def total(function, *args):
      parts = strategy.run(function, args=args)
      return [strategy.reduce('SUM', part, axis=None) for part in parts]

    count, summed = total(_sums, rows)
    mean = summed / count
    scatter, cross, products, *fourth = total(
      lambda x: _products(x, mean, sizes, layout), rows
    )
    first, last = sizes[0], sizes[-1]
    return cls(
      Moments(count, mean, scatter),
      fourth_moments.FourthMoments(*fourth) if layout else (),
      Permuted(
        count - 1,
        scatter[:first, :first],
        scatter[-last:, -last:],
        cross,
        products,
      ),
    )

  def merge(
    self, other: 'Statistics', layout: fourth_moments.Layout | None
  ) -> 'Statistics':
    moments = self.moments.merge(other.moments)
    own, others = (x._fourth(moments.mean, layout) for x in (self, other))
    return Statistics(
      moments,
      own.plus(others) if layout else (),
      self.permuted.merge(other.permuted),
    )

  def without(
    self, part: 'Statistics', layout: fourth_moments.Layout | None
  ) -> 'Statistics':
    moments = self.moments.without(part.moments)
    own, parts = (x._fourth(moments.mean, layout) for x in (self, part))
    return Statistics(
      moments,
      own.minus(parts) if layout else (),
      self.permuted.without(part.permuted),
    )

  def _fourth(self, center, layout):
    """Return the fourth moments about another center."""
    if not layout:
      return ()
    num_rows, mean, scatter = self.moments
    return self.fourth.about(num_rows, scatter, mean - center, layout)

  def take(
    self, sizes: Sequence[int], places: Sequence[np.ndarray], repeat: int = 0
  ) -> 'Statistics':
    """Return the statistics of some channels of each network.

    Args:
      sizes: Channels of each network so far.
      places: The channels to keep.
      repeat: The repeat, of the layout's, that these are the channels of.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    flat = np.concatenate(
      [start + p for start, p in zip(starts, places, strict=True)]
    )
    groups = repeat * len(sizes) + np.arange(len(sizes))
    return Statistics(
      self.moments.take(flat),
      self.fourth.take(flat, groups, places) if self.fourth else (),
      self.permuted.take(places[0], places[-1], repeat),
    )


def _sums(rows):
  return tf.cast(tf.shape(rows)[0], tf.float64), tf.reduce_sum(rows, axis=0)


def _products(rows, mean, sizes, layout):
  rows = rows - mean
  others = tf.roll(rows[:, -sizes[-1] :], shift=1, axis=0)
  cross = tf.matmul(rows[:, : sizes[0]], others, transpose_a=True)
  if layout is None:
    return _gram(rows), cross, tf.zeros([0], tf.float64)
  norms = tf.matmul(tf.square(rows), layout.members)
  first, last = norms[:, :: len(sizes)], norms[:, len(sizes) - 1 :: len(sizes)]
  products = tf.reduce_sum(first * tf.roll(last, shift=1, axis=0), axis=0)
  fourth = fourth_moments.FourthMoments.from_rows(rows, layout)
  return _gram(rows), cross, products, *fourth


def _gram(x, depth=2):
  """Return x^T x [D, D] of x [n, D]; each level skips a symmetric half."""
  if not depth:
    return tf.matmul(x, x, transpose_a=True)
  left, right = x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]
  cross = tf.matmul(left, right, transpose_a=True)
  upper = tf.concat([_gram(left, depth - 1), cross], axis=1)
  lower = tf.concat([tf.transpose(cross), _gram(right, depth - 1)], axis=1)
  return tf.concat([upper, lower], axis=0)


def _outer(x, weight):
  return (weight * x)[:, None] * x
