"""The paper's preprocessing: crop, hue, contrast, flips, normalization.

Appendix A names these but gives no strengths; see `config.Augment` for ours.
The work is split where it is cheapest. The host decodes an image, in its crop
only, and keeps it as uint8 (`image_reader`); the rest is arithmetic on whole
batches that compiles into the step, on the accelerator (`augment`, `evaluate`).

Nothing here is random by itself: each example has a row of uniform numbers
(`augmentation_uniforms`), a function of the run's seed and the example's
position in the run, so that the same seed and step give the same batch.

B is the batch, C the side of the crop, S the side of the network's input.
"""

import functools

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import tpu_settings
from transfusion_tf.image_ops import bilinear
from transfusion_tf.input_pipeline import normalization

# The columns of a row of uniforms.
CROP_Y, CROP_X, _LEFT_RIGHT, _UP_DOWN, _HUE, _CONTRAST, NUM_UNIFORMS = range(7)


def augmentation_uniforms(seed: int, counter: 'tf.Tensor') -> 'tf.Tensor':
  """Return [NUM_UNIFORMS] numbers in [0, 1) for position `counter`."""
  return tf.random.stateless_uniform(
    [NUM_UNIFORMS], seed=tf.stack([tf.cast(seed, tf.int64), counter])
  )


def augment(
  images: 'tf.Tensor',
  uniforms: 'tf.Tensor',
  image_size: int,
  strengths: config.Augment,
  resize: bilinear.Resize = bilinear.native,
) -> 'tf.Tensor':
  """Augment crops: uint8 [B, C, C, 3] -> float32 [B, S, S, 3].

  Args:
    images: Crops made by `image_reader`.
    uniforms: [B, NUM_UNIFORMS] numbers of `augmentation_uniforms`.
    image_size: The side S of the network's input.
    strengths: The operations to apply and their strengths.
    resize: The form of the resize, of `bilinear`.
  """
  images = flip(images, uniforms, strengths)
  images = evaluate(images, image_size, resize)
  return adjust_color(images, uniforms, strengths)


def prepare(
  images: 'tf.Tensor',
  uniforms: 'tf.Tensor',
  data: config.Data,
  resize: bilinear.Resize = bilinear.native,
) -> 'tf.Tensor':
  """Augment and normalize crops: uint8 [B, C, C, 3] -> float32 [B, S, S, 3].

  XLA fuses the many operations on single pixels, on CPUs too, where that takes
  a fourteenth of the time. The resize is not among them: there it would be a
  gather. Neither are flips, which slow down all that they are fused with.
  """
  images = _fused(flip)(images, uniforms, data.augment)
  images = evaluate(images, data.image_size, resize)
  return _fused(_finish)(images, uniforms, data.augment, data.normalization)


@functools.cache
def _fused(function):
  """Return a function as a program of its own, where XLA has this processor."""
  jit_compile = tpu_settings.has_host_xla()
  return tf.function(function, jit_compile=jit_compile, autograph=False)


def _finish(images, uniforms, strengths, normalization):
  return normalize(adjust_color(images, uniforms, strengths), normalization)


def flip(
  images: 'tf.Tensor', uniforms: 'tf.Tensor', strengths: config.Augment
) -> 'tf.Tensor':
  """Mirror half of the images [B, C, C, 3] of any type, on each axis."""
  if strengths.flip_left_right:
    mirrored = _column(uniforms, _LEFT_RIGHT) < 0.5
    images = tf.where(mirrored, images[:, :, ::-1], images)
  if strengths.flip_up_down:
    mirrored = _column(uniforms, _UP_DOWN) < 0.5
    images = tf.where(mirrored, images[:, ::-1], images)
  return images


def adjust_color(
  images: 'tf.Tensor', uniforms: 'tf.Tensor', strengths: config.Augment
) -> 'tf.Tensor':
  """Change hue and contrast of float32 [B, S, S, 3] in [0, 1]."""
  if strengths.hue:
    delta = (2 * _column(uniforms, _HUE) - 1) * strengths.hue
    images = adjust_hue(images, delta)
  low, high = strengths.contrast
  if low != 1 or high != 1:
    factor = low + _column(uniforms, _CONTRAST) * (high - low)
    images = tf.clip_by_value(adjust_contrast(images, factor), 0, 1)
  return images


def _column(uniforms, column):
  return uniforms[:, column, None, None, None]


def evaluate(
  images: 'tf.Tensor',
  image_size: int,
  resize: bilinear.Resize = bilinear.native,
) -> 'tf.Tensor':
  """Resize and scale uint8 [B, C, C, 3] to float32 [B, S, S, 3] in [0, 1]."""
  images = tf.cast(images, tf.float32) / 255
  if images.shape[1] == image_size:
    return images
  return resize(images, image_size)


def normalize(images: 'tf.Tensor', kind: str) -> 'tf.Tensor':
  """Normalize float32 [B, S, S, 3] in [0, 1] for the network."""
  named = normalization.kind(kind)
  images = (images - tf.constant(named.mean)) / tf.constant(named.stddev)
  return images[..., ::-1] if named.bgr else images


def adjust_hue(images: 'tf.Tensor', delta: 'tf.Tensor') -> 'tf.Tensor':
  """Rotate each image's hue, as tf.image.adjust_hue does for a single one.

  Args:
    images: [B, H, W, 3] in [0, 1].
    delta: [B, 1, 1, 1], fractions of the color circle.
  """
  hue, rest = tf.split(tf.image.rgb_to_hsv(images), [1, 2], axis=-1)
  hue = tf.math.floormod(hue + delta, 1.0)
  return tf.image.hsv_to_rgb(tf.concat([hue, rest], axis=-1))


def adjust_contrast(images: 'tf.Tensor', factor: 'tf.Tensor') -> 'tf.Tensor':
  """Scale each channel about its mean in each image; factor [B, 1, 1, 1]."""
  mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
  return mean + (images - mean) * factor
