"""Sums of fourth order of activations, which unbiased CKA needs.

Their center moves as batches are merged. With k = |x|^2 of a group of channels
and a shift s, |x + s|^2 = k + 2 s.x + |s|^2: the sums of k_g k_h about another
center follow from those of k_g k_h, of k_g x, and of x x^T. The channels of
equal place in several networks are treated alike, each as a group of one.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

Array: TypeAlias = np.ndarray | tf.Tensor


class Layout(NamedTuple):
  """The groups of channels whose sums are kept, of M networks side by side.

  Attributes:
    members: [D, G], 1 where a channel is in a group. The groups are those of
      the first repeat's networks, then of the second's, and so on.
    places: [W, M], the k-th channel of a network among all D; W is the width
      of the widest, and -1 stands where another has no such channel.
  """

  members: np.ndarray
  places: np.ndarray

  @classmethod
  def from_repeats(
    cls, sizes: Sequence[int], repeats: Sequence[Sequence[np.ndarray]]
  ) -> 'Layout':
    """Return the layout of networks' channels.

    Args:
      sizes: Channels of each network; D is their sum.
      repeats: `[repeat][network]` channels of a repeat.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    groups = [
      start + channels
      for repeat in repeats
      for start, channels in zip(starts, repeat, strict=True)
    ]
    members = np.zeros((sum(sizes), len(groups)))
    for group, channels in enumerate(groups):
      members[channels, group] = 1
    places = np.full((max(sizes), len(sizes)), -1)
    for network, (start, size) in enumerate(zip(starts, sizes, strict=True)):
      places[:size, network] = start + np.arange(size)
    return cls(members, places)

  @property
  def exists(self) -> np.ndarray:
    """[W, M], 1 where a network has the channel."""
    return (self.places >= 0).astype(float)


class FourthMoments(NamedTuple):
  """Sums over centered rows x [N, D]; k_g is |x|^2 of a group's channels.

  Attributes:
    skew: [G, D], of k_g x.
    products: [G, G], of k_g k_h.
    channel_skew: [W, M, M], of x_a^2 x_b, channel by channel, of two networks.
    channel_products: [W, M, M], of x_a^2 x_b^2.
  """

  skew: Array
  products: Array
  channel_skew: Array
  channel_products: Array

  @classmethod
  def zeros(cls, layout: Layout) -> 'FourthMoments':
    channels, groups = layout.members.shape
    width, networks = layout.places.shape
    shapes = [
      *([groups, channels], [groups, groups]),
      *[[width, networks, networks]] * 2,
    ]
    return cls(*(tf.zeros(shape, tf.float64) for shape in shapes))

  @classmethod
  def from_rows(cls, rows: tf.Tensor, layout: Layout) -> 'FourthMoments':
    """Return the sums of rows [n, D], which are centered."""
    norms = tf.matmul(tf.square(rows), layout.members)
    if layout.exists.all():  # In order: spares a gather.
      x = tf.reshape(rows, [-1, *layout.exists.T.shape])
      x = tf.transpose(x, [2, 1, 0])  # [W, M, n]
    else:
      x = tf.gather(rows, np.maximum(layout.places, 0), axis=1) * layout.exists
      x = tf.transpose(x, [1, 2, 0])
    squares = tf.square(x)  # Far faster than x**2.
    return cls(
      tf.matmul(norms, rows, transpose_a=True),
      tf.matmul(norms, norms, transpose_a=True),
      tf.matmul(squares, x, transpose_b=True),
      tf.matmul(squares, squares, transpose_b=True),
    )

  def about(
    self, num_rows: Array, scatter: Array, shift: Array, layout: Layout
  ) -> 'FourthMoments':
    """Return the sums of the rows moved by a shift.

    Args:
      num_rows: [], N.
      scatter: [D, D], of the centered rows.
      shift: [D].
      layout: The groups.
    """
    shifts = shift[:, None] * layout.members  # [D, G]
    along = scatter @ shifts  # Of x (s_g.x).
    skew, products = _moved(
      num_rows,
      variance=_by_group(_diagonal(scatter), layout),
      squared=_by_group(shift**2, layout),
      crossed=_transposed(shifts) @ along,
      skewed=self.skew @ shifts,
      skew=self.skew + 2 * _transposed(along),
      shift=shift,
      products=self.products,
    )
    s = _take(shift, layout.places) * layout.exists  # [W, M]
    pairs = _pairs(scatter, layout)  # [W, M, M]
    channel_skew, channel_products = _moved(
      num_rows,
      variance=_diagonal(pairs),
      squared=s**2,
      crossed=s[:, :, None] * pairs * s[:, None],
      skewed=self.channel_skew * s[:, None],
      skew=self.channel_skew + 2 * s[:, :, None] * pairs,
      shift=s[:, None],
      products=self.channel_products,
    )
    return FourthMoments(skew, products, channel_skew, channel_products)

  def take(
    self,
    channels: np.ndarray,
    groups: np.ndarray,
    places: Sequence[np.ndarray],
  ) -> 'FourthMoments':
    """Return the sums of some channels of each network.

    Args:
      channels: Those to keep, among all D.
      groups: The groups to keep.
      places: The channels of each network to keep. Where two networks keep
        others, the sums over both networks' channels have no meaning.
    """
    own = np.zeros((max(map(len, places)), len(places)), int)
    for network, chosen in enumerate(places):
      own[: len(chosen), network] = chosen
    networks = np.arange(len(places))
    return FourthMoments(
      self.skew[np.ix_(groups, channels)],
      self.products[np.ix_(groups, groups)],
      self.channel_skew[own, networks],
      self.channel_products[own, networks],
    )

  def plus(self, other: 'FourthMoments') -> 'FourthMoments':
    return FourthMoments(*(a + b for a, b in zip(self, other, strict=True)))

  def minus(self, other: 'FourthMoments') -> 'FourthMoments':
    return FourthMoments(*(a - b for a, b in zip(self, other, strict=True)))


