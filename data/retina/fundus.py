"""Finding the disc of the fundus in a photograph, and cutting it out."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import filters
from skimage import measure

from data import images
from transfusion_tf.image_ops import rules


class Disc(NamedTuple):
  """A circle in pixels of the photograph."""

  x: float
  y: float
  radius: float


def find_disc(image: Image.Image) -> Disc | None:
  """Return the bright disc on a dark background, even if cut at an edge.

  The rim is where the largest bright region ends within the picture; a circle
  is fitted to it. A disc that fills the picture on all sides has no visible
  rim, so none is detected.
  """
  small = image.convert('RGB')
  side = rules.THUMBNAIL_SIDE
  small.thumbnail((side, side), Image.Resampling.BOX)
  brightness = np.asarray(small).max(axis=-1)
  brightness = ndimage.median_filter(brightness, rules.MEDIAN_SIDE)
  brightness = np.pad(brightness, 1, mode='edge')
  if np.ptp(brightness) < rules.MIN_CONTRAST:
    return None
  regions, _ = ndimage.label(brightness > _threshold(brightness))
  sizes = np.bincount(regions.ravel())[1:]
  disc = ndimage.binary_fill_holes(regions == 1 + sizes.argmax())
  rim = _rim(disc)
  if len(rim) < rules.MIN_RIM:
    return None
  circle = measure.CircleModel.from_estimate(rim)
  if not circle:
    return None
  # Notches and bright corners are off the circle: fit again without them.
  near = rules.is_near(circle.residuals(rim), circle.radius)
  circle = measure.CircleModel.from_estimate(rim[near])
  if not circle or not _plausible(circle, rim, disc.shape):
    return None
  factor = max(image.size) / max(small.size)
  y, x = (np.asarray(circle.center) - 0.5) * factor  # Less the pad, to centers.
  return Disc(x, y, circle.radius * factor)


def picture(data: bytes, size: int) -> Image.Image:
  """Return the square to store of a photograph's file."""
  return crop(images.load(data, rules.min_decoded_side(size)), size)


def note(image: Image.Image) -> str:
  """Return the one of `raw_dataset.NOTES` that a photograph calls for."""
  return '' if find_disc(image) else 'no fundus disc'


def crop(image: Image.Image, size: int) -> Image.Image:
  """Return the disc in a square of `size` pixels; black beyond the photo.

  A photograph whose disc cannot be found is kept whole, scaled to fit and
  centered on black. The aspect is kept in either case.
  """
  disc = find_disc(image)
  if disc is None:
    x, y, radius = image.width / 2, image.height / 2, max(image.size) / 2
  else:
    x, y, radius = disc
  left, top, side = round(x - radius), round(y - radius), round(2 * radius)
  square = image.crop((left, top, left + side, top + side))
  return images.scale(square, (size, size))


def _threshold(brightness):
  """Otsu's, lowered: the fundus darkens towards its rim."""
  bright = np.quantile(brightness, rules.BRIGHT_QUANTILE)
  return min(filters.threshold_otsu(brightness), rules.MIN_BRIGHTNESS * bright)


def _rim(disc):
  """Return the rim, [N, 2] (row, column), without the picture's edge."""
  inner = disc & ~ndimage.binary_erosion(disc, border_value=1)
  inside = (slice(rules.EDGE, -rules.EDGE),) * 2
  return np.argwhere(inner[inside]).astype(float) + rules.EDGE


def _plausible(circle, rim, shape):
  error = np.median(np.abs(circle.residuals(rim))) / circle.radius
  return rules.is_fundus(error, *circle.center, circle.radius, *shape)
