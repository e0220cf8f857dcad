"""The findings of a demo x-ray: what each adds to the shadow of the chest.

Every function takes the coordinates x [1, W] and y [H, 1] (see `shapes`), the
view (`radiograph.View`) and a random stream, and returns [H, W] of added
density. Textbook signs, from faint to plain, at a size that survives the
demo's small pictures.
"""

import itertools

import numpy as np
from scipy import ndimage

from data.demo import shapes


def _effusion(x, y, view, rng):
  """Draw fluid at the bottom of one or both lungs, rising outwards."""
  fluid = 0.0
  for across, _ in _sides(view, rng):
    level = rng.uniform(0.15, 0.42) - 0.5 * np.abs(x - across / 2) ** 1.5
    beside = shapes.step(-np.sign(across) * x, 0.05)
    fluid = fluid + beside * shapes.step(level - y, 0.08)
  return rng.uniform(0.06, 0.4) * fluid


def _edema(x, y, view, rng):
  """Draw haze that spreads from the hila in both lungs, with fine streaks."""
  haze = sum(
    shapes.ellipse(x, y, (0.7 * across, 0.02), (0.34, 0.5), 0.8)
    for across, _ in view.lungs
  )
  streaks = ndimage.gaussian_filter(rng.normal(size=haze.shape), 2.0)
  severity = rng.uniform(0.1, 1.0)
  return severity * haze * (0.18 + 0.35 * streaks)


def _consolidation(x, y, view, rng):
  """Return a dense patch with a cloudy outline."""
  air = 1.0
  for across, down in _sides(view, rng):
    middle = np.array([across, down]) + rng.uniform([-0.1, -0.3], [0.1, 0.3])
    for center in rng.normal(middle, 0.09, size=(rng.integers(5, 10), 2)):
      radii = rng.uniform(0.08, 0.17, size=2)
      air = air * (1 - 0.7 * shapes.ellipse(x, y, center, radii, 0.8))
  return rng.uniform(0.1, 0.4) * (1 - air)


def _atelectasis(x, y, view, rng):
  """Draw plates: flat streaks across the lower lung."""
  plates = 0.0
  for across, _ in _sides(view, rng):
    for _ in range(rng.integers(1, 4)):
      down, slope = rng.uniform(0.0, 0.35), rng.normal() / 9
      start, end = (across - 0.2, down), (across + 0.2, down + slope)
      width = rng.uniform(0.04, 0.07)
      plates = plates + shapes.line(x, y, start, end, width, softness=0.8)
  return rng.uniform(0.08, 0.22) * plates


def _sides(view, rng):
  """Return the lungs that a finding is in: either one or, at times, both."""
  lungs = list(view.lungs)
  if len(lungs) == 2 and rng.random() < 0.65:
    lungs.pop(rng.integers(2))
  return lungs


def catheter(x, y, rng):
  """Return a tube from the neck to the heart."""
  points = rng.normal(scale=0.05, size=(5, 2)).cumsum(axis=0)
  points += np.stack([np.full(5, 0.1), np.linspace(-0.9, 0.2, 5)], axis=1)
  strokes = [
    shapes.line(x, y, start, end, 0.025)
    for start, end in itertools.pairwise(points)
  ]
  return 0.3 * np.max(strokes, axis=0)


# The findings that lie in the lungs; an enlarged heart is no opacity.
OPACITIES = {
  'Atelectasis': _atelectasis,
  'Consolidation': _consolidation,
  'Edema': _edema,
  'Pleural Effusion': _effusion,
}
