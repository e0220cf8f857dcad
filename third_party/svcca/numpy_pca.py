"""Principal components of neurons."""

import numpy as np

from svcca import activations


def get_pca(acts, compute_dirns=False):
  """Principal components of acts [D, N], neurons by datapoints, D < N.

  Returns:
    A dict: `eigenvals` [D], the singular values of the centered activations;
    `neuron_coefs` [D, D], a component a row; with `compute_dirns` also
    `pca_dirns` [D, N], the components' values with the means added back.
  """
  (acts,) = activations.validate(acts)
  means = np.mean(acts, axis=1, keepdims=True)
  u, s, _ = np.linalg.svd(acts - means, full_matrices=False)
  result = {'eigenvals': s, 'neuron_coefs': u.T}
  if compute_dirns:
    result['pca_dirns'] = u.T @ (acts - means) + means
  return result
