"""What JPEG and PNG files say about their pixels; as `data/containers.py`.

A JPEG is a chain of segments up to its scan, a PNG one of chunks up to its
end. Of either the places are found where an orientation may stand. A broken
chain is a damaged file.
"""

from typing import NamedTuple

import tensorflow as tf

from transfusion_tf.image_ops import rules

_SCAN, _START, _END = 0xDA, 0xD8, 0xD9  # Markers of a JPEG.
_ALONE = (0x01, *range(0xD0, 0xD8))  # Those without a length.
_METADATA, _ADOBE = 0xE1, 0xEE
_EXIF, _XMP = b'Exif\0\0', b'http://ns.adobe.com/xap/1.0/\0'
_XMP_CHUNK = b'XML:com.adobe.xmp\0\0\0\0\0'
_PNG = b'\x89PNG\r\n\x1a\n'


class Container(NamedTuple):
  """Places in a file, int64 []; 0 is nowhere.

  Attributes:
    pixels: Of a JPEG's first scan, or of the end of a PNG; nowhere if the file
      is damaged.
    exif: Of the TIFF header.
    exif_end: Of the end of Exif.
    xmp: Of the packet.
    xmp_end: Of its end.
    adobe: Of the segment by which Adobe says what the colors are.
  """

  pixels: 'tf.Tensor'
  exif: 'tf.Tensor'
  exif_end: 'tf.Tensor'
  xmp: 'tf.Tensor'
  xmp_end: 'tf.Tensor'
  adobe: 'tf.Tensor'


def is_png(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return whether the bytes begin as a PNG."""
  # `substr` fails if it starts beyond the end, not if it ends there.
  return tf.strings.substr(encoded, 0, len(_PNG)) == _PNG


def scan(encoded: 'tf.Tensor') -> Container:
  """Return the places in a JPEG or PNG."""
  return tf.cond(
    is_png(encoded), lambda: _scan_png(encoded), lambda: _scan_jpeg(encoded)
  )


def has_end(encoded: 'tf.Tensor', container: Container) -> 'tf.Tensor':
  """Return whether the file is whole, as far as its container tells."""

  def ends():
    # In a scan, 0xFF that is no marker is followed by 0.
    scans = tf.io.decode_raw(
      piece(encoded, container.pixels, tf.strings.length(encoded)), tf.uint8
    )
    return tf.reduce_any((scans[:-1] == 0xFF) & (scans[1:] == _END))

  is_chain = container.pixels > 0
  return tf.cond(
    is_chain & tf.logical_not(is_png(encoded)), ends, lambda: is_chain
  )


def piece(
  encoded: 'tf.Tensor', start: 'tf.Tensor', length: 'tf.Tensor | int'
) -> 'tf.Tensor':
  """Return some bytes of a string; fewer where it ends."""
  start = tf.minimum(start, tf.cast(tf.strings.length(encoded), tf.int64))
  return tf.strings.substr(encoded, start, tf.cast(length, tf.int64))


def numbers(piece: 'tf.Tensor', length: int) -> 'tf.Tensor':
  """Return the first bytes as int64 [length], zeros beyond the end."""
  padded = tf.strings.join([piece, b'\0' * length])
  padded = tf.strings.substr(padded, 0, length)
  return tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int64)


def _scan_jpeg(encoded):
  total = _length(encoded)

  def step(state):
    at, place, count = state[0], Container(*state[1]), state[3]
    head = numbers(piece(encoded, at, 4), 4)
    marker, end = head[1], at + 2 + 256 * head[2] + head[3]
    is_fill = marker == 0xFF
    is_alone = tf.reduce_any(marker == _ALONE)
    is_scan = marker == _SCAN
    is_marker = (head[0] == 0xFF) & (at + 4 <= total)
    is_segment = tf.reduce_all(
      [marker != 0, marker != _START, marker != _END, end >= at + 4]
    ) & (end <= total)
    goes_on = is_marker & (is_fill | is_alone | (is_segment & ~is_scan))
    name = piece(encoded, at + 4, tf.minimum(end - at - 4, len(_XMP)))
    is_content = goes_on & ~is_fill & ~is_alone
    place = place._replace(
      pixels=tf.where(is_marker & is_segment & is_scan, at, 0)
    )
    place = _with_metadata(
      place, is_content & (marker == _METADATA), name, _EXIF, _XMP, at + 4, end
    )
    is_adobe = is_content & (marker == _ADOBE) & (end >= at + 16)
    is_adobe &= tf.strings.substr(name, 0, 5) == b'Adobe'
    place = place._replace(adobe=_once(place.adobe, is_adobe, at))
    following = tf.where(is_fill, at + 1, tf.where(is_alone, at + 2, end))
    return following, tuple(place), goes_on, count + 1

  return _walk(step, 2)


def _scan_png(encoded):
  total = _length(encoded)

  def step(state):
    at, place, count = state[0], Container(*state[1]), state[3]
    head = numbers(piece(encoded, at, 4), 4)
    length = tf.reduce_sum(head * [1 << 24, 1 << 16, 1 << 8, 1])
    kind, end = piece(encoded, at + 4, 4), at + 8 + length
    is_chunk = (at + 12 <= total) & (end + 4 <= total)
    is_end = kind == b'IEND'
    place = place._replace(pixels=tf.where(is_chunk & is_end, at, 0))
    text = piece(encoded, at + 8, tf.minimum(length, len(_XMP_CHUNK)))
    place = _with_metadata(
      place, is_chunk & (kind == b'eXIf'), text, b'', None, at + 8, end
    )
    place = _with_metadata(
      place, is_chunk & (kind == b'iTXt'), text, None, _XMP_CHUNK, at + 8, end
    )
    return end + 4, tuple(place), is_chunk & ~is_end, count + 1

  return _walk(step, len(_PNG))


def _walk(step, start):
  """Take steps from (place, Container, whether it goes on, steps) on."""
  nowhere = (tf.constant(0, tf.int64),) * len(Container._fields)
  _, place, _, _ = tf.while_loop(
    lambda at, place, goes_on, count: goes_on & (count < rules.MAX_SEGMENTS),
    lambda *state: step(state),
    (tf.constant(start, tf.int64), nowhere, tf.constant(True), 0),
    parallel_iterations=1,
  )
  return Container(*place)


def _with_metadata(place, is_any, text, exif, xmp, start, end):
  """Note the places of Exif and XMP, of the first of each."""
  for name, head in (('exif', exif), ('xmp', xmp)):
    if head is not None:
      begins = tf.strings.substr(text, 0, len(head)) == head
      is_first = is_any & begins & (getattr(place, name) == 0)
      place = place._replace(
        **{
          name: _once(getattr(place, name), is_first, start + len(head)),
          f'{name}_end': tf.where(is_first, end, getattr(place, f'{name}_end')),
        }
      )
  return place


def _once(place, is_it, here):
  return tf.where((place == 0) & is_it, here, place)


def _length(encoded):
  return tf.cast(tf.strings.length(encoded), tf.int64)
