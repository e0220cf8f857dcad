"""Encoded JPEG and PNG -> upright 8-bit RGB, as preparing data reads them."""

import functools

import tensorflow as tf

from transfusion_tf.image_ops import orientation
from transfusion_tf.image_ops import rules

_PNG = b'\x89PNG\r\n\x1a\n'
_RATIOS = (1, 2, 4, 8)  # What a JPEG can be decoded at a fraction of.


def is_readable(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return whether the bytes begin as a JPEG or PNG."""
  return tf.io.is_jpeg(encoded) | _is_png(encoded)


def shape(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return int32 [2], (height, width) as stored; a damaged header fails."""
  return tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: tf.io.extract_jpeg_shape(encoded)[:2],
    lambda: tf.io.decode_raw(
      tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False
    )[::-1],
  )


def encode(image: 'tf.Tensor') -> 'tf.Tensor':
  """Encode uint8 [H, W, 3] as a JPEG, as preparing data stores it."""
  return tf.io.encode_jpeg(
    image, quality=rules.JPEG_QUALITY, chroma_downsampling=False
  )


def eight_bits(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return the file itself or, of a 16-bit gray PNG, an 8-bit one."""
  return tf.cond(
    _is_png(encoded) & _is_16bit(encoded),
    lambda: encode_lossless(_decode_png(encoded)),
    lambda: encoded,
  )


def encode_lossless(image: 'tf.Tensor') -> 'tf.Tensor':
  """Encode uint8 [H, W, 3] as a PNG."""
  return tf.io.encode_png(image, compression=0)  # Nor effort.


def decode(encoded: 'tf.Tensor', at_least: int = 0) -> 'tf.Tensor':
  """Return an encoded image, upright, as uint8 [H, W, 3].

  Args:
    encoded: A JPEG or PNG, gray or color; alpha is dropped. Gray of 16 bits
      is stretched from its darkest and brightest value to 0..255.
    at_least: If given, a JPEG is decoded at a half, quarter or eighth of its
      size if both sides stay at or above this.
  """
  return tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: _decode_jpeg(encoded, at_least),
    lambda: _decode_png(encoded),
  )


def _decode_jpeg(encoded, at_least):
  decoders = [
    # The method of Pillow; TensorFlow's own choice is faster and less exact.
    functools.partial(
      tf.io.decode_jpeg,
      encoded,
      channels=3,
      ratio=ratio,
      dct_method='INTEGER_ACCURATE',
    )
    for ratio in (_RATIOS if at_least else _RATIOS[:1])
  ]
  if at_least:
    times = tf.reduce_min(shape(encoded)) // at_least
    place = tf.reduce_sum(tf.cast(times >= _RATIOS[1:], tf.int32))
    image = tf.switch_case(place, decoders)
  else:
    image = decoders[0]()
  return orientation.upright(image, orientation.from_jpeg(encoded))


def _decode_png(encoded):
  return tf.cond(
    _is_16bit(encoded),
    lambda: _stretch(tf.io.decode_png(encoded, channels=1, dtype=tf.uint16)),
    lambda: tf.io.decode_png(encoded, channels=3),
  )


def _stretch(values):
  values = tf.cast(values, tf.float32)
  low, high = tf.reduce_min(values), tf.reduce_max(values)
  scaled = tf.round(
    (values - low) * (255 / tf.maximum(high - low, rules.MIN_RANGE))
  )
  return tf.repeat(tf.cast(scaled, tf.uint8), 3, axis=-1)


def _is_png(encoded):
  # `substr` fails if it starts beyond the end, not if it ends there.
  return tf.strings.substr(encoded, 0, len(_PNG)) == _PNG


def _is_16bit(encoded):
  """Return whether a PNG is gray (color type 0) of 16 bits."""
  return tf.strings.substr(encoded, 24, 2) == b'\x10\x00'
