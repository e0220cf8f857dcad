"""Unbiased CKA of networks, from statistics accumulated over the images.

The same figures as `cka.cka` and `cka.cka_of_layers` give of the rows.
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from transfusion_tf.analysis import cka
from transfusion_tf.analysis import moments


class Alignment(NamedTuple):
  """Unbiased CKA of two networks.

  Attributes:
    sample: Of the channels that were drawn.
    layer: Estimate for all channels of the layer.
  """

  sample: float | None
  layer: float | None


NOT_COMPUTED = Alignment(None, None)


@dataclasses.dataclass(frozen=True)
class Alignments:
  """Unbiased CKA of the networks of one repeat.

  Attributes:
    statistics: The repeat's, at one layer.
    sizes: Channels drawn of each network.
    widths: All channels of each network; equal widths, equal channels.
  """

  statistics: moments.Statistics
  sizes: Sequence[int]
  widths: Sequence[int]

  def compare(self, a: int, b: int) -> Alignment:
    """Return the alignment of two networks, by their places."""
    if not self.statistics.fourth:
      return NOT_COMPUTED
    total = self._total(a, b)
    if self.widths[a] == self.widths[b]:
      layer = self._layer(total, a, b)
    else:
      layer = total / (self.sizes[a] * self.sizes[b])
    return self._alignment(total, layer, a, b)

  def noise_floor(self) -> Alignment:
    """Return that of the first network and the permuted rows of the last."""
    if not self.statistics.fourth:
      return NOT_COMPUTED
    _, first, last, cross, products = self.statistics.permuted
    # Rows less one for each batch's mean: as if that many and one were there.
    total = cka.unbiased_hsic(
      np.sum(cross**2),
      np.trace(first),
      np.trace(last),
      products,
      self.statistics.permuted.freedom + 1,
    )
    layer = total / (self.sizes[0] * self.sizes[-1])
    return self._alignment(total, layer, 0, len(self.sizes) - 1)

  def _alignment(self, total, layer, a, b):
    own = [(self._total(n, n), n) for n in (a, b)]
    return Alignment(
      cka.ratio(total, *(x for x, _ in own)),
      cka.ratio(layer, *(self._layer(x, n, n) for x, n in own)),
    )

  def _total(self, a, b):
    rows, scatter = self._parts(a, b)
    return cka.unbiased_hsic(
      np.sum(scatter**2),
      self._trace(a),
      self._trace(b),
      self.statistics.fourth.products[a, b],
      rows,
    )

  def _layer(self, total, a, b):
    size = self.sizes[a]
    if size == self.widths[a]:
      return cka.whole_layer(total, 0, size, size)
    rows, scatter = self._parts(a, b)
    own = cka.unbiased_hsic(
      np.diagonal(scatter) ** 2,
      self._variances(a),
      self._variances(b),
      self.statistics.fourth.channel_products[:size, a, b],
      rows,
    )
    return cka.whole_layer(total, np.sum(own), size, self.widths[a])

  def _parts(self, a, b):
    rows, _, scatter = self.statistics.moments
    return rows, scatter[self._slice(a), self._slice(b)]

  def _variances(self, a):
    return np.diagonal(self.statistics.moments.scatter)[self._slice(a)]

  def _trace(self, a):
    return np.sum(self._variances(a))

  def _slice(self, a):
    start = sum(self.sizes[:a])
    return slice(start, start + self.sizes[a])
