"""Partial least squares of two sets of neurons."""

import numpy as np

from svcca import activations


def get_pls_similarity(acts1, acts2):
  """Directions of largest covariance between two sets of neurons.

  Args:
    acts1: [D1, N] neurons by datapoints, D1 < N.
    acts2: [D2, N] over the same datapoints, D2 < N.

  Returns:
    A dict, K = min(D1, D2): `eigenvals` [K], the covariances from high to low;
    `neuron_coeffs1` [K, D1] and `neuron_coeffs2` [K, D2]; `pls_dirns1` and
    `pls_dirns2` [K, N], the directions of the centered activations.
  """
  acts1, acts2 = activations.validate(acts1, acts2)
  cross = np.cov(acts1, acts2)[: len(acts1), len(acts1) :]
  u, s, v = np.linalg.svd(cross, full_matrices=False)
  centered1, centered2 = (
    a - np.mean(a, axis=1, keepdims=True) for a in (acts1, acts2)
  )
  return {
    'eigenvals': s,
    'neuron_coeffs1': u.T,
    'neuron_coeffs2': v,
    'pls_dirns1': u.T @ centered1,
    'pls_dirns2': v @ centered2,
  }
