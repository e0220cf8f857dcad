"""First-layer filters as images (Figures 5, 9, 10 and 14)."""

import math

import keras
import numpy as np

from transfusion_tf import errors

_BACKGROUND = 255
_TINY = 1e-12  # A filter of zeros is gray.


def conv1(model: keras.Model) -> np.ndarray:
  """Return the kernel [h, w, C, n] of a model's first convolution.

  Raises:
    InputError: The model has no convolution.
  """
  for layer in model.layers:
    if isinstance(layer, keras.layers.Conv2D):
      return np.asarray(layer.kernel)
  raise errors.InputError(f'{model.name} has no convolution whose filters show')


def grid(kernel: np.ndarray, columns: int = 0, zoom: int = 1) -> np.ndarray:
  """Return filters side by side; gray is zero.

  Each filter is scaled to its own largest weight, its colors together: the
  picture shows patterns, not magnitudes.

  Args:
    kernel: [h, w, C, n], C of 3 (red, green, blue) or 1.
    columns: Filters in a row; 0 makes the grid about square.
    zoom: Pixels along the side of a weight.

  Returns:
    uint8 [rows * (h zoom + 1) + 1, columns * (w zoom + 1) + 1, 3], with white
    lines between the filters.

  Raises:
    InputError: The kernel has neither 1 nor 3 input channels.
  """
  if kernel.ndim != 4 or kernel.shape[2] not in (1, 3):
    raise errors.InputError(
      f'a kernel of shape {kernel.shape} is no image: expected [h, w, 3, n]'
    )
  largest = np.abs(kernel).max(axis=(0, 1, 2))
  shades = np.round(127.5 + 127.5 * kernel / np.maximum(largest, _TINY))
  tiles = np.moveaxis(shades, -1, 0).repeat(zoom, axis=1).repeat(zoom, axis=2)
  count, height, width, _ = tiles.shape
  columns = columns or math.ceil(math.sqrt(count))
  rows = math.ceil(count / columns)
  image = np.full(
    (rows * (height + 1) + 1, columns * (width + 1) + 1, 3),
    _BACKGROUND,
    np.uint8,
  )
  for i, tile in enumerate(tiles):
    y, x = 1 + i // columns * (height + 1), 1 + i % columns * (width + 1)
    image[y : y + height, x : x + width] = tile
  return image
