"""Finding the disc of the fundus in a photograph, and cutting it out."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import filters
from skimage import measure

from data import images

_SIDE = 256  # Finding works on a small copy, with this as its longer side.
# The disc spans at least this share of the shorter side in any real camera.
_MIN_DIAMETER = 0.4
# The fit is believed if the rim lies this close to it, in radii.
_MAX_ERROR = 0.05


class Disc(NamedTuple):
  """A circle in pixels of the photograph."""

  x: float
  y: float
  radius: float


def find_disc(image: Image.Image) -> Disc | None:
  """The bright disc on dark ground; its top and bottom may be cut off.

  The rim is where the largest bright region ends within the picture; a circle
  is fitted to it. The rim of a disc that fills the picture on all sides is not
  to be seen: there is none to find.
  """
  small = image.convert('RGB')
  small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
  light = np.asarray(small).max(axis=-1)
  light = np.pad(ndimage.median_filter(light, 5), 1, mode='edge')
  if np.ptp(light) < 16:  # All dark, or all bright.
    return None
  regions, _ = ndimage.label(light > _threshold(light))
  sizes = np.bincount(regions.ravel())[1:]
  disc = ndimage.binary_fill_holes(regions == 1 + sizes.argmax())
  rim = _rim(disc)
  if len(rim) < 20:
    return None
  circle = measure.CircleModel.from_estimate(rim)
  if not circle:
    return None
  # Notches and bright corners are off the circle: fit again without them.
  near = np.abs(circle.residuals(rim)) < 2 * _MAX_ERROR * circle.radius
  circle = measure.CircleModel.from_estimate(rim[near])
  if not circle or not _plausible(circle, rim, disc.shape):
    return None
  factor = max(image.size) / max(small.size)
  y, x = (np.asarray(circle.center) - 0.5) * factor  # Less the pad, to centres.
  return Disc(x, y, circle.radius * factor)


def picture(data: bytes, size: int) -> Image.Image:
  """The square to store of a photograph's file."""
  return crop(images.load(data, at_least=2 * size), size)


def note(image: Image.Image) -> str:
  """The note of `listing.NOTES` that a photograph calls for, or none."""
  return '' if find_disc(image) else 'no fundus disc'


def crop(image: Image.Image, size: int) -> Image.Image:
  """The disc, filling a square of `size` pixels; black where the photo ends.

  A photograph whose disc cannot be found is kept whole, scaled to fit and
  centred on black. The aspect is kept in either case.
  """
  disc = find_disc(image)
  if disc is None:
    x, y, reach = image.width / 2, image.height / 2, max(image.size) / 2
  else:
    x, y, reach = disc
  left, top, side = round(x - reach), round(y - reach), round(2 * reach)
  square = image.crop((left, top, left + side, top + side))
  return images.scale(square, (size, size))


def _threshold(light):
  """Otsu's, lowered: the fundus darkens towards its rim."""
  return min(filters.threshold_otsu(light), 0.3 * np.percentile(light, 95))


def _rim(disc):
  """[N, 2] (row, column) where the region ends, short of the picture's edge."""
  inner = disc & ~ndimage.binary_erosion(disc, border_value=1)
  inner[[0, 1, -2, -1]] = False
  inner[:, [0, 1, -2, -1]] = False
  return np.argwhere(inner).astype(float)


def _plausible(circle, rim, shape):
  error = np.median(np.abs(circle.residuals(rim))) / circle.radius
  centred = all(
    0 < at < side for at, side in zip(circle.center, shape, strict=True)
  )
  large = 2 * circle.radius > _MIN_DIAMETER * min(shape)
  small = 2 * circle.radius < 1.5 * max(shape)
  return error < _MAX_ERROR and centred and large and small
