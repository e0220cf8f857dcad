"""The part of a first-layer filter that a Gabor function explains."""

import functools
import itertools

import numpy as np

NOTABLE = 0.1  # A rise of the mean that would mean Gabors were learned.
_FREQUENCIES = (0.12, 0.18, 0.25, 0.32, 0.4)  # Cycles a pixel.
_ANGLES = np.arange(12) * np.pi / 12
_WIDTHS = (0.2, 0.35)  # Std of the envelope, as a fraction of the size.
_SHIFTS = (-1, 0, 1)  # Of the center, in pixels.


def mean(kernel: np.ndarray) -> float:
  """Return the mean over the filters of a kernel [k, k, C, N]."""
  return float(energy_fractions(kernel).mean())


def energy_fractions(kernel: np.ndarray) -> np.ndarray:
  """Return [N] the fraction of each filter's energy, 0 to 1.

  A filter is compared with every pair of an even and an odd Gabor of one
  place, width, angle and frequency; channels may weigh them as they like. White
  noise of 7x7 has about 0.2, of 5x5 about 0.3.
  """
  size, _, channels, count = kernel.shape
  flat = kernel.reshape(size * size, channels, count)
  # Orthogonal patterns [P, 2, k * k] -> [P, 2, C, N].
  parts = np.einsum('pqs,scn->pqcn', _patterns(size), flat, optimize=True)
  explained = np.sum(parts**2, axis=(1, 2)).max(axis=0)
  return explained / np.maximum(np.sum(flat**2, axis=(0, 1)), 1e-12)


@functools.cache
def _patterns(size):
  y, x = np.mgrid[:size, :size] - (size - 1) / 2
  pairs = []
  for frequency, angle, width, dy, dx in itertools.product(
    _FREQUENCIES, _ANGLES, _WIDTHS, _SHIFTS, _SHIFTS
  ):
    along = (x - dx) * np.cos(angle) + (y - dy) * np.sin(angle)
    square = (x - dx) ** 2 + (y - dy) ** 2
    envelope = np.exp(-square / (2 * (width * size) ** 2))
    wave = np.exp(2j * np.pi * frequency * along) * envelope
    basis = np.stack([wave.real.ravel(), wave.imag.ravel()], axis=1)
    pairs.append(np.linalg.qr(basis - basis.mean(axis=0))[0].T)
  return np.array(pairs)
