"""Projection-weighted CCA (arXiv 1806.05759, section 3)."""

import numpy as np

from svcca import cca_core


def compute_pwcca(acts1, acts2, epsilon=0.0):
  """Canonical correlations weighted by how much of a layer they account for.

  The weight of direction h_i is sum_j |<h_i, x_j>| over the neurons x_j of the
  side with fewer living neurons (the first, if equal).

  Args:
    acts1: [D1, N] neurons by datapoints, D1 < N.
    acts2: [D2, N] over the same datapoints, D2 < N.
    epsilon: as in `cca_core.get_cca_similarity`.

  Returns:
    `(weighted mean, weights, coefficients)`; the weights sum to 1, or are 0
    where a side has no living neuron.
  """
  result = cca_core.get_cca_similarity(
    acts1, acts2, epsilon=epsilon, verbose=False
  )
  coefs = result['cca_coef1']
  if not (np.any(result['x_idxs']) and np.any(result['y_idxs'])):
    return 0.0, np.zeros_like(coefs), coefs
  if np.sum(result['x_idxs']) <= np.sum(result['y_idxs']):
    side, number, acts = 'x', '1', acts1
  else:
    side, number, acts = 'y', '2', acts2
  idxs = result[f'{side}_idxs']
  means = result[f'neuron_means{number}'][idxs]
  acts = np.asarray(acts)[idxs]
  dirns = result[f'coef_{side}'] @ (acts - means) + means
  weights = projection_weights(dirns, acts)
  return np.sum(weights * coefs), weights, coefs


def projection_weights(dirns: np.ndarray, acts: np.ndarray) -> np.ndarray:
  """Share of each direction [K, N], made orthonormal in order, in acts [D, N].

  As in google/svcca, whose figures these are, the caller's directions are not
  whitened and neither argument is centered (see README.md).
  """
  basis, _ = np.linalg.qr(dirns.T)
  weights = np.sum(np.abs(basis.T @ acts.T), axis=1)
  return weights / np.sum(weights)
