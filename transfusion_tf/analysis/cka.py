"""Linear centered kernel alignment (CKA), biased and unbiased.

  cka.cka(x, y)            # Activations [N, D1] and [N, D2].
  cka.cka_of_layers(x, y)  # Of layers of more channels, from some of them.

CKA is HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)) of the kernels x x^T and y y^T
(arXiv 1905.00414). The plain estimate of HSIC is biased upwards, and CKA of
independent activations towards 1 where N is not far above D. The estimate of
Song et al. (JMLR 13, 2012) is unbiased over samples of datapoints. Of a sample
of a layer's channels, HSIC(x, x) is still too high, by the products of a
channel with itself, and CKA too low; arXiv 2502.15104 leaves those out.
"""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from transfusion_tf import errors

Number: TypeAlias = float | np.ndarray


def cka(x: np.ndarray, y: np.ndarray, unbiased: bool = True) -> float:
  """Return the linear CKA of two networks' activations.

  Args:
    x: [N, D1], a row for each datapoint.
    y: [N, D2].
    unbiased: Use the unbiased HSIC; the result may then be below 0.

  Returns:
    1 for activations that differ by rotation, scale and shift; 0 if all rows of
    x or of y are equal.

  Raises:
    InputError: Arrays of unequal N or not of two axes, values that are not
      finite, or fewer than four datapoints (biased: two).
  """
  x, y = _centered(x, y, 4 if unbiased else 2)
  pairs = [(x, y), (x, x), (y, y)]
  if not unbiased:
    return ratio(*(_inner(a, b) for a, b in pairs))
  return ratio(*(_unbiased(a, b) for a, b in pairs))


def cka_of_layers(
  x: np.ndarray,
  y: np.ndarray,
  widths: tuple[float, float] = (math.inf, math.inf),
  same_channels: bool = False,
) -> float:
  """Estimate the CKA of two layers from a random sample of their channels.

  Channels are the unit: a rotation of a sample changes the result, unlike that
  of `cka`.

  Args:
    x: [N, D1], channels drawn without replacement from those of a layer.
    y: [N, D2].
    widths: Number of channels of the two layers; infinity for far more than
      drawn.
    same_channels: Whether column k of x and of y is the same channel, as of a
      network before and after training. Otherwise the channels of y were drawn
      independently of those of x.

  Returns:
    The estimate, about 1 for equal layers; it may be below 0 and above 1. NaN
    where the sample is too small to tell a layer from noise.

  Raises:
    InputError: As in `cka`; a layer's only channel, or more channels than
      `widths`; `same_channels` of unequal numbers.
  """
  x, y = _centered(x, y, 4)
  for a, width in zip((x, y), widths, strict=True):
    if not 2 <= a.shape[1] <= width and not 1 <= a.shape[1] == width:
      raise errors.InputError(
        f'activations {a.shape} of a layer of {width} channels; give at least '
        '2 of its channels, or all'
      )
  if same_channels and (x.shape != y.shape or widths[0] != widths[1]):
    raise errors.InputError(
      f'activations {x.shape} and {y.shape} of layers of {widths[0]} and '
      f'{widths[1]} channels are not of the same channels; give as many of '
      'each, or same_channels=False'
    )

  def layer(a, b, width):
    return whole_layer(_unbiased(a, b), _own(a, b), a.shape[1], width)

  if same_channels:
    cross = layer(x, y, widths[0])
  else:
    cross = _unbiased(x, y) / (x.shape[1] * y.shape[1])
  return ratio(cross, layer(x, x, widths[0]), layer(y, y, widths[1]))


def whole_layer(total: float, own: float, channels: int, width: float) -> float:
  """Return a layer's HSIC per pair of channels, from a sample of channels.

  In a sample of d of W channels a channel meets itself in d of d^2 pairs, in
  the layer in W of W^2. arXiv 2502.15104 has W infinite.

  Args:
    total: HSIC of the sample, the sum over all pairs of its channels.
    own: The sum over pairs of a channel with itself.
    channels: d.
    width: W; infinity is allowed.
  """
  if channels == width:
    return total / channels**2
  between = (total - own) / (channels * (channels - 1))
  return (1 - 1 / width) * between + own / channels / width


def unbiased_hsic(
  inner: Number,
  trace_x: Number,
  trace_y: Number,
  products: Number,
  num_rows: npt.ArrayLike,
) -> Number:
  """Return Song et al.'s HSIC of linear kernels, from sums over N rows.

  Of centered rows the kernels' row sums vanish, and what their estimator does
  to the diagonals remains.

  Args:
    inner: |x^T y|^2, Frobenius, of centered x and y.
    trace_x: The sum over rows i of |x_i|^2.
    trace_y: That of |y_i|^2.
    products: That of |x_i|^2 |y_i|^2.
    num_rows: N, at least 4.
  """
  n = np.asarray(num_rows)
  total = inner + trace_x * trace_y / ((n - 1) * (n - 2))
  return (total - products * n / (n - 2)) / (n * (n - 3))


def ratio(cross: float, first: float, second: float) -> float:
  """Return CKA from HSIC(x, y), HSIC(x, x) and HSIC(y, y).

  0 if x or y does not vary, NaN if an estimate of its variation is negative.
  """
  if first == 0 or second == 0:
    return 0.0
  if first < 0 or second < 0:
    return float('nan')
  return float(cross / (np.sqrt(first) * np.sqrt(second)))


def _centered(x, y, least):
  x, y = (np.asarray(a, np.float64) for a in (x, y))
  if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
    raise errors.InputError(
      f'activations {x.shape} and {y.shape}: must be [N, D1] and [N, D2] of '
      'the same N datapoints'
    )
  if len(x) < least:
    raise errors.InputError(
      f'activations of {len(x)} datapoints; give at least {least}'
    )
  if not (np.isfinite(x).all() and np.isfinite(y).all()):
    raise errors.InputError(
      'activations have NaN or infinity; leave those datapoints out'
    )
  return x - x.mean(axis=0), y - y.mean(axis=0)


def _inner(x, y):
  """Return |x^T y|^2, by the smaller of covariance and kernels."""
  if x.shape[1] * y.shape[1] <= len(x) ** 2:
    return np.sum((x.T @ y) ** 2)
  return np.sum((x @ x.T) * (y @ y.T))


def _unbiased(x, y):
  norms_x, norms_y = (np.sum(a**2, axis=1) for a in (x, y))
  return unbiased_hsic(
    _inner(x, y), norms_x.sum(), norms_y.sum(), norms_x @ norms_y, len(x)
  )


def _own(x, y):
  """Return the sum of the HSIC of each column of x with that of y."""
  squares_x, squares_y = x**2, y**2
  return np.sum(
    unbiased_hsic(
      np.sum(x * y, axis=0) ** 2,
      squares_x.sum(axis=0),
      squares_y.sum(axis=0),
      np.sum(squares_x * squares_y, axis=0),
      len(x),
    )
  )
