"""Encoded JPEG and PNG -> upright 8-bit RGB, as preparing data reads them."""

import functools

import tensorflow as tf

from transfusion_tf.image_ops import blocks
from transfusion_tf.image_ops import containers
from transfusion_tf.image_ops import orientation
from transfusion_tf.image_ops import rules

# Marker, length, name, version, two flags, and that colors are as they are.
_ADOBE = b'\xff\xee\0\x0eAdobe\0\x64' + b'\0' * 5
_RATIOS = (1, 2, 4, 8)  # What a JPEG can be decoded at a fraction of.


def is_readable(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return whether the bytes begin as a JPEG or PNG."""
  return tf.io.is_jpeg(encoded) | containers.is_png(encoded)


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


def plain(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return a file that TensorFlow's own decoders read as `decode` does.

  They take ink for its negative where Adobe does not say what the colors of a
  JPEG are, and shorten gray of 16 bits.
  """
  container = containers.scan(encoded)
  return tf.cond(
    containers.is_png(encoded) & _is_deep_gray(encoded),
    lambda: tf.io.encode_png(_decode_deep_gray(encoded), compression=0),
    lambda: _with_adobe(_whole(encoded, container), container),
  )


def upright(image: 'tf.Tensor', encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Turn the picture of a file as the file says."""
  container = containers.scan(encoded)
  return orientation.upright(image, orientation.find(encoded, container))


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
  container = containers.scan(encoded)
  whole = _whole(encoded, container)
  image = tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: _decode_jpeg(_with_adobe(whole, container), at_least),
    lambda: _decode_png(whole),
  )
  return orientation.upright(image, orientation.find(encoded, container))


def _whole(encoded, container):
  """Return the file; fails where it ends too early."""
  is_whole = tf.debugging.Assert(container.end > 0, ['the file is damaged'])
  with tf.control_dependencies([is_whole] if is_whole is not None else []):
    return tf.identity(encoded)


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
  if not at_least:
    return decoders[0]()
  times = tf.reduce_min(shape(encoded)) // at_least
  place = tf.reduce_sum(tf.cast(times >= _RATIOS[1:], tf.int32))
  return tf.switch_case(place, decoders)


def _with_adobe(encoded, container):
  """Return a JPEG of four channels with the segment that decoders go by."""

  is_bare = tf.io.is_jpeg(encoded) & (container.adobe == 0)
  return tf.cond(is_bare, lambda: _with_adobe_if_ink(encoded), lambda: encoded)


def _with_adobe_if_ink(encoded):
  is_ink = tf.io.extract_jpeg_shape(encoded)[2] == 4
  start, rest = (
    tf.strings.substr(encoded, 0, 2),
    tf.strings.substr(encoded, 2, tf.strings.length(encoded)),
  )
  return tf.cond(
    is_ink, lambda: tf.strings.join([start, _ADOBE, rest]), lambda: encoded
  )


def _decode_png(encoded):
  return tf.cond(
    _is_deep_gray(encoded),
    lambda: tf.repeat(_decode_deep_gray(encoded), 3, axis=-1),
    lambda: tf.io.decode_png(encoded, channels=3),
  )


def _decode_deep_gray(encoded):
  """Return uint8 [H, W, 1]."""
  values = tf.io.decode_png(encoded, channels=1, dtype=tf.uint16)
  low = tf.cast(tf.reduce_min(values), tf.float32)
  high = tf.cast(tf.reduce_max(values), tf.float32)
  scale = 255 / tf.maximum(high - low, rules.MIN_RANGE)

  def stretched(rows):
    rows = tf.round((tf.cast(rows, tf.float32) - low) * scale)
    return tf.cast(rows, tf.uint8)

  return blocks.map_rows(stretched, values, 4 * tf.shape(values)[1])


def _is_deep_gray(encoded):
  """Return whether a PNG is of 16 bits, and gray, maybe with alpha."""
  kind = tf.strings.substr(encoded, 24, 2)
  return (kind == b'\x10\x00') | (kind == b'\x10\x04')
