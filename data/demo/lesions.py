"""Lesions of diabetic retinopathy, painted on a fundus photograph.

Which lesions an eye has follows its grade on the International Clinical
Diabetic Retinopathy scale (Wilkinson et al., Ophthalmology 2003): 0 none; 1
micro-aneurysms only; 2 more than that; 3 hemorrhages all over the fundus; 4
new vessels or a pre-retinal hemorrhage. They are drawn larger than life, so
that they survive the demo's small pictures.
"""

import numpy as np

from data.demo import shapes

# Smallest and largest number of each kind in an eye of grade 0, 1, ... 4.
_MICROANEURYSMS = ((0, 0), (2, 5), (3, 9), (6, 14), (6, 14))
_HEMORRHAGES = ((0, 0), (0, 0), (1, 5), (8, 16), (5, 14))
_EXUDATE_CLUSTERS = ((0, 0), (0, 0), (0, 3), (1, 4), (1, 4))
_NEW_VESSELS = ((0, 0), (0, 0), (0, 0), (0, 0), (1, 3))

# What is left of red, green and blue light behind a layer of blood: it takes
# green and blue. A factor of the color beneath follows the photograph's own.
_BLOOD = np.array([0.62, 0.30, 0.45], np.float32)
_LIPID = np.array([1.0, 0.93, 0.62], np.float32)  # Exudates are pale yellow.
# Harmless, in any eye: pigment is brown and soft-edged, drusen pale and faint.
_PIGMENT = np.array([0.72, 0.52, 0.55], np.float32)
_DRUSE = np.array([1.05, 1.3, 1.3], np.float32)


def paint(
  tissue: np.ndarray, grade: int, rng: np.random.Generator, size: float = 1.0
) -> None:
  """Paint the lesions of an eye of `grade` onto `tissue`, in place.

  Args:
    tissue: [S, S, 3] in 0..1; the fundus disc touches its edges.
    grade: 0 to 4.
    rng: Generator of the lesions only, so that the rest of the picture does
      not depend on the grade.
    size: Their size, as a multiple; for pictures that are very small.
  """
  for kind, counts in (
    (_hemorrhage, _HEMORRHAGES),
    (_exudate_cluster, _EXUDATE_CLUSTERS),
    (_microaneurysm, _MICROANEURYSMS),
    (_new_vessel, _NEW_VESSELS),
  ):
    fewest, most = counts[grade]
    for _ in range(rng.integers(fewest, most + 1)):
      kind(tissue, _somewhere(rng), rng, size)
  if grade == 4 and rng.random() < 0.5:
    _preretinal_hemorrhage(tissue, _somewhere(rng), rng, size)


def paint_harmless(tissue: np.ndarray, rng: np.random.Generator) -> None:
  """Paint pigment spots and drusen, in place, in eyes of every grade."""
  for tint in (_PIGMENT, _DRUSE):
    for _ in range(rng.integers(0, 7)):
      radius = rng.uniform(0.015, 0.05)
      _blot(tissue, _somewhere(rng), radius, tint, rng, softness=0.7)


def _somewhere(rng):
  """Return a point spread evenly over the fundus, short of its rim."""
  radius, angle = 0.85 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
  return radius * np.cos(angle), radius * np.sin(angle)


def _blot(tissue, center, radius, tint, rng, softness, lighten=False):
  """Draw a spot of `tint`: of the light beneath, or of the brightest there."""
  x, y = shapes.grid(*tissue.shape[:2])
  rows, columns = shapes.window(x, y, center, 3 * radius)
  stretch = rng.uniform(1.0, 1.5)
  wobble = rng.normal(size=(3, 2)) @ (1, 1j) * (0.10, 0.06, 0.04)
  coverage = shapes.ellipse(
    x[:, columns],
    y[rows],
    center,
    (radius * stretch, radius / stretch),
    softness,
    angle=rng.uniform(0, np.pi),
    wobble=wobble,
  )[..., None]
  beneath = tissue[rows, columns]
  full = tint * beneath.max(initial=0.0) if lighten else tint * beneath
  opacity = rng.uniform(0.2, 0.8)
  tissue[rows, columns] += opacity * coverage * (full - beneath)


def _microaneurysm(tissue, center, rng, size):
  radius = size * rng.uniform(0.016, 0.022)
  _blot(tissue, center, radius, _BLOOD, rng, softness=0.5)


def _hemorrhage(tissue, center, rng, size):
  radius = size * rng.uniform(0.02, 0.05)
  _blot(tissue, center, radius, _BLOOD, rng, softness=0.4)


def _preretinal_hemorrhage(tissue, center, rng, size):
  radius = size * rng.uniform(0.12, 0.2)
  _blot(tissue, center, radius, _BLOOD, rng, softness=0.2)


def _exudate_cluster(tissue, center, rng, size):
  for offset in rng.normal(scale=0.06, size=(rng.integers(3, 9), 2)):
    _blot(
      tissue,
      tuple(center + offset),
      size * rng.uniform(0.012, 0.03),
      _LIPID,
      rng,
      softness=0.3,
      lighten=True,
    )


def _new_vessel(tissue, center, rng, size):
  """Draw a tuft of fine, winding vessels: a random walk from one point."""
  x, y = shapes.grid(*tissue.shape[:2])
  for _ in range(rng.integers(3, 6)):
    point, heading = np.array(center), rng.uniform(0, 2 * np.pi)
    for _ in range(6):
      heading += rng.normal(scale=0.7)
      tip = point + 0.035 * size * np.array([np.cos(heading), np.sin(heading)])
      rows, columns = shapes.window(x, y, tuple(point), 0.08 * size)
      coverage = shapes.line(
        x[:, columns], y[rows], point, tip, width=0.014 * size
      )
      tissue[rows, columns] *= 1 - 0.6 * coverage[..., None] * (1 - _BLOOD)
      point = tip
