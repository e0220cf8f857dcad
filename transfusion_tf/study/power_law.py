"""Laws of the test score by the number of training patients, with intervals.

The error of a network falls with the number n of examples as c + a n^-b
(Hestness et al., arXiv:1712.00409; Rosenfeld et al., arXiv:1909.12673; Viering
and Loog, arXiv:2103.10948, review the shapes). Three to five sizes of a few
seeds do not tell all three numbers, and a law without c is too hopeful where
there is one. So no single law is chosen: for every b of a range, c and a are
fitted by least squares, and an interval holds what any law says that is not
much farther from the points than the best one (profile likelihood). The curve
is the mean of these laws by the likelihood that points without a common error
would have.

The sizes share test patients, whose part of the error is therefore correlated.
Where more points than numbers of the law are farther from the best law than
their noise allows, all variances grow by that much (Birge's ratio).

`docs/statistics.md` has the simulated coverage.
"""

import dataclasses

import numpy as np
from scipy import stats

from transfusion_tf import metrics
from transfusion_tf.study import curve_points

# Networks on images were measured at 0.07 to 0.35, theory has 0.5 and 1, and a
# curve is steeper where learning begins.
_EXPONENTS = np.geomspace(0.1, 2, 49)
_QUANTILE = float(stats.norm.ppf((1 + metrics.LEVEL) / 2))
_SPLITS = 13  # Of the distance, between a law and the noise of a measurement.
_MOST_SHARED = 0.98  # Of the variances of points.
# Which of c and a are fitted.
_FREE = ((0, 1), (1,), (0,))


class Law:
  """All laws that points allow."""

  def __init__(self, points: curve_points.Points, is_error: bool):
    """Fit the laws.

    Args:
      points: Of at least two sizes.
      is_error: Whether values are errors: c and a are not negative then.

    Raises:
      ValueError: No law fits, or the covariance is singular.
    """
    self._points, self._is_error = points, is_error
    self._unit = points.sizes[-1]
    self._precision = np.linalg.inv(points.covariance)
    self._fits = self._all_fits(self._precision)
    distance, _ = self._nearest(self._fits)
    if not np.isfinite(distance).any():
      raise ValueError('no law fits')
    spare = len(points.sizes) - 3
    nearest = float(distance.min())
    birge = max(1.0, nearest / spare) if spare > 0 else 1.0
    self._limit = nearest + _QUANTILE**2 * birge
    # What all points have in common would draw the curve past all of them.
    distance, self._values = self._nearest(self._all_fits(self._apart()))
    weights = np.exp(-(distance - distance.min()) / (2 * birge))
    self._weights = weights / weights.sum()

  def _apart(self):
    """Return the precision of the points as if they shared no error."""
    scale = np.sqrt(np.diag(self._points.covariance))
    correlation = self._points.covariance / np.outer(scale, scale)
    count = len(scale)
    shared = (correlation.sum() - count) / (count * (count - 1))
    return np.diag(scale**-2) / (1 - np.clip(shared, 0, _MOST_SHARED))

  def _all_fits(self, precision):
    """Return fits with both numbers, with c = 0 and with a = 0."""
    values = self._points.values
    design = self._terms(self._points.sizes)  # [b, k, 2]
    normal = np.einsum('bki,kl,blj->bij', design, precision, design)
    projected = np.einsum('bki,kl,l->bi', design, precision, values)
    total = values @ precision @ values
    free = _FREE if self._is_error else _FREE[:1]
    return [_Fit.of(normal, projected, total, each) for each in free]

  def _nearest(self, fits):
    """Return the distance [b] and the numbers [b, 2] of the best allowed."""
    distances = [
      np.where((fit.values >= 0).all(axis=-1), fit.distance, np.inf)
      if self._is_error
      else fit.distance
      for fit in fits
    ]
    best = np.argmin(distances, axis=0)
    values = np.array([fit.values for fit in fits])
    return np.min(distances, axis=0), values[best, np.arange(len(best))]

  def at(self, size: float) -> curve_points.Interval:
    """Return the value at a size."""
    return self._interval(self._terms(np.array([size]))[:, 0])

  def change(self, size: float, larger: float) -> curve_points.Interval:
    """Return the value at a larger size less that at a size."""
    first, second = np.moveaxis(self._terms(np.array([size, larger])), 1, 0)
    return self._interval(second - first)

  def predicted(
    self, size: float, own: float, shared: np.ndarray
  ) -> curve_points.Interval:
    """Return what is to be measured at another size.

    Args:
      size: The size.
      own: Variance of the measurement.
      shared: Its covariance with the points [k].
    """
    gain = shared @ self._precision
    terms = self._terms(np.array([size]))[:, 0]
    terms = terms - np.einsum(
      'k,bki->bi', gain, self._terms(self._points.sizes)
    )
    return self._interval(
      terms, gain @ self._points.values, max(own - gain @ shared, 0.0)
    )

  def _terms(self, sizes):
    """Return what c and a are multiplied with, [b, k, 2]."""
    powers = (sizes / self._unit) ** -_EXPONENTS[:, None]
    return np.stack([np.ones_like(powers), powers], axis=-1)

  def _interval(self, terms, offset=0.0, variance=0.0):
    """Return the interval of `offset` + terms . (c, a) + noise of a variance.

    It is the hull over all b, over splits of the distance between law and
    noise, and over the fits: where the extreme of the unbounded one is not
    allowed, it is on one of the bounds.
    """
    value = float(
      self._weights @ np.einsum('bi,bi->b', terms, self._values) + offset
    )
    low = high = value
    for noise in np.linspace(0, 1, _SPLITS if variance else 1):
      for fit in self._fits:
        slack = self._limit - fit.distance
        shift = np.sqrt(noise * np.maximum(slack, 0) * variance)
        ends = fit.extremes(terms, (1 - noise) * slack, self._is_error)
        for sign, (numbers, ok) in zip((-1, 1), ends, strict=True):
          found = np.einsum('bi,bi->b', terms, numbers) + sign * shift
          if ok.any():
            low = min(low, float((found + offset)[ok].min()))
            high = max(high, float((found + offset)[ok].max()))
    return curve_points.Interval(value, low, high)


