"""Laws of the test score by the number of training patients, with intervals.

The error of a network falls with the number n of examples as c + a n^-b
(Hestness et al., arXiv:1712.00409; Rosenfeld et al., arXiv:1909.12673; Viering
and Loog, arXiv:2103.10948, review the shapes). Three to five sizes of a few
seeds do not tell all three numbers, and a law without c is too hopeful where
there is one. So no single law is chosen: for every b of a range, c and a are
fitted by least squares, and an interval holds what any law says that is not
much farther from the points than the best one (profile likelihood). The curve
is the mean of these laws by their likelihood.

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
# Which of c and a are fitted.
_FREE = ((0, 1), (1,), (0,))


@dataclasses.dataclass(frozen=True)
class Interval:
  """A value and its 95 % interval."""

  value: float
  low: float
  high: float

  def __contains__(self, value: float) -> bool:
    return self.low <= value <= self.high


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
    design = self._terms(points.sizes)  # [b, k, 2]
    normal = np.einsum('bki,kl,blj->bij', design, self._precision, design)
    projected = np.einsum(
      'bki,kl,l->bi', design, self._precision, points.values
    )
    total = points.values @ self._precision @ points.values
    # Fits with both numbers, with c = 0 and with a = 0. Of the last two, one
    # variance is 0, so that that number stays where it is.
    self._fits = [_Fit.of(normal, projected, total, free) for free in _FREE]
    if not is_error:
      self._fits = self._fits[:1]
    feasible = [
      np.where((fit.values >= 0).all(axis=-1), fit.distance, np.inf)
      if is_error
      else fit.distance
      for fit in self._fits
    ]
    best = np.argmin(feasible, axis=0)
    distance = np.min(feasible, axis=0)
    if not np.isfinite(distance).any():
      raise ValueError('no law fits')
    spare = len(points.sizes) - 3
    nearest = float(distance.min())
    birge = max(1.0, nearest / spare) if spare > 0 else 1.0
    self._limit = nearest + _QUANTILE**2 * birge
    weights = np.exp(-(distance - nearest) / (2 * birge))
    self._weights = np.where(distance <= self._limit, weights, 0)
    self._weights /= self._weights.sum()
    chosen = np.array([fit.values for fit in self._fits])
    self._values = chosen[best, np.arange(len(_EXPONENTS))]

  def at(self, size: float) -> Interval:
    """Return the value at a size."""
    return self._interval(self._terms(np.array([size]))[:, 0])

  def change(self, size: float, larger: float) -> Interval:
    """Return the value at a larger size less that at a size."""
    first, second = np.moveaxis(self._terms(np.array([size, larger])), 1, 0)
    return self._interval(second - first)

  def predicted(self, size: float, own: float, shared: np.ndarray) -> Interval:
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
    return Interval(value, low, high)


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
