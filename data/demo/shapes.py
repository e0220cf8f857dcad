"""Soft-edged shapes, the strokes that the demo's pictures are drawn with.

Coordinates are (x, y) in units of half the picture's smaller side, x to the
right and y downwards, with the origin at the picture's center. Every shape is
an [H, W] array of coverage in 0..1.
"""

import numpy as np


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
  """Return x [1, W] and y [H, 1] of the pixel centers."""
  half = min(height, width) / 2
  x = (np.arange(width) + 0.5 - width / 2) / half
  y = (np.arange(height) + 0.5 - height / 2) / half
  return x[None, :].astype(np.float32), y[:, None].astype(np.float32)


def step(distance: np.ndarray, softness: float) -> np.ndarray:
  """Return 1 well inside (distance below 0), 0 well outside, smoothly."""
  t = np.clip(0.5 - distance / (2 * softness), 0, 1)
  return t * t * (3 - 2 * t)


def ellipse(
  x: np.ndarray,
  y: np.ndarray,
  center: tuple[float, float],
  radii: tuple[float, float],
  softness: float,
  angle: float = 0.0,
  wobble: np.ndarray | None = None,
) -> np.ndarray:
  """Return an ellipse, or a blot if `wobble` bends its outline.

  Args:
    x: [1, W], from `grid`.
    y: [H, 1], from `grid`.
    center: (x, y).
    radii: Along the axis at `angle`, and across it.
    softness: Half the width of the edge, as a fraction of the radius.
    angle: Radians.
    wobble: Complex amplitudes of the outline's 2nd, 3rd, ... harmonic, as
      shares of the radius.
  """
  dx, dy = x - center[0], y - center[1]
  u = (np.cos(angle) * dx + np.sin(angle) * dy) / radii[0]
  v = (-np.sin(angle) * dx + np.cos(angle) * dy) / radii[1]
  outline = 1.0
  if wobble is not None:
    direction = np.arctan2(v, u)
    outline = 1 + sum(
      np.real(amplitude * np.exp(1j * k * direction))
      for k, amplitude in enumerate(wobble, start=2)
    )
  return step(np.hypot(u, v) - outline, softness)


def line(
  x: np.ndarray,
  y: np.ndarray,
  start: tuple[float, float],
  end: tuple[float, float],
  width: float,
  softness: float = 0.5,
) -> np.ndarray:
  """Return a straight stroke with round ends; softness in widths."""
  dx, dy = end[0] - start[0], end[1] - start[1]
  along = ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)
  along = np.clip(along, 0, 1)
  distance = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
  return step(distance - width / 2, softness * width)


def window(
  x: np.ndarray, y: np.ndarray, center: tuple[float, float], radius: float
) -> tuple[slice, slice]:
  """Return (rows, columns) of the pixels within `radius` of `center`."""
  columns = np.searchsorted(x[0], [center[0] - radius, center[0] + radius])
  rows = np.searchsorted(y[:, 0], [center[1] - radius, center[1] + radius])
  return slice(*rows), slice(*columns)
