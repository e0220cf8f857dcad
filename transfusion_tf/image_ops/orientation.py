"""Which way up a photograph is: what cameras write into Exif, others into XMP.

Exif 2.32 (CIPA DC-008), Section 4.5 and tag 0x0112.
"""

import tensorflow as tf

from transfusion_tf.image_ops import containers
from transfusion_tf.image_ops import rules

UPRIGHT = 1
_NONE = -1
_TAG, _SHORT, _LONG = 0x0112, 3, 4  # The tag, and the types that it may have.
_LITTLE_ENDIAN, _BIG_ENDIAN, _TIFF = 0x4949, 0x4D4D, 42  # "II", "MM".


def find(encoded: 'tf.Tensor', container: containers.Container) -> 'tf.Tensor':
  """Return the orientation of a JPEG or PNG, int64, 1 to 8; 1 is upright.

  Args:
    encoded: The file's bytes.
    container: The result of `containers.scan`.
  """
  exif = _metadata(encoded, container.exif, container.exif_end)
  xmp = _metadata(encoded, container.xmp, container.xmp_end)
  value = tf.cond(
    tf.strings.length(exif) > 0,
    lambda: _from_exif(exif),
    lambda: tf.constant(_NONE, tf.int64),
  )
  value = tf.where(value == _NONE, _from_xmp(xmp), value)
  return tf.where((value >= 1) & (value <= 8), value, UPRIGHT)


def upright(image: 'tf.Tensor', orientation: 'tf.Tensor') -> 'tf.Tensor':
  """Turn and mirror an image [H, W, C] of an `orientation`."""

  def transposed():
    return tf.transpose(image, [1, 0, 2])

  return tf.switch_case(
    tf.cast(orientation, tf.int32) - 1,
    [
      lambda: image,
      lambda: image[:, ::-1],
      lambda: image[::-1, ::-1],
      lambda: image[::-1],
      transposed,
      lambda: transposed()[:, ::-1],
      lambda: transposed()[::-1, ::-1],
      lambda: transposed()[::-1],
    ],
  )


def _metadata(encoded, start, end):
  """Return the bytes, at most a segment's; none if they are nowhere."""
  return containers.piece(
    encoded, start, tf.clip_by_value(end - start, 0, rules.MAX_METADATA)
  )


def _from_exif(exif):
  """Return the value of the tag in the first directory, or _NONE.

  What lies beyond the end reads as zeros.
  """
  content = tf.cast(tf.io.decode_raw(exif, tf.uint8), tf.int64)
  content = tf.concat([content, [0]], axis=0)
  size = tf.size(content, tf.int64)

  def byte(place):
    return tf.gather(content, tf.minimum(tf.cast(place, tf.int64), size - 1))

  order = 256 * byte(0) + byte(1)

  def short(at):
    first, second = byte(at), byte(at + 1)
    is_little = order == _LITTLE_ENDIAN
    return tf.where(is_little, first + 256 * second, 256 * first + second)

  def long(at):
    first, second = short(at), short(at + 2)
    is_little = order == _LITTLE_ENDIAN
    return tf.where(is_little, first + 65536 * second, 65536 * first + second)

  directory = long(4)
  last = tf.minimum(directory + 2 + 12 * short(directory), size - 1)
  entries = tf.range(directory + 2, tf.maximum(last, directory + 2), 12)
  kinds = short(entries + 2)
  is_tag = (short(entries) == _TAG) & ((kinds == _SHORT) | (kinds == _LONG))
  values = tf.where(kinds == _SHORT, short(entries + 8), long(entries + 8))
  # The first one, and after it what there is without any.
  values = tf.concat([tf.boolean_mask(values, is_tag), [_NONE]], axis=0)
  is_order = (order == _LITTLE_ENDIAN) | (order == _BIG_ENDIAN)
  is_tiff = is_order & (short(2) == _TIFF)
  return tf.where(is_tiff, values[0], _NONE)


def _from_xmp(xmp):
  # \C is any byte; the expression is to match all, so that one digit stays.
  found = tf.strings.regex_replace(
    xmp, rf'(?s)^\C*?{rules.ORIENTATION_IN_XMP}\C*$', r'\1'
  )
  return tf.cond(
    (tf.strings.length(found) == 1) & (tf.strings.length(xmp) > 1),
    lambda: tf.cast(tf.io.decode_raw(found, tf.uint8)[0], tf.int64) - ord('0'),
    lambda: tf.constant(UPRIGHT, tf.int64),
  )
