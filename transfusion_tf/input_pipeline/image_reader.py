"""From an image file to the pixels that enter a run, on the host.

Of each image a window is decoded: in training a random one, in evaluation the
central one, both as `config.Data` has them. It is resized once. Where all
images are stored at the size of the network's input, the compiled step does
that (`augment`), on the accelerator, and the host does not resize at all.
Elsewhere the host resizes the window to the network's input, and the step does
not resize. A window that were resized twice would lose its finest details in
training alone.

S is the side of the network's input.
"""

from collections.abc import Callable
import dataclasses
import functools

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf.input_pipeline import augment

# Shape of an image -> top, left, height, width; both int32.
Window = Callable[['tf.Tensor'], 'tf.Tensor']
Cut = Callable[['tf.Tensor', Window], 'tf.Tensor']

# Windows that are tried before the whole image is taken, and the least share
# of the image that they cover, as in the public TPU ResNet recipe.
_MAX_ATTEMPTS = 10
_MIN_COVERED = 0.1


@dataclasses.dataclass(frozen=True)
class ImageReader:
  """Reads image files: JPEG, PNG, GIF or BMP; gray becomes three channels.

  Attributes:
    data: The size of the network's input, and the windows.
    stored_side: Side of the squares as which all images are stored; 0 if they
      are of several sizes.
  """

  data: config.Data
  stored_side: int = 0

  @property
  def training_side(self) -> int:
    """The side of what `training` returns."""
    crop = self.data.augment
    return self.data.image_size if crop.crop_area else self._side(crop.crop)

  @property
  def evaluation_side(self) -> int:
    """The side of what `evaluation` returns."""
    return self._side(self.data.eval_crop)

  def training(
    self, image: 'tf.Tensor', uniforms: 'tf.Tensor', cut: Cut | None = None
  ) -> 'tf.Tensor':
    """Read a random window: uint8 [C, C, 3].

    Args:
      image: The file's bytes, or what `cut` takes.
      uniforms: [NUM_UNIFORMS] numbers that place the window.
      cut: Maps an image and a window to its pixels; by default `decode`.
    """
    crop = self.data.augment
    if crop.crop_area:
      window = functools.partial(_area_window, crop=crop, uniforms=uniforms)
    else:
      window = functools.partial(
        _random_window, crop=crop.crop, uniforms=uniforms
      )
    return _resized((cut or decode)(image, window), self.training_side)

  def evaluation(
    self, image: 'tf.Tensor', cut: Cut | None = None
  ) -> 'tf.Tensor':
    """Read the central window: uint8 [C, C, 3], C is `evaluation_side`."""
    window = functools.partial(
      _central_window, crop=self.data.eval_crop, square=self.data.eval_square
    )
    return _resized((cut or decode)(image, window), self.evaluation_side)

  def _side(self, crop):
    size = self.data.image_size
    return round(size * crop) if self.stored_side == size else size


def decode(encoded: 'tf.Tensor', window: Window) -> 'tf.Tensor':
  """Decode a window of an image: uint8 [height, width, 3]."""
  return tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: _decode_jpeg(encoded, window),
    lambda: _decode_other(encoded, window),
  )


def _resized(image, side):
  """Resize an image if it is of another side."""
  image = tf.cond(
    tf.reduce_all(tf.shape(image)[:2] == side),
    lambda: image,
    lambda: _resize_uint8(image, side),
  )
  return tf.ensure_shape(image, [side, side, 3])


def _decode_jpeg(encoded, window):
  shape = tf.io.extract_jpeg_shape(encoded)
  return tf.io.decode_and_crop_jpeg(encoded, window(shape), channels=3)


def _decode_other(encoded, window):
  image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
  top, left, height, width = tf.unstack(window(tf.shape(image)))
  return image[top : top + height, left : left + width]


def _resize_uint8(image, side):
  # Antialiased: photographs are much larger than the network's input.
  resized = tf.image.resize(image, [side, side], antialias=True)
  return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


# Windows are int32 [4]: top, left, height, width; `shape` begins with the
# image's height and width.


def _random_window(shape, crop, uniforms):
  sides = tf.cast(shape[:2], tf.float32)
  kept = tf.round(sides * crop)
  corner = tf.floor(_position(uniforms) * (sides - kept + 1))
  return tf.cast(tf.concat([corner, kept], axis=0), tf.int32)


def _area_window(shape, crop, uniforms):
  corner, size, _ = tf.image.stateless_sample_distorted_bounding_box(
    tf.concat([shape[:2], [3]], axis=0),
    tf.zeros([1, 0, 4]),
    seed=tf.bitcast(_position(uniforms), tf.int32),
    min_object_covered=_MIN_COVERED,
    aspect_ratio_range=crop.crop_aspect,
    area_range=crop.crop_area,
    max_attempts=_MAX_ATTEMPTS,
    use_image_if_no_bounding_boxes=True,
  )
  return tf.concat([corner[:2], size[:2]], axis=0)


def _central_window(shape, crop, square):
  sides = tf.cast(shape[:2], tf.float32)
  whole = tf.fill([2], tf.reduce_min(sides)) if square else sides
  kept = tf.round(whole * crop)
  corner = tf.floor((sides - kept) / 2)
  return tf.cast(tf.concat([corner, kept], axis=0), tf.int32)


def _position(uniforms):
  return tf.stack([uniforms[augment.CROP_Y], uniforms[augment.CROP_X]])