@dataclasses.dataclass(frozen=True)
class _Fit:
  """Least squares for every b, of some of the two numbers.

  Attributes:
    free: Which of c and a are fitted; the other is 0.
    values: c and a [b, 2].
    inverse: Their covariance [b, 2, 2].
    distance: The squared distance of the points [b].
  """

  free: tuple[int, ...]
  values: np.ndarray
  inverse: np.ndarray
  distance: np.ndarray

  @classmethod
  def of(cls, normal, projected, total, free) -> '_Fit':
    inverse = np.zeros_like(normal)
    inverse[np.ix_(range(len(normal)), free, free)] = np.linalg.inv(
      normal[:, free][:, :, free]
    )
    values = np.einsum('bij,bj->bi', inverse, projected)
    distance = total - np.einsum('bi,bi->b', values, projected)
    return cls(free, values, inverse, np.maximum(distance, 0))

  def extremes(self, terms, slack, is_bounded):
    """Return (c and a, exists) where terms . (c, a) is least, and greatest.

    Args:
      terms: Factors of c and a [b, 2].
      slack: Squared distance from `values` that is allowed [b].
      is_bounded: Whether c and a are at least 0.
    """
    toward = np.einsum('bij,bj->bi', self.inverse, terms)
    variance = np.einsum('bi,bi->b', terms, toward)
    factor = np.maximum(slack, 0) / np.where(variance > 0, variance, 1)
    move = np.sqrt(factor)[:, None] * toward
    for numbers in (self.values - move, self.values + move):
      exists = slack >= 0
      if is_bounded and len(self.free) == 1:
        # One number: where its range reaches 0, it ends there.
        exists = exists & (self.values + np.abs(move) >= 0).all(axis=-1)
        numbers = np.maximum(numbers, 0)
      elif is_bounded:
        exists = exists & (numbers >= 0).all(axis=-1)
      yield numbers, exists
