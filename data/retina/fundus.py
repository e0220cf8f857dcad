"""Finding the disc of the fundus in a photograph, and cutting it out."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import filters
from skimage import measure

from data import images
from data import pixels
from data import places
from transfusion_tf.image_ops import rules

# Width / height, from which a photograph may show two eyes; a camera's has 1.5.
_TWO_EYES = 1.7


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
  brightness = np.pad(median(brightness), 1, mode='edge')
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


def median(brightness: np.ndarray) -> np.ndarray:
  """Filter uint8 [H, W] as `ndimage.median_filter`, in a sixth of its time.

  The median is the largest value that more than half of a window reach; it is
  found bit by bit, for all windows at once.
  """
  side = rules.MEDIAN_SIDE
  height, width = brightness.shape
  around = np.pad(brightness, side // 2, mode='symmetric')
  neighbors = [
    np.ascontiguousarray(around[y : y + height, x : x + width])
    for y in range(side)
    for x in range(side)
  ]
  result = np.zeros_like(brightness)
  for bit in np.uint8(1) << np.arange(8, dtype=np.uint8)[::-1]:
    candidate = result + bit
    reach = np.zeros_like(brightness)
    for neighbor in neighbors:
      reach += neighbor >= candidate
    result = np.where(reach > side**2 // 2, candidate, result)
  return result


def picture(data: places.Raw, size: int) -> Image.Image:
  """Return the square to store of a photograph's file."""
  return crop(images.load(data, rules.min_decoded_side(size)), size)


def note(image: Image.Image) -> str:
  """Return the one of `raw_dataset.NOTES` that a photograph calls for."""
  if _has_two_eyes(image):
    return 'two eyes in a photograph'
  return '' if find_disc(image) else 'no fundus disc'


def _has_two_eyes(image):
  """Return whether two discs lie side by side, of which one would be stored."""
  width, height = image.size
  if width < _TWO_EYES * height:
    return False
  left = find_disc(image.crop((0, 0, width // 2, height)))
  right = find_disc(image.crop((width - width // 2, 0, width, height)))
  if not left or not right:
    return False
  apart = width - width // 2 + right.x - left.x  # One disc has one center.
  return apart > 0.8 * (left.radius + right.radius)


def crop(image: Image.Image, size: int) -> Image.Image:
  """Return the disc in a square of `size` pixels; black beyond the photo.

  A photograph whose disc cannot be found is kept whole, scaled to fit and
  centered on black. The aspect is kept in either case.
  """
  disc = find_disc(image)
  if disc is None:
    return _fit(image, size)
  left, top = round(disc.x - disc.radius), round(disc.y - disc.radius)
  return _scale_square(image, left, top, round(2 * disc.radius), size)


def _fit(image, size):
  """Return the whole photograph, scaled and centered on black."""
  longer = max(image.size)
  width, height = (max(round(size * side / longer), 1) for side in image.size)
  square = Image.new(image.mode, (size, size))
  square.paste(
    images.scale(image, (width, height)),
    ((size - width) // 2, (size - height) // 2),
  )
  return square


def _scale_square(image, left, top, side, size):
  """Return a square of a photograph, black beyond it, at another side.

  A square about a long and narrow photograph has many times its pixels: rows
  are scaled block by block, and columns when the rows are short.
  """
  first, last = (min(max(y, 0), image.height) for y in (top, top + side))
  narrow = Image.new(image.mode, (size, side))
  for rows in pixels.blocks(last - first, 4 * side):
    box = (left, first + rows.start, left + side, first + rows.stop)
    block = images.scale(image.crop(box), (size, rows.stop - rows.start))
    narrow.paste(block, (0, first + rows.start - top))
  return images.scale(narrow, (size, size))


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
