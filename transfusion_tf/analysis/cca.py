"""Similarity of two networks, from the covariances of their channels.

Canonical correlations s are the singular values of the cross-covariance of the
two networks' whitened channels (arXiv 1706.05806); each network is whitened
once. Besides s and its means this gives PWCCA (arXiv 1806.05759), the
SVD step of SVCCA and linear CKA (arXiv 1905.00414) of the same sample; `cka`
has the unbiased ones.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from svcca import cca_core
from transfusion_tf.analysis import alignment
from transfusion_tf.analysis import image_error


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of CCA; the paper names none, so those of google/svcca.

  Attributes:
    epsilon: Ridge on covariances whose largest entry is scaled to 1; channels
      of less variance are dead and dropped. The value is its tutorials'.
    threshold: Fraction of the coefficients' sum that `mean` averages over.
    svd_variance: Fraction of the variance that the SVD step of SVCCA keeps,
      e.g. 0.99; None skips the step.
    unbiased_cka: Whether to estimate CKA without bias, too: about twice the
      arithmetic.
  """

  epsilon: float = 1e-10
  threshold: float = 0.98
  svd_variance: float | None = None
  unbiased_cka: bool = False


class Measures(NamedTuple):
  """Similarities of two networks on one sample; all are 1 for equal ones.

  Attributes:
    mean: Mean of the leading coefficients that hold 98 % of their sum.
    plain_mean: Mean of all coefficients.
    pwcca: Mean weighted by how much of the narrower network's activations a
      direction accounts for.
    cka: Linear centered kernel alignment, biased as published first.
    cka_unbiased: The same, unbiased over samples of datapoints; None unless
      `Options.unbiased_cka`.
    cka_layer: Estimate of the same for all channels of the layers, of which
      the sample has `num_channels`; or None.
    coefficients: [min(D1, D2)] canonical correlations, from high to low.
  """

  mean: float
  plain_mean: float
  pwcca: float
  cka: float
  cka_unbiased: float | None
  cka_layer: float | None
  coefficients: np.ndarray

  def scalars(self) -> dict[str, float]:
    """Return all but the coefficients, by name, as far as computed."""
    values = self._asdict()
    del values['coefficients']
    return {name: value for name, value in values.items() if value is not None}


def _dead(unbiased):
  """Return the measures of networks of which one has no living channel."""
  own = [None if value is None else 0.0 for value in unbiased]
  return Measures(0.0, 0.0, 0.0, 0.0, *own, np.zeros(1))


@dataclasses.dataclass(frozen=True)
class Similarity:
  """The similarity of two networks at one layer.

  Attributes:
    repeats: Measures of each sample of channels and images.
    noise_floor: The same of permuted rows, the value of unrelated networks.
    num_patches: p of a repeat.
    num_images: n of all repeats together.
    whole: Measures of each repeat's channels on all n images.
    folds: Number of folds of the images: repeat r leaves fold r % folds out.
  """

  repeats: tuple[Measures, ...]
  noise_floor: tuple[Measures, ...]
  num_patches: int
  num_images: int
  whole: tuple[Measures, ...]
  folds: int

  @property
  def mean(self) -> float:
    """The mean of the repeats' `mean`."""
    return average(self.repeats)['mean']

  def intervals(self) -> dict[str, image_error.Interval | None]:
    """Return every measure's estimate for all images, with its interval."""
    whole, kept = (
      pd.DataFrame([m.scalars() for m in side])
      for side in (self.whole, self.repeats)
    )
    return {
      name: image_error.interval(whole[name], kept[name], self.folds)
      for name in whole
    }

  def to_json(self) -> dict[str, Any]:
    """Return means and standard deviations over repeats, then each repeat's.

    What is undefined is None: JSON has no NaN.
    """
    intervals = {
      name: found._asdict() if found else None
      for name, found in self.intervals().items()
    }
    return {
      **_defined(average(self.repeats)),
      'intervals': intervals,
      'noise_floor': _defined(average(self.noise_floor)),
      'num_patches': self.num_patches,
      'num_images': self.num_images,
      'repeats': [
        _defined(m.scalars()) | {'coefficients': m.coefficients.tolist()}
        for m in self.repeats
      ],
    }


def average(repeats: Sequence[Measures]) -> dict[str, float]:
  """Return every measure's mean over repeats, and its std as `..._std`."""
  table = pd.DataFrame([m.scalars() for m in repeats])
  stddev = table.std(ddof=len(table) > 1).add_suffix('_std')
  return table.mean().to_dict() | stddev.to_dict()


def _defined(values):
  """Return values with None in place of NaN."""
  return {n: x if np.isfinite(x) else None for n, x in values.items()}


class Whitened(NamedTuple):
  """The whitened channels of one network.

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
    root, living @ scaled * np.sqrt(scale), float(np.linalg.norm(covariance))
  )


def compare(
  x: Sequence[Whitened],
  y: Sequence[Whitened],
  cross: Sequence[np.ndarray],
  unbiased: Sequence[alignment.Alignment],
  options: Options,
) -> list[Measures]:
  """Compute the measures of P pairs of networks.

  Args:
    x: [P] the first of each pair.
    y: [P] the second.
    cross: [P] cross-covariances [D1, D2].
    unbiased: [P] unbiased CKA.
    options: Options of the canonical correlations.
  """
  result = list(map(_dead, unbiased))
  shapes = [(a.root.shape, b.root.shape) for a, b in zip(x, y, strict=True)]
  for shape in dict.fromkeys(shapes):
    if not shape[0][0] or not shape[1][0]:
      continue
    # One call into LAPACK for all pairs of a shape.
    group = [i for i, other in enumerate(shapes) if other == shape]
    measures = _compare_same_shape(
      [x[i] for i in group],
      [y[i] for i in group],
      np.stack([cross[i] for i in group]),
      [unbiased[i] for i in group],
      options.threshold,
    )
    for i, values in zip(group, measures, strict=True):
      result[i] = values
  return result


def _compare_same_shape(x, y, cross, unbiased, threshold):
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
    *zip(*unbiased, strict=True),
    s,
  )


def _leading(variances, fraction):
  """Return the indices of the fewest variances with `fraction` of the sum."""
  order = np.arange(len(variances))[::-1]
  if fraction is None:
    return order
  sums = np.cumsum(variances[order])
  return order[: np.searchsorted(sums, fraction * sums[-1]) + 1]
