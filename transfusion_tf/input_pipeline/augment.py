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
from transfusion_tf.input_pipeline import color
from transfusion_tf.input_pipeline import normalization

# The columns of a row of uniforms.
CROP_Y, CROP_X, _LEFT_RIGHT, _UP_DOWN, _HUE, _CONTRAST, NUM_UNIFORMS = range(7)
_NO_CONTRAST = (1, 1)  # The least and the largest factor.


def augmentation_uniforms(seed: int, counter: 'tf.Tensor') -> 'tf.Tensor':
  """Return [NUM_UNIFORMS] numbers in [0, 1) for position `counter`."""
  return tf.random.stateless_uniform(
    [NUM_UNIFORMS], seed=tf.stack([tf.cast(seed, tf.int64), counter])
  )


def prepare(
  images: 'tf.Tensor',
  uniforms: 'tf.Tensor',
  data: config.Data,
  resize: bilinear.Resize = bilinear.native,
) -> 'tf.Tensor':
  """Augment and normalize crops: uint8 [B, C, C, 3] -> float32 [B, S, S, 3]."""
  return augment(
    images, uniforms, data.image_size, data.augment, resize, data.normalization
  )


def augment(
  images: 'tf.Tensor',
  uniforms: 'tf.Tensor',
  image_size: int,
  strengths: config.Augment,
  resize: bilinear.Resize = bilinear.native,
  kind: str = 'unit',
) -> 'tf.Tensor':
  """Augment crops: uint8 [B, C, C, 3] -> float32 [B, S, S, 3].

  XLA fuses the many operations on single pixels, on CPUs too, where that takes
  a tenth of the time. There, the resize would be a gather: it is not among
  them. Hue is a program of its own: the next one reads it twice, for the mean
  and for the contrast about it, and would compute it twice.

  Args:
    images: Crops made by `image_reader`.
    uniforms: [B, NUM_UNIFORMS] numbers of `augmentation_uniforms`.
    image_size: The side S of the network's input.
    strengths: The operations to apply and their strengths.
    resize: The form of the resize, of `bilinear`.
    kind: What `normalize` is told; by default it does nothing.
  """
  images = _fused(_flipped)(images, uniforms, strengths)
  images = _resized(images, image_size, resize)
  if not strengths.hue and strengths.contrast == _NO_CONTRAST:
    return _fused(_normalized)(images, kind)
  planes = _fused(_turned)(images, uniforms, strengths.hue)
  return _fused(_finished)(planes, uniforms, strengths.contrast, kind)


@functools.cache
def _fused(function):
  """Return a function as a program of its own, where XLA has this processor."""
  jit_compile = tpu_settings.has_host_xla()
  return tf.function(function, jit_compile=jit_compile, autograph=False)


def _flipped(images, uniforms, strengths):
  return _scaled(flip(images, uniforms, strengths))


def _turned(images, uniforms, hue):
  """Adjust the hue of [B, S, S, 3]: planes [B, S, S] of R, G and B."""
  planes = tf.unstack(images, axis=-1)
  if not hue:
    return planes
  turns = (2 * uniforms[:, _HUE, None, None] - 1) * hue
  return color.adjust_hue(planes, turns)


def _finished(planes, uniforms, contrast, kind):
  """Adjust the contrast of planes, and normalize them: [B, S, S, 3]."""
  if contrast != _NO_CONTRAST:
    low, high = contrast
    factor = low + uniforms[:, _CONTRAST, None, None] * (high - low)
    planes = [
      tf.clip_by_value(color.adjust_contrast(plane, factor), 0, 1)
      for plane in planes
    ]
  return _normalized_planes(planes, kind)


def _normalized(images, kind):
  return _normalized_planes(tf.unstack(images, axis=-1), kind)


def _normalized_planes(planes, kind):
  """Do as `normalize`, in half the time on a CPU: [B, S, S, 3]."""
  named = normalization.kind(kind)
  planes = [
    (plane - mean) / stddev
    for plane, mean, stddev in zip(
      planes, named.mean, named.stddev, strict=True
    )
  ]
  # Two thirds of the time of tf.stack(planes, axis=-1).
  stacked = tf.stack(planes[::-1] if named.bgr else planes)
  return tf.transpose(stacked, [1, 2, 3, 0])


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


def _column(uniforms, column):
  return uniforms[:, column, None, None, None]


def evaluate(
  images: 'tf.Tensor',
  image_size: int,
  resize: bilinear.Resize = bilinear.native,
) -> 'tf.Tensor':
  """Resize and scale uint8 [B, C, C, 3] to float32 [B, S, S, 3] in [0, 1]."""
  return _resized(_scaled(images), image_size, resize)


def _scaled(images):
  return tf.cast(images, tf.float32) / 255


def _resized(images, image_size, resize):
  side = images.shape[1]
  return images if side == image_size else resize(images, image_size)


def normalize(images: 'tf.Tensor', kind: str) -> 'tf.Tensor':
  """Normalize float32 [B, S, S, 3] in [0, 1] for the network."""
  named = normalization.kind(kind)
  images = (images - tf.constant(named.mean)) / tf.constant(named.stddev)
  return images[..., ::-1] if named.bgr else images
