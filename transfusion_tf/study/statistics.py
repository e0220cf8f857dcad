"""Standard deviation over seeds, and intervals of differences."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import stats

_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Summary:
  """Mean, standard deviation (n - 1; NaN for one) and number of values."""

  mean: float
  std: float
  count: int

  @classmethod
  def from_values(cls, values: Sequence[float]) -> 'Summary':
    std = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return cls(float(np.mean(values)), float(std), len(values))


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A value with its 95 % interval; NaN ends where there is none."""

  value: float
  low: float
  high: float

  @property
  def known(self) -> bool:
    return bool(np.isfinite(self.low) and np.isfinite(self.high))

  def scaled(self, factor: float) -> 'Estimate':
    """Return the estimate in another unit."""
    ends = sorted((self.low * factor, self.high * factor))
    return Estimate(self.value * factor, *ends)


def contrast(
  coefficients: npt.ArrayLike,
  samples: Sequence[Sequence[float]],
  other_variance: float = 0.0,
) -> Estimate:
  """Return coefficients times means of samples, with a t interval.

  The samples' variance is pooled, so that one of a single value takes part;
  with no sample of two or more, the interval is unknown. `other_variance`
  adds what the samples share, e.g. the choice of patients; the degrees of
  freedom are then Satterthwaite's.

  Args:
    coefficients: One for each sample.
    samples: Values over seeds, a sample per group.
    other_variance: A known variance of the whole sum.
  """
  counts = np.array([len(sample) for sample in samples])
  value = float(np.dot(coefficients, [np.mean(s) for s in samples]))
  freedom = int(np.sum(counts - 1))
  if not freedom:
    return Estimate(value, np.nan, np.nan)
  pooled = sum(np.sum((np.array(s) - np.mean(s)) ** 2) for s in samples)
  seeds = pooled / freedom * np.sum(np.square(coefficients) / counts)
  total = seeds + other_variance
  if not total:
    return Estimate(value, value, value)
  effective = freedom * (total / seeds) ** 2 if seeds else np.inf
  half = stats.t.ppf((1 + _LEVEL) / 2, effective) * np.sqrt(total)
  return Estimate(value, float(value - half), float(value + half))


def r_squared(x: np.ndarray, y: np.ndarray) -> float:
  """Return the squared Pearson correlation; NaN where one does not vary."""
  if np.ptp(x) == 0 or np.ptp(y) == 0:
    return float('nan')
  return float(np.corrcoef(x, y)[0, 1] ** 2)


def slope(x: Sequence[float], y: Sequence[float]) -> Estimate:
  """Return the slope by least squares, with a t interval from three points."""
  if len(x) < 3 or np.ptp(x) == 0:
    return Estimate(np.nan, np.nan, np.nan)
  fit = stats.linregress(x, y)
  half = stats.t.ppf((1 + _LEVEL) / 2, len(x) - 2) * fit.stderr
  return Estimate(fit.slope, float(fit.slope - half), float(fit.slope + half))
