"""CPU seconds of input: ours, its peer and its limit, side by side.

The peer is the plain chain of tf.image, the limit decoding alone. Images are
stored as preparing data stores them, at the side of the network's input. Ours,
on the host, is what training reads: the crop, as uint8; from a file, or in
later epochs from memory, for which the limit is nothing but to copy. Resize,
color and normalization are part of the step, on the accelerator; `finished`
adds them, as a machine without one has to. CPU time counts images whatever else
the machine does; ratios are of images a second.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import time

import numpy as np
import skimage.data
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf.image_ops import decode
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import image_reader
from transfusion_tf.input_pipeline import in_memory
from transfusion_tf.input_pipeline import tfds_folder

# Side -> images of a batch, and batches of a round.
_SIDES = {587: (8, 3), 224: (16, 6), 64: (64, 6)}
_ROUNDS = 20
_LIMIT, _PEER = 'decoding alone', 'plain tf.image chain'


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  for side, (batch_size, num_batches) in _SIDES.items():
    rates = _rates(side, batch_size, num_batches)
    for name, rate in rates.items():
      yield f'{side} px, {name}', rate, 'images/CPU-s'
    for name in tuple(rates)[2:]:
      for other in (_PEER, _LIMIT):
        yield f'{side} px, {name} / {other}', rates[name] / rates[other], 'x'


def _rates(side, batch_size, num_batches):
  """Return way -> images a CPU second, side by side."""
  data = dataclasses.replace(config.RETINA.data, image_size=side)
  reader = image_reader.ImageReader(data, stored_side=side)

  held = _held(side)

  def ours(encoded, uniforms):
    return reader.training(encoded, uniforms), uniforms

  def from_memory(encoded, uniforms):
    del encoded
    return reader.training(tf.constant(0, tf.int64), uniforms, held), uniforms

  @tf.function(autograph=False)
  def finish(images, uniforms):
    return augment.prepare(images, uniforms, data)

  ways = {
    _LIMIT: (_decode, None),
    _PEER: (_plain(data), None),
    'on the host': (ours, None),
    'finished': (ours, finish),
    'from memory, on the host': (from_memory, None),
    'from memory, finished': (from_memory, finish),
  }
  # One image after another: nothing is read ahead while another way is timed.
  batches = {
    name: iter(
      _images(side).map(read).batch(batch_size).with_options(_options())
    )
    for name, (read, _) in ways.items()
  }
  seconds: dict[str, list[float]] = {name: [] for name in ways}
  for _ in range(_ROUNDS):
    for name, (_, step) in ways.items():
      began = time.process_time()
      for batch in itertools.islice(batches[name], num_batches):
        if step:
          step(*batch)
      seconds[name].append(time.process_time() - began)
  # The least that it took: other programs on the same core only add to it.
  images = batch_size * num_batches
  return {name: images / min(taken) for name, taken in seconds.items()}


def _photograph(side):
  photograph = tf.image.resize(skimage.data.retina(), [side, side])
  return tf.cast(photograph, tf.uint8)


def _held(side):
  """Return how a window of the photograph is cut from memory."""
  pixels = tf.reshape(_photograph(side), [-1])
  index = tfds_folder.Index(np.array(['0']), np.array(['0']), {})
  starts, shapes = np.zeros(1, np.int64), np.full([1, 2], side, np.int32)
  return in_memory.Images(pixels, starts, shapes, index).cut


def _images(side):
  encoded = decode.encode(_photograph(side))
  numbers = tf.data.Dataset.range(np.iinfo(np.int64).max)
  return numbers.map(lambda n: (encoded, augment.augmentation_uniforms(0, n)))


def _options():
  """Return options under which a map computes only what is asked for."""
  options = tf.data.Options()
  options.autotune.enabled = False
  # By default, TensorFlow makes maps and batches parallel, which read ahead.
  options.experimental_optimization.apply_default_optimizations = False
  return options


def _decode(encoded, uniforms):
  del uniforms
  return tf.io.decode_jpeg(encoded, channels=3)


def _plain(data):
  strengths, size = data.augment, data.image_size
  side = round(size * strengths.crop)

  def read(encoded, uniforms):
    del uniforms
    image = tf.io.decode_jpeg(encoded, channels=3)
    image = tf.image.convert_image_dtype(image, tf.float32)
    image = tf.image.random_crop(image, [side, side, 3])
    image = tf.image.resize(image, [size, size])
    image = tf.image.random_flip_left_right(image)
    image = tf.image.random_flip_up_down(image)
    image = tf.image.random_hue(image, strengths.hue)
    image = tf.image.random_contrast(image, *strengths.contrast)
    image = tf.clip_by_value(image, 0, 1)
    return augment.normalize(image, data.normalization)

  return read
