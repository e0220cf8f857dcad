"""CCA of large convolutional layers by the discrete Fourier transform.

The covariance of translation-invariant feature maps is block-diagonal over
spatial frequencies, so CCA of whole layers splits into one of the channels at
each frequency (arXiv 1706.05806, section 5). Fully connected layers take part
as maps of height and width 1: they meet the constant frequency.
"""

import numpy as np
import pandas as pd

from svcca import cca_core


def fft_resize(images, resize=False, new_size=None):
  """Fourier transform of feature maps, cut to the low frequencies.

  Args:
    images: [N, H, W, C].
    resize: whether to cut to `new_size`.
    new_size: (height, width) to keep, at most (H, W).

  Returns:
    complex [N, H, W, C], or [N, *new_size, C], in numpy's frequency order.
  """
  images = np.asarray(images)
  if images.ndim != 4:
    raise ValueError(
      f'images have shape {images.shape}: expected [batch, height, width, '
      'channels]'
    )
  transform = np.fft.fft2(images, axes=(1, 2))
  if not resize:
    return transform
  for axis, size in zip((1, 2), new_size, strict=True):
    low = _low_frequencies(transform.shape[axis], size)
    transform = np.take(transform, low, axis=axis)
  return transform


def fourier_ccas(
  conv_acts1, conv_acts2, return_coefs=False, compute_dirns=False, verbose=False
):
  """CCA of two convolutional layers, frequency by frequency.

  Args:
    conv_acts1: [N, H1, W1, C1], C1 < N.
    conv_acts2: [N, H2, W2, C2], C2 < N; maps of different size are cut to the
      frequencies they share.
    return_coefs: whether to return `neuron_coeffs1` and `neuron_coeffs2`
      [directions, C], the maps from channels to canonical directions.
    compute_dirns: whether to return the directions `cca_dirns1`, `cca_dirns2`.
    verbose: whether progress is logged.

  Returns:
    A pandas DataFrame, one row a frequency, with `location` (its row and
    column in numpy's frequency order) and the results of
    `cca_core.get_cca_similarity`; coefficients and directions are those of the
    frequency, complex.
  """
  shapes = np.shape(conv_acts1), np.shape(conv_acts2)
  size = tuple(np.minimum(shapes[0][1:3], shapes[1][1:3]))
  ffts = [
    fft_resize(acts, resize=np.shape(acts)[1:3] != size, new_size=size)
    for acts in (conv_acts1, conv_acts2)
  ]
  rows = []
  for i, j in np.ndindex(*size):
    result = cca_core.get_cca_similarity(
      ffts[0][:, i, j].T,
      ffts[1][:, i, j].T,
      compute_coefs=return_coefs,
      compute_dirns=compute_dirns,
      verbose=verbose,
    )
    if return_coefs:
      for side, number in (('x', 1), ('y', 2)):
        result[f'neuron_coeffs{number}'] = (
          result[f'full_coef_{side}'] @ result[f'full_invsqrt_{side}{side}']
        )
    rows.append(result | {'location': (i, j)})
  return pd.DataFrame(rows)


def _low_frequencies(size: int, new_size: int) -> np.ndarray:
  """Return indices, in numpy's order, of the `new_size` lowest of `size`."""
  if new_size > size:
    raise ValueError(f'cannot resize {size} frequencies to {new_size}')
  frequency = np.fft.fftfreq(size, d=1 / size)
  half = new_size / 2
  return np.flatnonzero((frequency >= -half) & (frequency < half))
