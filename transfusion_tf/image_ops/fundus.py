"""The disc of a fundus photograph, found and cut out, as preparing data does.

The rule stands in `data/retina/fundus.py`, on Pillow, SciPy and scikit-image;
the tests hold this graph to it, pixel by pixel.
"""

from typing import NamedTuple

import tensorflow as tf

from transfusion_tf.image_ops import connected_components
from transfusion_tf.image_ops import resize
from transfusion_tf.image_ops import rules


class Disc(NamedTuple):
  """A circle, in pixels; float64.

  Attributes:
    center: [2], y and x.
    radius: [].
  """

  center: 'tf.Tensor'
  radius: 'tf.Tensor'


def crop(image: 'tf.Tensor', side: int) -> 'tf.Tensor':
  """Cut the disc out of uint8 [H, W, 3]: [side, side, 3], which it fills.

  Black where the photograph ends. If no disc is found, the photograph is kept
  whole, scaled to fit and centered on black.
  """
  is_fundus, disc = find_disc(image)
  return tf.cond(
    is_fundus,
    lambda: _cut(image, disc, side),
    lambda: _fit_in(image, side),
  )


def _cut(image, disc, side):
  start = tf.cast(tf.round(disc.center - disc.radius), tf.int32)
  length = tf.cast(tf.round(2 * disc.radius), tf.int32)
  return resize.lanczos_square(image, start, length, side)


def _fit_in(image, side):
  """Return the whole photograph, scaled and centered on black."""
  shape = tf.shape(image)[:2]
  exact = side * shape / tf.reduce_max(shape)
  size = tf.maximum(tf.cast(tf.round(exact), tf.int32), 1)
  before = (side - size) // 2
  borders = tf.stack([before, side - size - before], axis=1)
  scaled = resize.lanczos(image, size[0], size[1])
  return tf.pad(scaled, tf.concat([borders, [[0, 0]]], axis=0))


def find_disc(image: 'tf.Tensor') -> tuple['tf.Tensor', Disc]:
  """Return whether there is a bright disc on a dark background, and the disc.

  Args:
    image: uint8 [H, W, 3].
  """
  small = resize.thumbnail(image, rules.THUMBNAIL_SIDE)
  brightness = _median(tf.reduce_max(small, axis=-1))
  brightness = tf.pad(brightness, [[1, 1], [1, 1]], 'SYMMETRIC')
  bright = connected_components.largest_component(
    tf.cast(brightness, tf.float64) > _threshold(brightness)
  )
  rim = _rim(connected_components.fill_holes(bright))
  contrast = tf.reduce_max(brightness) - tf.reduce_min(brightness)
  is_fundus, disc = tf.cond(
    (contrast >= rules.MIN_CONTRAST) & (tf.shape(rim)[0] >= rules.MIN_RIM),
    lambda: _fit(rim, tf.cast(tf.shape(brightness), tf.float64)),
    lambda: (False, _circle(rim)),
  )
  factor = tf.reduce_max(tf.shape(image)) / tf.reduce_max(tf.shape(small))
  # Less the border of one, to centers.
  return is_fundus, Disc((disc.center - 0.5) * factor, disc.radius * factor)


def _median(brightness):
  """Filter uint8 [H, W]; the border is mirrored."""
  side = rules.MEDIAN_SIDE
  height, width = tf.unstack(tf.shape(brightness))
  around = tf.gather(brightness, _mirrored(height))
  around = tf.gather(around, _mirrored(width), axis=1)
  windows = tf.stack(
    [
      around[y : y + height, x : x + width]
      for y in range(side)
      for x in range(side)
    ]
  )
  # The largest value that more than half reach, found bit by bit.
  median = tf.zeros_like(brightness)
  for bit in (128, 64, 32, 16, 8, 4, 2, 1):
    reach = tf.cast(windows >= median + bit, tf.uint8)
    enough = tf.reduce_sum(reach, axis=0) > side**2 // 2
    median = tf.where(enough, median + bit, median)
  return median


def _mirrored(length):
  """Return places of a line, some more at either end reflecting it."""
  more = rules.MEDIAN_SIDE // 2
  places = tf.math.floormod(tf.range(-more, length + more), 2 * length)
  return tf.minimum(places, 2 * length - 1 - places)


def _threshold(brightness):
  """Otsu's, lowered: the fundus darkens towards its rim."""
  brightness = tf.reshape(brightness, [-1])
  counts = tf.math.bincount(tf.cast(brightness, tf.int32), minlength=256)
  counts = tf.cast(counts, tf.float64)
  moments = counts * tf.range(256, dtype=tf.float64)
  below, above = tf.cumsum(counts)[:-1], tf.cumsum(counts, reverse=True)[1:]
  gap = tf.math.divide_no_nan(
    tf.cumsum(moments)[:-1], below
  ) - tf.math.divide_no_nan(tf.cumsum(moments, reverse=True)[1:], above)
  otsu = tf.cast(tf.argmax(below * above * gap**2), tf.float64)
  bright = _quantile(tf.cast(brightness, tf.float64), rules.BRIGHT_QUANTILE)
  return tf.minimum(otsu, rules.MIN_BRIGHTNESS * bright)


def _quantile(values, fraction):
  values = tf.sort(values)
  place = tf.cast(tf.size(values) - 1, tf.float64) * fraction
  below = tf.cast(tf.floor(place), tf.int32)
  above = tf.minimum(below + 1, tf.size(values) - 1)
  part = place - tf.floor(place)
  return values[below] + part * (values[above] - values[below])


def _rim(disc):
  """Return the rim, float64 [N, 2] (y, x), without the picture's edge."""
  inside = (slice(rules.EDGE, -rules.EDGE),) * 2
  rim = tf.where(connected_components.inner_boundary(disc)[inside])
  return tf.cast(rim + rules.EDGE, tf.float64)


def _fit(rim, shape):
  """Return whether the rim is a circle of a possible fundus, and the circle."""
  disc = _circle(rim)
  # Notches and bright corners are off the circle: fit again without them.
  near = rules.is_near(_residuals(disc, rim), disc.radius)
  disc = _circle(tf.boolean_mask(rim, near))
  return _plausible(disc, rim, shape), disc


def _circle(points):
  """Return the circle of the least algebraic error; NaN if there is none.

  About the mean of the points p, its center c solves
  2 sum(p pT) c = sum(p |p|²).
  """
  origin = tf.reduce_mean(points, axis=0)
  p = points - origin
  products = tf.matmul(p, p, transpose_a=True)
  yy, yx, xx = products[0, 0], products[0, 1], products[1, 1]
  determinant = 2 * (yy * xx - yx**2)
  b = tf.linalg.matvec(p, tf.reduce_sum(p**2, axis=1), transpose_a=True)
  center = tf.stack([xx * b[0] - yx * b[1], yy * b[1] - yx * b[0]])
  center /= determinant
  radius = tf.sqrt(tf.reduce_mean(tf.reduce_sum((p - center) ** 2, axis=1)))
  return Disc(center + origin, radius)


def _residuals(disc, points):
  return disc.radius - tf.norm(points - disc.center, axis=1)


def _plausible(disc, rim, shape):
  """Return whether the circle is one that a fundus may have."""
  error = _quantile(tf.abs(_residuals(disc, rim)), 0.5) / disc.radius
  return rules.is_fundus(
    error, *tf.unstack(disc.center), disc.radius, *tf.unstack(shape)
  )
