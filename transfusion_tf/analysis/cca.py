"""How alike two networks are, from the covariances of their channels.

Canonical correlations s are the singular values of the cross-covariance of the
two networks' whitened channels (arXiv 1706.05806); whitening is done once for
each network. Besides s and its means this gives PWCCA (arXiv 1806.05759), the
SVD step of SVCCA and linear CKA (arXiv 1905.00414) of the same sample.
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from svcca import cca_core


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of CCA; the paper names none, so those of google/svcca.

  Attributes:
    epsilon: Ridge on covariances whose largest entry is scaled to 1; channels
      of less variance are dead and dropped. The figure is its tutorials'.
    threshold: Share of the coefficients' sum that `mean` averages over.
    svd_variance: Share of the variance that the SVD step of SVCCA keeps, e.g.
      0.99; None skips the step.
  """

  epsilon: float = 1e-10
  threshold: float = 0.98
  svd_variance: float | None = None


class Measures(NamedTuple):
  """Similarities of two networks on one sample; all are 1 for equal ones.

  Attributes:
    mean: Mean of the leading coefficients that hold 98 % of their sum.
    plain_mean: Mean of all coefficients.
    pwcca: Mean weighted by how much of the narrower network's activations a
      direction accounts for.
    cka: Linear centered kernel alignment.
    coefficients: [min(D1, D2)] canonical correlations, from high to low.
  """

  mean: float
  plain_mean: float
  pwcca: float
  cka: float
  coefficients: np.ndarray

  def scalars(self) -> dict[str, float]:
    """Return all but the coefficients, by name."""
    values = self._asdict()
    del values['coefficients']
    return values


_NOTHING = Measures(0.0, 0.0, 0.0, 0.0, np.zeros(1))


class Whitened(NamedTuple):
  """One network's channels, ready to meet any other's.

  Attributes:
    root: [K, D], W: W x is white, with K the number of coordinates kept.
    loadings: [K, D], covariance of W x with the living channels.
    norm: Frobenius norm of the covariance.
  """

  root: np.ndarray
  loadings: np.ndarray
  norm: float


def whiten(covariance: np.ndarray, options: Options) -> Whitened:
  """Whiten channels with covariance [D, D]."""
  scale = np.max(np.abs(covariance)) or 1.0
  scaled = covariance / scale
  variance = np.diagonal(scaled)
  alive = np.flatnonzero((variance >= options.epsilon) & (variance > 0))
  scaled = scaled[np.ix_(alive, alive)]
  variances, directions = np.linalg.eigh(
    scaled + options.epsilon * np.eye(len(alive))
  )
  kept = _leading(variances, options.svd_variance)
  roots = cca_core.inverse_roots(variances)[kept]
  living = roots[:, None] * directions.T[kept]
  root = np.zeros((len(roots), len(covariance)))
  root[:, alive] = living / np.sqrt(scale)
  return Whitened(
    root, living @ scaled * np.sqrt(scale), np.linalg.norm(covariance)
  )


def compare(
  x: Sequence[Whitened],
  y: Sequence[Whitened],
  cross: Sequence[np.ndarray],
  options: Options,
) -> list[Measures]:
  """Compute the measures of P pairs of networks.

  Args:
    x: [P] the first of each pair.
    y: [P] the second.
    cross: [P] cross-covariances [D1, D2].
    options: Options of the canonical correlations.
  """
  result = [_NOTHING] * len(cross)
  shapes = [(a.root.shape, b.root.shape) for a, b in zip(x, y, strict=True)]
  for shape in dict.fromkeys(shapes):
    if not shape[0][0] or not shape[1][0]:  # No living channel.
      continue
    # One call into LAPACK for all pairs of a shape.
    alike = [i for i, other in enumerate(shapes) if other == shape]
    found = _compare_alike(
      [x[i] for i in alike],
      [y[i] for i in alike],
      np.stack([cross[i] for i in alike]),
      options.threshold,
    )
    for i, measures in zip(alike, found, strict=True):
      result[i] = measures
  return result


def _compare_alike(x, y, cross, threshold):
  root_x, root_y = (np.stack([w.root for w in side]) for side in (x, y))
  u, s, v = np.linalg.svd(
    root_x @ cross @ root_y.swapaxes(1, 2), full_matrices=False
  )
  if root_x.shape[1] <= root_y.shape[1]:
    loadings = u.swapaxes(1, 2) @ np.stack([w.loadings for w in x])
  else:
    loadings = v @ np.stack([w.loadings for w in y])
  weights = np.sum(np.abs(loadings), axis=2)
  norms = np.array([a.norm * b.norm for a, b in zip(x, y, strict=True)])
  return map(
    Measures,
    (np.mean(c[: cca_core.sum_threshold(c, threshold)]) for c in s),
    np.mean(s, axis=1),
    np.sum(weights * s, axis=1) / np.sum(weights, axis=1),
    np.sum(cross**2, axis=(1, 2)) / norms,
    s,
  )


def _leading(variances, share):
  """Return indices of the fewest variances that hold `share` of their sum."""
  order = np.arange(len(variances))[::-1]
  if share is None:
    return order
  held = np.cumsum(variances[order])
  return order[: np.searchsorted(held, share * held[-1]) + 1]
