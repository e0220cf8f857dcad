"""Synthetic Gabor filters as a network's first convolution (Appendix F.3).

The bank is the paper's: 4 frequencies x 16 angles, 7x7. Each kernel is drawn
by scikit-image, resized to 10x10 and cropped to 7x7, which leaves its center
half a pixel off the middle, as in the paper.

The paper covers conv1 of 64 filters of 7x7 and one scale, "to match the
numerical magnitudes of the learned Gabor filters". Where it is silent:

* Fewer filters: every second, fourth, ... angle, at all four frequencies.
* 5x5 (CBR-Tiny): the middle of the 7x7, which keeps each wavelength.
* The scale gives the kernel the standard deviation of a reference.
* Every input channel has the same filters.
"""

from collections.abc import Callable
import functools

from etils import epy
import numpy as np

from transfusion_tf import errors
from transfusion_tf.init import types

with epy.lazy_imports():  # Help does without.
  from skimage import filters as skimage_filters
  from skimage import transform

FREQUENCIES = (0.08, 0.16, 0.25, 0.32)  # Cycles a pixel, before resizing.
NUM_ANGLES = 16  # Over 180 degrees.
SIZE = 7
_SIGMA = 2.0  # Pixels, before resizing.
_RESIZED = 10


@functools.cache
def bank() -> np.ndarray:
  """Return the bank, [4 * 16, 7, 7]: frequency outer, angle inner."""
  kernels = np.stack(
    [
      _kernel(frequency, np.pi * angle / NUM_ANGLES)
      for frequency in FREQUENCIES
      for angle in range(NUM_ANGLES)
    ]
  )
  kernels.setflags(write=False)
  return kernels


def filters(
  like: Callable[[types.Weight], types.InitialValue],
) -> types.Scheme:
  """Return the bank as a kernel [7, 7, C, N] or [5, 5, C, N].

  Args:
    like: A scheme for the same weight, whose standard deviation is taken:
      that of the pretrained network, or of a random draw.

  Raises:
    InputError: From the scheme, for a kernel of another size or a number N of
      filters that the angles do not give (64, 32, 16, 8 or 4).
  """

  def scheme(weight):
    kernels = _fitted(weight)  # [k, k, 1, N]
    reference = like(weight)
    scale = np.std(reference.values, dtype=float) / np.std(kernels)
    return types.InitialValue(
      np.broadcast_to(scale * kernels, weight.shape),
      'gabor',
      reference.source,
      note=f'scaled by {scale:.4g}: the standard deviation of '
      f'{reference.scheme}',
    )

  return scheme


def _kernel(frequency, theta):
  kernel = np.real(
    skimage_filters.gabor_kernel(
      frequency, theta, sigma_x=_SIGMA, sigma_y=_SIGMA
    )
  )
  kernel = transform.resize(kernel, (_RESIZED, _RESIZED))
  start = (_RESIZED - SIZE) // 2
  return kernel[start : start + SIZE, start : start + SIZE]


def _fitted(weight):
  """Return the part of the bank that fits a kernel's shape: [k, k, 1, N]."""
  stride, rest = divmod(len(bank()), weight.shape[-1])
  square = len(weight.shape) == 4 and weight.shape[0] == weight.shape[1]
  if not square or weight.shape[0] not in (5, SIZE):
    raise errors.InputError(
      f'{weight.path} {weight.shape}: Gabor filters are 7x7 or 5x5'
    )
  if rest or NUM_ANGLES % stride:
    raise errors.InputError(
      f'{weight.path} {weight.shape}: the bank gives 64, 32, 16, 8 or 4 filters'
    )
  margin = (SIZE - weight.shape[0]) // 2
  middle = slice(margin, SIZE - margin)
  return np.moveaxis(bank()[::stride, middle, middle], 0, -1)[:, :, None]
