"""Chest x-rays drawn from nothing: soft shadows that add up.

The picture is a map of how much tissue the rays cross; `signs` draws what the
findings add to it.
"""

from collections.abc import Collection
import dataclasses

import numpy as np
from scipy import ndimage

from data.demo import shapes
from data.demo import signs

_FINER = 2  # Drawn at this many times the final size.


@dataclasses.dataclass(frozen=True)
class View:
  """The positions of the anatomy, in the coordinates of `shapes`."""

  lungs: tuple[tuple[float, float], ...]  # Centers.
  lung_radii: tuple[float, float]
  heart: tuple[float, float]  # Center.
  heart_radii: tuple[float, float]
  spine: float  # x.
  body: float  # Half the chest's width.
  clavicles: bool


_VIEWS = {
  'Frontal': View(
    lungs=((-0.47, -0.08), (0.47, -0.08)),
    lung_radii=(0.36, 0.66),
    heart=(0.14, 0.30),
    heart_radii=(0.30, 0.27),
    spine=0.0,
    body=1.05,
    clavicles=True,
  ),
  'Lateral': View(
    lungs=((0.05, -0.08),),
    lung_radii=(0.58, 0.68),
    heart=(-0.22, 0.25),
    heart_radii=(0.27, 0.30),
    spine=0.62,
    body=0.9,
    clavicles=False,
  ),
}


def film(
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
    findings: Names of CheXpert's observations; those that are not drawn
      change nothing.
    patient_seed: Seeds the anatomy.
    study: Seeds, with the above, what differs between studies.

  Returns:
    [size, 1.2 size] uint8, bone and fluid bright.
  """
  anatomy = np.random.default_rng(patient_seed)
  own = np.random.default_rng([*patient_seed, study, view == 'Lateral', 0])
  ill = np.random.default_rng([*patient_seed, study, view == 'Lateral', 1])
  height, width = _FINER * size, _FINER * (size + size // 5)
  x, y = shapes.grid(height, width)
  x = x * anatomy.uniform(0.92, 1.08) + own.uniform(-0.04, 0.04)
  y = y * anatomy.uniform(0.92, 1.08) + own.uniform(-0.04, 0.04)
  parts = _VIEWS[view]
  raised = np.zeros(len(parts.lungs))  # How far the diaphragm is pulled up.
  if 'Atelectasis' in findings:
    raised[ill.integers(len(raised))] = ill.uniform(0.03, 0.20)
  lungs = _lungs(x, y, parts, raised, anatomy)
  tissue = _chest(x, y, parts, lungs, anatomy)
  tissue += _heart(x, y, parts, 'Cardiomegaly' in findings, anatomy)
  for name, draw in signs.OPACITIES.items():
    if name in findings:
      tissue += lungs * draw(x, y, parts, ill)
  if 'Support Devices' in findings:
    tissue += signs.catheter(x, y, ill)
  return _develop(tissue, size, own)


def _lungs(x, y, view, raised, anatomy):
  """Return the air: the lungs above the diaphragm's domes."""
  air = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
  floor = anatomy.uniform(0.42, 0.52)
  for (across, down), lift in zip(view.lungs, raised, strict=True):
    lung = shapes.ellipse(x, y, (across, down), view.lung_radii, 0.12)
    dome = floor - lift + 0.9 * (x - 0.9 * across) ** 2
    air += lung * shapes.step(y - dome, 0.05)
  return np.clip(air, 0, 1)


def _chest(x, y, view, lungs, anatomy):
  """Return the soft tissue, spine, ribs and collar bones."""
  body = shapes.ellipse(x, y, (0, 0.45), (view.body, 1.6), 0.06)
  tissue = body * (0.75 - 0.62 * lungs)
  spine = shapes.step(np.abs(x - view.spine) - 0.10, 0.06)
  tissue += spine * (0.16 + 0.04 * np.sin(28 * y))
  slope = anatomy.uniform(0.25, 0.45)
  phase = (y - slope * np.abs(x - view.spine)) * anatomy.uniform(26, 30)
  tissue += 0.05 * body * np.clip(np.sin(phase), 0, 1)
  shade = anatomy.uniform(0.0, 0.16)  # Of the breasts: no finding.
  for across, _ in view.lungs:
    tissue += shade * shapes.ellipse(x, y, (across, 0.3), (0.34, 0.3), 0.3)
  if view.clavicles:
    for side in (-1, 1):
      tissue += 0.10 * shapes.line(
        x, y, (0.12 * side, -0.60), (0.80 * side, -0.74), 0.05
      )
  return tissue


def _heart(x, y, view, enlarged, anatomy):
  """Return the heart; enlarged, it takes over half of the chest's width."""
  growth = anatomy.uniform(0.88, 1.14) * (1.25 if enlarged else 1.0)
  (across, down), (wide, high) = view.heart, view.heart_radii
  return 0.34 * shapes.ellipse(
    x, y, (across, down), (growth * wide, growth**0.5 * high), 0.15, 0.35
  )


def _develop(tissue, size, own):
  """Apply grain, exposure and the final size."""
  blur = own.uniform(0.4, 1.0) * _FINER * 0.6
  light = 1 - np.exp(-own.uniform(1.5, 2.0) * tissue.clip(0))
  light = ndimage.gaussian_filter(light, blur)
  light = light.reshape(size, _FINER, -1, _FINER).mean(axis=(1, 3))
  light *= own.uniform(1.0, 1.15)
  light += own.normal(scale=0.02, size=light.shape)
  return (255 * light.clip(0, 1)).round().astype(np.uint8)
