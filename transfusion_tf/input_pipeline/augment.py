"""The paper's preprocessing: crop, hue, contrast, flips, normalization.

Section 2 names these and no strengths; `config.Augment` holds ours. The work
is split where it is cheapest. On the host an image is decoded, in its crop
only, and stays uint8 (`decode`); all else is arithmetic on whole batches that
compiles into the step, on the accelerator (`augment`, `evaluate`).

Nothing here is random by itself: a row of uniform numbers an example
(`draws`), made from the run's seed and the example's place in the run,
decides everything, so that the same seed and step give the same batch.

B is the batch, C the side of the crop, S the side of the network's input.
"""

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors

# The columns of a row of draws.
_CROP_Y, _CROP_X, _LEFT_RIGHT, _UP_DOWN, _HUE, _CONTRAST, NUM_DRAWS = range(7)

# Paper, Section 2; [-1, 1], which Inception's published weights were trained
# on; and, for networks that normalise by themselves, [0, 1] and [0, 255].
_MEAN_AND_STDDEV = {
  'imagenet': (config.IMAGENET_MEAN, config.IMAGENET_STDDEV),
  'inception': ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
  'unit': ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
  'bytes': ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


def draws(seed: int, counter: 'tf.Tensor') -> 'tf.Tensor':
  """Return the [NUM_DRAWS] numbers in [0, 1) of example `counter`."""
  return tf.random.stateless_uniform(
    [NUM_DRAWS], seed=tf.stack([tf.cast(seed, tf.int64), counter])
  )


def decode(
  encoded: 'tf.Tensor',
  image_size: int,
  crop: float = 1.0,
  draw: 'tf.Tensor | None' = None,
) -> 'tf.Tensor':
  """Return an encoded image's crop: uint8 [C, C, 3] with C = round(S * crop).

  The crop keeps the share `crop` of height and of width. It is resized only
  if the image is not stored at S x S.

  Args:
    encoded: JPEG, PNG, GIF or BMP bytes; gray becomes three equal channels.
    image_size: S.
    crop: Share of each side that is kept.
    draw: [NUM_DRAWS] numbers that place the crop; not needed for `crop` 1.
  """
  size = round(image_size * crop)
  image = tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: _decode_jpeg(encoded, crop, draw),
    lambda: _decode_other(encoded, crop, draw),
  )
  image = tf.cond(
    tf.reduce_all(tf.shape(image)[:2] == size),
    lambda: image,
    lambda: _resize_uint8(image, size),
  )
  return tf.ensure_shape(image, [size, size, 3])


def augment(
  images: 'tf.Tensor',
  draw: 'tf.Tensor',
  image_size: int,
  strengths: config.Augment,
) -> 'tf.Tensor':
  """Augment crops: uint8 [B, C, C, 3] -> float32 [B, S, S, 3].

  Args:
    images: Crops made by `decode`.
    draw: [B, NUM_DRAWS] the examples' draws.
    image_size: S.
    strengths: The operations to apply and their strengths.
  """
  images = _to_unit(images, image_size)
  column = [d[:, None, None, None] for d in tf.unstack(draw, axis=1)]
  if strengths.flip_left_right:
    images = tf.where(column[_LEFT_RIGHT] < 0.5, images[:, :, ::-1], images)
  if strengths.flip_up_down:
    images = tf.where(column[_UP_DOWN] < 0.5, images[:, ::-1], images)
  if strengths.hue:
    images = turn_hue(images, (2 * column[_HUE] - 1) * strengths.hue)
  low, high = strengths.contrast
  if low != 1 or high != 1:
    factor = low + column[_CONTRAST] * (high - low)
    images = tf.clip_by_value(scale_contrast(images, factor), 0, 1)
  return images


def evaluate(images: 'tf.Tensor', image_size: int) -> 'tf.Tensor':
  """Resize and scale uint8 [B, C, C, 3] to float32 [B, S, S, 3] in [0, 1]."""
  return _to_unit(images, image_size)


def normalize(images: 'tf.Tensor', kind: str) -> 'tf.Tensor':
  """Normalize float32 [B, S, S, 3] in [0, 1] for the network."""
  if kind not in _MEAN_AND_STDDEV:
    raise errors.unknown('normalization', kind, _MEAN_AND_STDDEV)
  mean, stddev = _MEAN_AND_STDDEV[kind]
  return (images - tf.constant(mean)) / tf.constant(stddev)


def turn_hue(images: 'tf.Tensor', turn: 'tf.Tensor') -> 'tf.Tensor':
  """Rotate each image's hue, as tf.image.adjust_hue does for a single one.

  Args:
    images: [B, H, W, 3] in [0, 1].
    turn: [B, 1, 1, 1], fractions of the color circle.
  """
  hue, rest = tf.split(tf.image.rgb_to_hsv(images), [1, 2], axis=-1)
  hue = tf.math.floormod(hue + turn, 1.0)
  return tf.image.hsv_to_rgb(tf.concat([hue, rest], axis=-1))


def scale_contrast(images: 'tf.Tensor', factor: 'tf.Tensor') -> 'tf.Tensor':
  """Scale each channel about its mean in each image; factor [B, 1, 1, 1]."""
  mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
  return mean + (images - mean) * factor


def _decode_jpeg(encoded, crop, draw):
  window = _window(tf.io.extract_jpeg_shape(encoded), crop, draw)
  return tf.io.decode_and_crop_jpeg(encoded, window, channels=3)


def _decode_other(encoded, crop, draw):
  image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
  top, left, height, width = tf.unstack(_window(tf.shape(image), crop, draw))
  return image[top : top + height, left : left + width]


def _window(shape, crop, draw):
  """Return top, left, height and width of the crop."""
  sides = tf.cast(shape[:2], tf.float32)
  kept = tf.round(sides * crop)
  if draw is None:
    corner = tf.floor((sides - kept) / 2)
  else:
    places = tf.stack([draw[_CROP_Y], draw[_CROP_X]])
    corner = tf.floor(places * (sides - kept + 1))
  return tf.cast(tf.concat([corner, kept], axis=0), tf.int32)


def _resize_uint8(image, size):
  # Antialiased, because photographs arrive much larger than the network.
  resized = tf.image.resize(image, [size, size], antialias=True)
  return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def _to_unit(images, image_size):
  images = tf.cast(images, tf.float32) / 255
  if images.shape[1] == image_size:
    return images
  return tf.image.resize(images, [image_size, image_size])
