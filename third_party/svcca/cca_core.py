"""Canonical correlation analysis of two sets of neurons.

arXiv 1706.05806 (SVCCA) gives the method, arXiv 1806.05759 the use on deep
networks. X [D1, N] and Y [D2, N] are neurons by datapoints, throughout; a
convolutional layer's positions are datapoints, its channels neurons. With
`arr = Sxx^-1/2 Sxy Syy^-1/2 = U diag(s) V`, the canonical correlations are `s`
and the canonical directions `U^H Sxx^-1/2 X` and `V Syy^-1/2 Y`.
"""

import logging

import numpy as np

from svcca import activations

num_cca_trials = 5


def positivedef_matrix_sqrt(array: np.ndarray) -> np.ndarray:
  """Square root of a positive semi-definite (or Hermitian) matrix."""
  w, v = np.linalg.eigh(array)
  # Rounding leaves the zeros of a singular matrix at either side of 0.
  return (v * np.sqrt(np.maximum(w, 0))) @ v.conj().T


def inverse_sqrt(array: np.ndarray) -> np.ndarray:
  """Pseudo-inverse square root of a positive semi-definite matrix.

  One eigendecomposition of the matrix itself: inverting first would square the
  rounding error and turn the null space (duplicate neurons) into NaN.
  """
  w, v = np.linalg.eigh(array)
  return (v * inverse_roots(w)) @ v.conj().T


def inverse_roots(eigenvalues: np.ndarray) -> np.ndarray:
  """1 / sqrt of the eigenvalues of a covariance, and 0 for its null space."""
  rounding = len(eigenvalues) * np.finfo(eigenvalues.dtype).eps
  kept = eigenvalues > rounding * np.max(eigenvalues, initial=0)
  return np.where(kept, eigenvalues, np.inf) ** -0.5


def remove_small(sigma_xx, sigma_xy, sigma_yx, sigma_yy, epsilon):
  """Drop the neurons whose variance is below epsilon.

  Returns:
    The four matrices without those neurons, then the masks `x_idxs`, `y_idxs`
    of the neurons that stayed.
  """
  x_idxs = np.abs(np.diagonal(sigma_xx)) >= epsilon
  y_idxs = np.abs(np.diagonal(sigma_yy)) >= epsilon
  return (
    sigma_xx[np.ix_(x_idxs, x_idxs)],
    sigma_xy[np.ix_(x_idxs, y_idxs)],
    sigma_yx[np.ix_(y_idxs, x_idxs)],
    sigma_yy[np.ix_(y_idxs, y_idxs)],
    x_idxs,
    y_idxs,
  )


def compute_ccas(sigma_xx, sigma_xy, sigma_yx, sigma_yy, epsilon, verbose=True):
  """Canonical correlations from the covariances of X and Y.

  Args:
    sigma_xx: [D1, D1] covariance of X.
    sigma_xy: [D1, D2] cross-covariance; `sigma_yx` is its adjoint.
    sigma_yx: [D2, D1].
    sigma_yy: [D2, D2] covariance of Y.
    epsilon: neurons of less variance are dropped; the others gain this much.
    verbose: whether progress is logged.

  Returns:
    `([u, s, v], invsqrt_xx, invsqrt_yy, x_idxs, y_idxs)`; `s` falls and
    is empty where one side has no living neuron.
  """
  (sigma_xx, sigma_xy, _, sigma_yy, x_idxs, y_idxs) = remove_small(
    sigma_xx, sigma_xy, sigma_yx, sigma_yy, epsilon
  )
  if verbose:
    logging.info('CCA of %d and %d neurons', len(sigma_xx), len(sigma_yy))
  invsqrt_xx = inverse_sqrt(sigma_xx + epsilon * np.eye(len(sigma_xx)))
  invsqrt_yy = inverse_sqrt(sigma_yy + epsilon * np.eye(len(sigma_yy)))
  u, s, v = np.linalg.svd(invsqrt_xx @ sigma_xy @ invsqrt_yy)
  return [u, s, v], invsqrt_xx, invsqrt_yy, x_idxs, y_idxs


def sum_threshold(array: np.ndarray, threshold: float) -> int:
  """Return the least i >= 1 whose array[:i] holds `threshold` of the sum."""
  if not 0 <= threshold <= 1:
    raise ValueError(f'threshold is {threshold}: it must lie in [0, 1]')
  array = np.asarray(array)
  enough = np.cumsum(array) >= threshold * np.sum(array)
  return int(np.argmax(enough)) + 1 if np.any(enough) else len(array)


def create_zero_dict(compute_dirns: bool, dimension: int) -> dict:
  """Return the result for a layer without a living neuron: no correlation."""
  zero = np.asarray(0.0)
  result = {
    'mean': (zero, zero),
    'plain_mean': (zero, zero),
    'sum': (zero, zero),
    'cca_coef1': np.zeros(1),
    'cca_coef2': np.zeros(1),
    'idx1': 0,
    'idx2': 0,
  }
  if compute_dirns:
    result['cca_dirns1'] = np.zeros((1, dimension))
    result['cca_dirns2'] = np.zeros((1, dimension))
  return result


