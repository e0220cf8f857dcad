"""Which way up a photograph is: the Exif tag that cameras write into JPEGs.

Exif 2.32 (CIPA DC-008), Section 4.5 and tag 0x0112.
"""

import tensorflow as tf

UPRIGHT = 1
_TAG = 0x0112
_EXIF = (0xFF, 0xE1, *b'Exif\0\0')  # Marker, and after the length the name.
_EXIF_PLACES = (0, 1, 4, 5, 6, 7, 8, 9)
_SCAN = 0xDA  # Pixels begin here.
_LITTLE_ENDIAN = 0x4949  # "II".
# Exif is to be the first or second segment, of at most 64 KB.
_LOOKED_AT = 1 << 17


def from_jpeg(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return the orientation, 1 to 8; 1, upright, if there is no tag.

  Args:
    encoded: A JPEG; other bytes count as upright.
  """
  head = tf.strings.substr(encoded, 0, _LOOKED_AT)
  head = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)
  head = tf.concat([head, [0]], axis=0)  # Of no bytes, too.

  def byte(place):  # A place that a broken file sends us to may lie beyond.
    return tf.gather(head, tf.clip_by_value(place, 0, tf.size(head) - 1))

  tiff = _tiff(byte, tf.size(head))
  value = tf.cond(tiff > 0, lambda: _tag(byte, tiff), lambda: UPRIGHT)
  return tf.where((value >= 1) & (value <= 8), value, UPRIGHT)


def upright(image: 'tf.Tensor', orientation: 'tf.Tensor') -> 'tf.Tensor':
  """Turn and mirror an image [H, W, C] of an `orientation`."""

  def transposed():
    return tf.transpose(image, [1, 0, 2])

  return tf.switch_case(
    orientation - 1,
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


def _tiff(byte, size):
  """Return the start of the TIFF header in the Exif segment; 0 without one."""

  def is_exif(at):
    return tf.reduce_all(byte(at + _EXIF_PLACES) == _EXIF)

  def goes_on(at):
    is_segment = (byte(at) == 0xFF) & (byte(at + 1) != _SCAN)
    return (at < size) & is_segment & ~is_exif(at)

  def following(at):
    return at + 2 + tf.maximum(256 * byte(at + 2) + byte(at + 3), 2)

  at = tf.while_loop(goes_on, lambda at: [following(at)], [tf.constant(2)])[0]
  return tf.where((at < size) & is_exif(at), at + 10, 0)


def _tag(byte, tiff):
  """Return the value of the tag in the first directory; 0 without it."""
  little = 256 * byte(tiff) + byte(tiff + 1) == _LITTLE_ENDIAN

  def short(at):
    low = tf.where(little, byte(at), byte(at + 1))
    return low + 256 * tf.where(little, byte(at + 1), byte(at))

  def long(at):
    first, second = short(at), short(at + 2)
    return tf.where(little, first + 65536 * second, 65536 * first + second)

  directory = tiff + long(tiff + 4)
  entries = directory + 2 + 12 * tf.range(short(directory))
  is_tag = short(entries) == _TAG
  return tf.reduce_max(tf.where(is_tag, short(entries + 8), 0))
