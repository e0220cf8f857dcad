"""Chest x-rays drawn from nothing: dark lungs, and a soft shape a finding.

Enough to have something to learn at 32 pixels, with findings that are small
or large, faint or plain, and that overlap. It is no model of any disease.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from data.demo import shapes

# Centers of the lungs and their radii, in the coordinates of `shapes`.
_LUNGS = {
  'Frontal': (((-0.47, -0.1), (0.47, -0.1)), (0.36, 0.62)),
  'Lateral': (((0.05, -0.1),), (0.58, 0.62)),
}


class _Shape(NamedTuple):
  """An ellipse that brightens the picture."""

  center: tuple[float, float]  # In lungs, from the center of one.
  jitter: float  # Standard deviation of the center.
  radii: tuple[float, float]
  softness: float
  light: tuple[float, float]  # Least and most; air is at 0.25, of 0..1.
  in_lungs: bool = True


_FINDINGS = {
  'Atelectasis': _Shape((0, 0.2), 0.08, (0.26, 0.05), 0.6, (0.1, 0.3)),
  'Cardiomegaly': _Shape((0.1, 0.3), 0, (0.38, 0.32), 0.2, (0.04, 0.2), False),
  'Consolidation': _Shape((0, 0), 0.15, (0.17, 0.19), 0.8, (0.15, 0.4)),
  'Edema': _Shape((0, 0.05), 0.02, (0.36, 0.5), 0.8, (0.04, 0.25)),
  'Pleural Effusion': _Shape((0, 0.55), 0.05, (0.4, 0.3), 0.4, (0.1, 0.4)),
  'Support Devices': _Shape(
    (0.1, -0.4), 0.05, (0.02, 0.55), 0.8, (0.3, 0.3), False
  ),
}


def render(
  size: int,
  view: str,
  findings: Collection[str],
  patient_seed: list[int],
  study: int = 0,
) -> np.ndarray:
  """Render one radiograph.

  Args:
    size: Height in pixels; the width is a fifth more.
    view: `Frontal` or `Lateral`.
    findings: Names of CheXpert's observations; those without a shape change
      nothing.
    patient_seed: Seed of the build of the chest.
    study: Seed, with the above, of what differs between studies.

  Returns:
    uint8 [size, 1.2 size], bone and fluid bright.
  """
  is_lateral = view == 'Lateral'
  patient = np.random.default_rng(patient_seed)
  own = np.random.default_rng([*patient_seed, study, is_lateral, 0])
  x, y = shapes.grid(size, size + size // 5)
  x = x * patient.uniform(0.92, 1.08) + own.uniform(-0.04, 0.04)
  y = y * patient.uniform(0.92, 1.08) + own.uniform(-0.04, 0.04)
  lungs, radii = _LUNGS[view]
  air = sum(shapes.ellipse(x, y, center, radii, 0.12) for center in lungs)
  chest = shapes.ellipse(x, y, (0, 0.45), (1.0, 1.6), 0.06)
  light = chest * (0.75 - 0.5 * air)
  heart = patient.uniform(0.2, 0.34), patient.uniform(0.22, 0.3)
  light += 0.2 * shapes.ellipse(x, y, (0.1, 0.3), heart, 0.2)
  for number, (name, shape) in enumerate(_FINDINGS.items(), start=1):
    rng = np.random.default_rng([*patient_seed, study, is_lateral, number])
    if name in findings:
      tissue = air if shape.in_lungs else chest
      light += tissue * _draw(x, y, shape, lungs, rng)
  light = ndimage.gaussian_filter(light, size * own.uniform(0.004, 0.01))
  light = light * own.uniform(0.85, 1.1)
  light += own.normal(scale=0.02, size=light.shape)
  return (255 * light.clip(0, 1)).round().astype(np.uint8)


def _draw(x, y, shape, lungs, rng):
  """Return what a finding adds: in one lung, at times in both."""
  anchors = lungs if shape.in_lungs else [(0, 0)]
  if len(anchors) > 1 and rng.random() < 0.65:
    anchors = [anchors[rng.integers(2)]]
  return rng.uniform(*shape.light) * sum(
    shapes.ellipse(
      x,
      y,
      rng.normal(np.add(anchor, shape.center), shape.jitter),
      shape.radii * rng.uniform(0.8, 1.2, size=2),
      shape.softness,
    )
    for anchor in anchors
  )