def get_cca_similarity(
  acts1,
  acts2,
  epsilon=0.0,
  threshold=0.98,
  compute_coefs=True,
  compute_dirns=False,
  verbose=True,
):
  """Canonical correlations of two sets of neurons.

  Args:
    acts1: [D1, N] neurons by datapoints, real or complex, D1 < N.
    acts2: [D2, N] over the same datapoints, D2 < N.
    epsilon: ridge on covariances scaled to a largest entry of 1; neurons of
      less variance are dropped. 1e-10 is a good choice.
    threshold: share of the coefficients' sum that `mean` averages over.
    compute_coefs: whether to return the maps from neurons to directions.
    compute_dirns: whether to return the directions, [D, N] each.
    verbose: whether progress is logged.

  Returns:
    A dict: `cca_coef1` (= `cca_coef2`), the correlations from high to low;
    `mean`, over the leading ones that hold `threshold` of the sum, and
    `plain_mean`, over all, each as a pair; `sum`; `x_idxs`, `y_idxs`, the
    neurons that stayed; and what the two switches ask for.

  Raises:
    ValueError: the activations do not fit, or hold NaN.
  """
  acts1, acts2 = activations.validate(acts1, acts2)
  sigmas = _scaled_covariances(acts1, acts2)
  (u, s, v), invsqrt_xx, invsqrt_yy, x_idxs, y_idxs = compute_ccas(
    *sigmas, epsilon=epsilon, verbose=verbose
  )
  alive = len(s) > 0
  result = (
    _summary(s, threshold)
    if alive
    else create_zero_dict(compute_dirns, acts1.shape[1])
  )
  result.update(x_idxs=x_idxs, y_idxs=y_idxs)
  if compute_coefs or compute_dirns:
    x = _coefficients('x', '1', acts1, u.conj().T, invsqrt_xx, x_idxs)
    y = _coefficients('y', '2', acts2, v, invsqrt_yy, y_idxs)
    if compute_coefs:
      result.update(x, **y)
    if compute_dirns and alive:
      result['cca_dirns1'] = _directions('x', '1', acts1, x)
      result['cca_dirns2'] = _directions('y', '2', acts2, y)
  return result


def robust_cca_similarity(
  acts1, acts2, threshold=0.98, epsilon=1e-6, compute_dirns=True
):
  """`get_cca_similarity`, tried again with a little noise if it fails.

  The noise of a retry is `epsilon` times each set's own spread, from a fixed
  stream, so that the same call gives the same figures.
  """
  rng = np.random.default_rng(0)
  originals = activations.validate(acts1, acts2)
  noisy = originals
  for trial in range(num_cca_trials):
    try:
      return get_cca_similarity(
        *noisy,
        epsilon=epsilon,
        threshold=threshold,
        compute_dirns=compute_dirns,
        verbose=False,
      )
    except np.linalg.LinAlgError:
      if trial + 1 == num_cca_trials:
        raise
      noisy = [
        a + epsilon * np.std(a) * rng.standard_normal(a.shape)
        for a in originals
      ]


def _scaled_covariances(acts1, acts2):
  """[xx, xy, yx, yy], with a largest entry of 1 in xx and in yy."""
  num1 = len(acts1)
  covariance = _covariance(acts1, acts2)
  scale1 = np.max(np.abs(covariance[:num1, :num1])) or 1.0
  scale2 = np.max(np.abs(covariance[num1:, num1:])) or 1.0
  scale12 = np.sqrt(scale1) * np.sqrt(scale2)
  return (
    covariance[:num1, :num1] / scale1,
    covariance[:num1, num1:] / scale12,
    covariance[num1:, :num1] / scale12,
    covariance[num1:, num1:] / scale2,
  )


def _covariance(acts1, acts2):
  """Covariance of all neurons, as `np.cov` but with one copy of them."""
  dtype = np.result_type(acts1, acts2, np.float64)
  acts = np.concatenate([acts1, acts2], dtype=dtype)
  acts -= np.mean(acts, axis=1, keepdims=True)
  return acts @ acts.conj().T / (acts.shape[1] - 1)


def _summary(s: np.ndarray, threshold: float) -> dict:
  mean = np.mean(s[: sum_threshold(s, threshold)])
  return {
    'cca_coef1': s,
    'cca_coef2': s,
    'mean': (mean, mean),
    'plain_mean': (np.mean(s), np.mean(s)),
    'sum': (np.sum(s), np.sum(s)),
  }


def _coefficients(side, number, acts, coef, invsqrt, idxs) -> dict:
  """Return maps of one side, over its living neurons and (full_) over all."""
  full_coef, full_invsqrt = (
    np.zeros((len(idxs), len(idxs)), m.dtype) for m in (coef, invsqrt)
  )
  full_coef[np.ix_(idxs, idxs)] = coef
  full_invsqrt[np.ix_(idxs, idxs)] = invsqrt
  return {
    f'coef_{side}': coef,
    f'invsqrt_{side}{side}': invsqrt,
    f'full_coef_{side}': full_coef,
    f'full_invsqrt_{side}{side}': full_invsqrt,
    f'neuron_means{number}': np.mean(acts, axis=1, keepdims=True),
  }


def _directions(side, number, acts, maps) -> np.ndarray:
  means = maps[f'neuron_means{number}']
  coef = maps[f'full_coef_{side}'] @ maps[f'full_invsqrt_{side}{side}']
  return coef @ (acts - means) + means
