"""Images a second at 587 px: ours, tf.image's plain chain, decoding alone.

Ours is what the host does in training: decode in the crop, as uint8. Color
and normalization run inside the compiled step, on the accelerator; `with
color` adds them here, as a machine without one has to.
"""

from collections.abc import Iterator
import statistics
import time

import numpy as np
import skimage.data
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import image_reader

_SIZE, _BATCH = config.RETINA.data.image_size, config.RETINA.train.batch_size
_AUGMENT = config.RETINA.data.augment
_READER = image_reader.ImageReader(config.RETINA.data, stored_side=_SIZE)
_BATCHES, _ROUNDS = 24, 3


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  ways = {
    'decoding alone': (_decode, None),
    'plain tf.image chain': (_plain, None),
    'ours, on the host': (_ours, None),
    'ours, with color': (_ours, _color),
  }
  rates: dict[str, list[float]] = {name: [] for name in ways}
  for _ in range(_ROUNDS):
    for name, (read, step) in ways.items():
      rates[name].append(_rate(read, step))
  median = {name: statistics.median(r) for name, r in rates.items()}
  for name, rate in median.items():
    yield name, rate, 'images/s'
  ours, plain = median['ours, on the host'], median['plain tf.image chain']
  yield 'ours / plain chain', ours / plain, 'x'
  yield 'ours / decoding alone', ours / median['decoding alone'], 'x'
  whole = median['ours, with color']
  yield 'ours, with color / plain chain', whole / plain, 'x'


def _images():
  photograph = tf.image.resize(skimage.data.retina(), [_SIZE, _SIZE])
  encoded = tf.io.encode_jpeg(tf.cast(photograph, tf.uint8), quality=95)
  numbers = tf.data.Dataset.range(np.iinfo(np.int64).max)
  return numbers.map(lambda n: (encoded, augment.augmentation_uniforms(0, n)))


def _decode(encoded, uniforms):
  del uniforms
  return tf.io.decode_jpeg(encoded, channels=3)


def _ours(encoded, uniforms):
  return _READER.training(encoded, uniforms), uniforms


@tf.function(jit_compile=True)
def _color(images, uniforms):
  images = augment.augment(images, uniforms, _SIZE, _AUGMENT)
  return augment.normalize(images, 'imagenet')


def _plain(encoded, uniforms):
  del uniforms
  side = round(_SIZE * _AUGMENT.crop)
  image = tf.io.decode_jpeg(encoded, channels=3)
  image = tf.image.convert_image_dtype(image, tf.float32)
  image = tf.image.random_crop(image, [side, side, 3])
  image = tf.image.resize(image, [_SIZE, _SIZE])
  image = tf.image.random_flip_left_right(image)
  image = tf.image.random_flip_up_down(image)
  image = tf.image.random_hue(image, _AUGMENT.hue)
  image = tf.image.random_contrast(image, *_AUGMENT.contrast)
  return augment.normalize(tf.clip_by_value(image, 0, 1), 'imagenet')


def _rate(read, step):
  """Return images per second through a map of the data set, and a step."""
  dataset = _images().map(read, tf.data.AUTOTUNE).batch(_BATCH)
  batches = iter(dataset.prefetch(tf.data.AUTOTUNE))

  def run(number):
    for _ in range(number):
      batch = next(batches)
      if step:
        step(*batch)

  run(_BATCHES // 4)
  began = time.monotonic()
  run(_BATCHES)
  return _BATCHES * _BATCH / (time.monotonic() - began)
