"""What JPEG and PNG files say about their pixels; as `data/containers.py`.

A JPEG is a chain of segments, among them scans of coded pixels, a PNG one of
chunks. A broken chain is a damaged file. On the way the places are found where
an orientation may stand.
"""

from typing import NamedTuple

import tensorflow as tf

from transfusion_tf.image_ops import rules

_SCAN, _START, _END = 0xDA, 0xD8, 0xD9  # Markers of a JPEG.
_FRAMES = tuple({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = 0xC2
_PROGRESSIVES = (_PROGRESSIVE, 0xCA)  # By Huffman's or by arithmetic coding.
_FIRST_BLOCK, _LAST_BLOCK = 1 << 12, 1 << 20  # Bytes searched for a marker.
_HEAD = 24  # Bytes of a segment that are looked at: four components and more.
_ALONE = (0x01, *range(0xD0, 0xD8))  # Those without a length.
_METADATA, _ADOBE = 0xE1, 0xEE
_EXIF, _XMP = b'Exif\0\0', b'http://ns.adobe.com/xap/1.0/\0'
_XMP_CHUNK = b'XML:com.adobe.xmp\0\0\0\0\0'
_PNG = b'\x89PNG\r\n\x1a\n'


class Container(NamedTuple):
  """Places in a file, int64 []; 0 is nowhere.

  Attributes:
    end: Of what ends the file; nowhere if it is damaged.
    exif: Of the TIFF header.
    exif_end: Of the end of Exif.
    xmp: Of the packet.
    xmp_end: Of its end.
    adobe: Of the segment by which Adobe says what the colors are.
    passes: Of the first scan of a JPEG, if that does not hold all of it.
  """

  end: 'tf.Tensor'
  exif: 'tf.Tensor'
  exif_end: 'tf.Tensor'
  xmp: 'tf.Tensor'
  xmp_end: 'tf.Tensor'
  adobe: 'tf.Tensor'
  passes: 'tf.Tensor'


def is_png(encoded: 'tf.Tensor') -> 'tf.Tensor':
  """Return whether the bytes begin as a PNG."""
  # `substr` fails if it starts beyond the end, not if it ends there.
  return tf.strings.substr(encoded, 0, len(_PNG)) == _PNG


# A graph of many nodes: those that read a file in several places share one.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def scan(encoded: 'tf.Tensor') -> Container:
  """Return the places in a JPEG or PNG."""
  return tf.cond(
    is_png(encoded), lambda: _scan_png(encoded), lambda: _scan_jpeg(encoded)
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
    at, place, frame, complete, _, count = state
    place = Container(*place)
    head = numbers(piece(encoded, at, _HEAD), _HEAD)
    marker, end = head[1], at + 2 + 256 * head[2] + head[3]
    is_marker = (head[0] == 0xFF) & (at + 2 <= total)
    is_end = is_marker & (marker == _END)
    is_fill = is_marker & (marker == 0xFF)
    is_alone = is_marker & tf.reduce_any(marker == _ALONE)
    is_segment = is_marker & ~is_end & ~is_fill & ~is_alone
    is_segment &= (marker != 0) & (marker != _START)
    is_segment &= (at + 4 <= end) & (end <= total)
    name = piece(encoded, at + 4, tf.clip_by_value(end - at - 4, 0, len(_XMP)))
    place = _with_metadata(
      place, is_segment & (marker == _METADATA), name, _EXIF, _XMP, at + 4, end
    )
    is_adobe = is_segment & (marker == _ADOBE) & (end >= at + 16)
    is_adobe &= tf.strings.substr(name, 0, 5) == b'Adobe'
    place = place._replace(adobe=_once(place.adobe, is_adobe, at))
    is_frame = is_segment & tf.reduce_any(marker == _FRAMES)
    frame = tf.where(
      is_frame & (frame[0] == 0), _segment(head, end - at), frame
    )
    is_scan = is_segment & (marker == _SCAN)
    is_first = is_scan & ~tf.reduce_any(complete)
    is_part = tf.reduce_any(frame[0] == _PROGRESSIVES) | (head[4] < frame[8])
    place = place._replace(passes=_once(place.passes, is_first & is_part, at))
    complete |= is_scan & _completed(frame, _segment(head, end - at))
    is_whole = is_end & tf.reduce_all(complete | ~_needed(frame))
    place = place._replace(end=tf.where(is_whole, at, 0))
    at = tf.where(is_fill, at + 1, tf.where(is_alone, at + 2, end))
    # Coded pixels follow the header of a scan.
    at = tf.cond(is_scan, lambda: _next_marker(encoded, end), lambda: at)
    goes_on = is_segment | ((is_fill | is_alone) & (at + 2 <= total))
    return at, tuple(place), frame, complete, goes_on, count + 1

  return _walk(step, 2)


def _next_marker(encoded, start):
  """Return the place of what ends coded pixels, or of the file's end.

  It is sought in blocks, so that its memory is not that of the file, each twice
  as long as the one before, so that many short scans take no time either.
  """
  total = _length(encoded)

  def step(at, size, _):
    # One byte more: a marker is two.
    block = tf.io.decode_raw(piece(encoded, at, size + 1), tf.uint8)
    first, second = block[:-1], block[1:]
    is_restart = (second >= _ALONE[1]) & (second <= _ALONE[-1])
    is_marker = (first == 0xFF) & (second != 0) & (second != 0xFF)
    places = tf.where(is_marker & ~is_restart)[:, 0]
    place = tf.concat([at + places, [total]], axis=0)[0]
    return at + size, tf.minimum(2 * size, _LAST_BLOCK), place

  *_, place = tf.while_loop(
    lambda at, _, place: (at + 1 < total) & (place == total),
    step,
    (start, tf.constant(_FIRST_BLOCK, tf.int64), total),
    parallel_iterations=1,
  )
  return place


def _segment(head, length):
  """Return int64 [_HEAD], a segment from its marker on; zeros after its end."""
  inside = tf.range(1, _HEAD + 1, dtype=tf.int64) < length
  return tf.where(inside, tf.concat([head[1:], [0]], axis=0), 0)


def _completed(frame, scan):
  """Return bool [256, 64]: the coefficients that a scan completes.

  Where a progressive JPEG lacks some, decoders guess, each in its way.
  """
  count = scan[3]
  spectrum = tf.gather(scan, tf.minimum(4 + 2 * count + [0, 1, 2], _HEAD - 1))
  is_whole = frame[0] != _PROGRESSIVE
  numbers = tf.range(64, dtype=tf.int64)
  inside = (numbers >= spectrum[0]) & (numbers <= spectrum[1])
  inside = is_whole | (inside & (spectrum[2] % 16 == 0))
  return _components(scan[4::2], count)[:, None] & inside


def _needed(frame):
  return _components(frame[9::3], frame[8])[:, None]


def _components(numbers, count):
  """Return bool [256]: which are among the first `count` numbers."""
  numbers = numbers[: tf.minimum(count, tf.size(numbers, tf.int64))]
  components = tf.range(256, dtype=tf.int64)
  return tf.reduce_any(numbers == components[:, None], axis=1)


def _scan_png(encoded):
  total = _length(encoded)

  def step(state):
    at, place, frame, complete, _, count = state
    place = Container(*place)
    head = numbers(piece(encoded, at, 4), 4)
    length = tf.reduce_sum(head * [1 << 24, 1 << 16, 1 << 8, 1])
    kind, end = piece(encoded, at + 4, 4), at + 8 + length
    is_chunk = (at + 12 <= total) & (end + 4 <= total)
    is_chunk &= tf.strings.regex_full_match(kind, '[A-Za-z]{4}')
    is_end = is_chunk & (kind == b'IEND')
    place = place._replace(end=tf.where(is_end, at, 0))
    text = piece(encoded, at + 8, tf.minimum(length, len(_XMP_CHUNK)))
    place = _with_metadata(
      place, is_chunk & (kind == b'eXIf'), text, b'', None, at + 8, end
    )
    place = _with_metadata(
      place, is_chunk & (kind == b'iTXt'), text, None, _XMP_CHUNK, at + 8, end
    )
    goes_on = is_chunk & ~is_end
    return end + 4, tuple(place), frame, complete, goes_on, count + 1

  return _walk(step, len(_PNG))


def _walk(step, start):
  """Take steps from `start` on while one says so."""
  nowhere = (tf.constant(0, tf.int64),) * len(Container._fields)
  state = (
    tf.constant(start, tf.int64),
    nowhere,
    tf.zeros([_HEAD], tf.int64),
    tf.zeros([256, 64], tf.bool),
    tf.constant(True),
    tf.constant(0),
  )
  _, place, *_ = tf.while_loop(
    lambda *state: state[-2] & (state[-1] < rules.MAX_SEGMENTS),
    lambda *state: step(state),
    state,
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
