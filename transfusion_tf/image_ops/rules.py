"""The numbers and formulas that decide a prepared image's pixels, stated once.

Images are prepared twice: `data/` does it with Pillow and SciPy when a data
set is built, an exported graph with TensorFlow's operations when it is
served. A worker process of `data/` starts in half a second because it does not
import TensorFlow, so nothing here does. The formulas take numbers, arrays and
tensors alike.
"""

from typing import Any

# Photographs have some 25 million pixels. A file that claims far more is
# broken or hostile: decoding it would fill the memory. TensorFlow decodes no
# JPEG of more bytes than this makes.
MAX_PIXELS = 2**29 // 3
# Of a JPEG that comes in several passes: decoders hold the coefficients of the
# whole picture, up to 8 bytes a pixel, beside the picture itself.
MAX_PIXELS_IN_PASSES = MAX_PIXELS // 4
MAX_SIDE = 65_535  # Pixels; that of the JPEG standard.
MAX_BYTES = 2**28  # Of a JPEG or PNG file.
MAX_STORED_SIDE = 65_500  # Of a JPEG that libjpeg writes.
# Of a file that are walked through to its pixels; those of libpng have 8 KiB.
MAX_SEGMENTS = 40_000
MAX_METADATA = 1 << 16  # Bytes; a segment of a JPEG has no more.
# In XMP, as Pillow finds it; the digit is the group.
ORIENTATION_IN_XMP = r'tiff:Orientation(?:="|>)([0-9])'
# Bytes of pixels that are worked on at once, where a step needs several times
# as much memory as the pixels themselves.
BLOCK = 1 << 24
JPEG_QUALITY = 95  # Of stored images, whose colors have full resolution.
MIN_RANGE = 1e-6  # Of gray values that are stretched: no division by zero.

# Gray levels, of a standard deviation or between colors: with less, an image is
# blank, or without color.
MIN_SEEN = 2.0

# Finding the disc of the fundus.
THUMBNAIL_SIDE = 256  # It is sought on a small copy; this is its longer side.
MEDIAN_SIDE = 5  # Of the window of the filter that removes noise.
MIN_CONTRAST = 16  # Below it, all is dark or all is bright.
BRIGHT_QUANTILE = 0.95  # Of the light: the bright part of the fundus.
MIN_BRIGHTNESS = 0.3  # Of the rim, as a share of the bright part's.
EDGE = 2  # Pixels at the picture's edge that are no rim.
MIN_RIM = 20  # Pixels.
_MAX_ERROR = 0.05  # The fit is believed if the rim lies so close; in radii.
# The disc spans at least this share of the shorter side in any real camera,
_MIN_DIAMETER = 0.4
_MAX_DIAMETER = 1.5  # and at most this share of the longer one.


def is_too_large(height: Any, width: Any) -> Any:
  """Return whether a picture is not decoded."""
  return (
    (height * width > MAX_PIXELS) | (height > MAX_SIDE) | (width > MAX_SIDE)
  )


def is_too_large_in_passes(height: Any, width: Any) -> Any:
  """Return whether a JPEG in several passes is not decoded."""
  return height * width > MAX_PIXELS_IN_PASSES


def min_decoded_side(side: int) -> int:
  """Return how small a JPEG may be decoded that is to be scaled to `side`."""
  return 2 * side


def is_height_first(
  width: Any, height: Any, new_width: Any, new_height: Any
) -> Any:
  """Return whether a picture is scaled along its height before its width.

  Pillow begins with the width. Where that grows and the height shrinks, the
  picture in between would be larger than both.
  """
  return (new_width > width) & (new_height < height)


def is_near(residuals: Any, radius: Any) -> Any:
  """Return which points of the rim are no notches or bright corners.

  Args:
    residuals: Distances of the points from a circle.
    radius: Radius of the circle.
  """
  return abs(residuals) < 2 * _MAX_ERROR * radius


def is_fundus(
  error: Any, y: Any, x: Any, radius: Any, height: Any, width: Any
) -> Any:
  """Return whether a circle fits well and is of a fundus' size and place.

  Args:
    error: Median distance of the rim from the circle, in radii.
    y: Row of the center.
    x: Column of the center.
    radius: In pixels.
    height: Height of the picture.
    width: Width of the picture.
  """
  diameter = 2 * radius
  return (
    (error < _MAX_ERROR)
    & ((y > 0) & (y < height))
    & ((x > 0) & (x < width))
    # Above a share of the shorter side: of either side.
    & ((diameter > _MIN_DIAMETER * height) | (diameter > _MIN_DIAMETER * width))
    & ((diameter < _MAX_DIAMETER * height) | (diameter < _MAX_DIAMETER * width))
  )
