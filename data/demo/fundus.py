"""Fundus photographs, each a variation of one real photograph.

The photograph is scikit-image's `data.retina`. A patient's eyes differ from
others' by rotation, crop, a smooth warp of the vessels, and by the camera:
color, light, blur, noise. None of this depends on the grade; see `lesions`.
"""

import functools

import numpy as np
from scipy import ndimage
from skimage import data
from skimage import transform

from data.demo import lesions
from data.demo import shapes

_FINER = 2  # Drawn at this many times the final size.
# x, y and radius of the fundus in `data.retina`, as shares of its side.
_DISC = (0.5004, 0.4996, 0.489)


def photograph(
  size: int,
  eye: str,
  grade: int,
  patient_seed: list[int],
  lesion_size: float = 1.0,
) -> np.ndarray:
  """Return a photograph of one eye.

  Args:
    size: Height in pixels; the width is a quarter more, as cameras have it.
    eye: `left` or `right`.
    grade: 0 to 4; decides the lesions and nothing else.
    patient_seed: Seed of the features that both eyes share.
    lesion_size: Size of the lesions, as a multiple.

  Returns:
    [size, 1.25 size, 3] uint8, black around the disc of the fundus.
  """
  patient = np.random.default_rng([*patient_seed, 0])
  own = np.random.default_rng([*patient_seed, 1, eye == 'right'])
  lesion = np.random.default_rng([*patient_seed, 2, eye == 'right'])
  tissue = _fundus(_FINER * size, patient, own)
  if eye == 'right':
    tissue = np.ascontiguousarray(tissue[:, ::-1])
  lesions.paint_harmless(tissue, own)
  lesions.paint(tissue, grade, lesion, lesion_size)
  return _frame(_expose(tissue, patient, own), size, own)


@functools.cache
def _real_photograph(size):
  """Return `data.retina`, a left eye, [size, size, 3] in 0..1."""
  return transform.resize(
    data.retina(), (size, size), anti_aliasing=True
  ).astype(np.float32)


def _fundus(size, patient, own):
  """Return the real fundus rotated, cropped and warped: [size, size, 3]."""
  real = _real_photograph(2 * size)
  x, y = shapes.grid(size, size)
  x, y = x + _ripple(y, patient) + _ripple(x, own), y + _ripple(x, patient)
  rotation = patient.normal(scale=0.2) + own.normal(scale=0.05)
  zoom = patient.uniform(0.72, 0.95)
  shift = own.uniform(-1, 1, size=2) * (0.98 - zoom) * 0.7
  u = zoom * (np.cos(rotation) * x - np.sin(rotation) * y) + shift[0]
  v = zoom * (np.sin(rotation) * x + np.cos(rotation) * y) + shift[1]
  across, down, radius = (len(real) * fraction for fraction in _DISC)
  points = np.stack([down + radius * v, across + radius * u])
  return np.stack(
    [
      ndimage.map_coordinates(real[..., c], points, order=1, mode='nearest')
      for c in range(3)
    ],
    axis=-1,
  )


def _ripple(t, rng):
  """Return a smooth displacement along one axis: two slow waves."""
  return sum(
    rng.normal(scale=0.02) * np.sin(k * t + rng.uniform(0, 2 * np.pi))
    for k in (1.5, 3.0)
  )


def _expose(tissue, patient, own):
  """Apply the color of fundus and camera, uneven light and blur."""
  tissue = tissue ** patient.uniform(0.8, 1.25)
  tissue = tissue * patient.uniform([0.8, 0.75, 0.7], [1.05, 1.15, 1.3])
  x, y = shapes.grid(*tissue.shape[:2])
  tilt = own.uniform(-0.15, 0.15, size=2)
  light = 1 + tilt[0] * x + tilt[1] * y - own.uniform(0.05, 0.3) * (x**2 + y**2)
  tissue = tissue * own.uniform(0.85, 1.1) * light[..., None]
  blur = own.uniform(0.3, 1.2) * _FINER * 0.7
  return ndimage.gaussian_filter(tissue, (blur, blur, 0))


def _frame(tissue, size, own):
  """Return the photograph: the disc on black, at its final size, with noise."""
  x, y = shapes.grid(*tissue.shape[:2])
  disc = shapes.step(np.hypot(x, y) - 0.99, 0.01)
  fine = tissue * disc[..., None]
  fine = fine.reshape(size, _FINER, size, _FINER, 3).mean(axis=(1, 3))
  width = size + size // 4
  left = own.integers(width - size + 1)
  picture = np.zeros((size, width, 3), np.float32)
  picture[:, left : left + size] = fine
  picture += own.normal(scale=0.008, size=picture.shape)
  return (255 * np.clip(picture, 0, 1)).round().astype(np.uint8)