def _moved(num_rows, variance, squared, crossed, skewed, skew, shift, products):
  """Return skew and products about another center.

  Args:
    num_rows: N.
    variance: [..., G], the sum of k.
    squared: [..., G], |s|^2.
    crossed: [..., G, G], the sum of (s_g.x) (s_h.x).
    skewed: [..., G, G], the sum of k_g (s_h.x).
    skew: [..., G, D], the sum of (k_g + 2 s_g.x) x.
    shift: [..., 1, D] or [D], s.
    products: [..., G, G], the sum of k_g k_h.
  """
  moved = variance + num_rows * squared  # The sum of |x + s|^2.
  return skew + moved[..., None] * shift, (
    products
    + 2 * (skewed + _transposed(skewed))
    + 4 * crossed
    + variance[..., None] * squared[..., None, :]
    + squared[..., None] * moved[..., None, :]
  )


# State is of tensors in the compiled step and of arrays after it.
def _take(x, index):
  index = np.maximum(index, 0)
  return tf.gather(x, index) if tf.is_tensor(x) else x[index]


def _pairs(scatter, layout):
  """Return [W, M, M]: the scatter of a channel in two networks."""
  size = len(layout.members)
  places = np.maximum(layout.places, 0)
  index = places[:, :, None] * size + places[:, None]
  exists = layout.exists[:, :, None] * layout.exists[:, None]
  if tf.is_tensor(scatter):
    return tf.gather(tf.reshape(scatter, [-1]), index) * exists
  return scatter.ravel()[index] * exists


def _by_group(x, layout):
  """Return [G] sums of x [D]."""
  return (x[None] @ layout.members)[0]


def _diagonal(x):
  if tf.is_tensor(x):
    return tf.linalg.diag_part(x)
  return np.diagonal(x, axis1=-2, axis2=-1)


def _transposed(x):
  return (
    tf.linalg.matrix_transpose(x) if tf.is_tensor(x) else x.swapaxes(-1, -2)
  )
