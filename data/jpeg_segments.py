"""JPEG files by their segments; see `containers`."""

from collections.abc import Iterator
import re
import struct

from data import containers
from data import raw_dataset
from transfusion_tf.image_ops import rules

SIGNATURE = b'\xff\xd8\xff'

# Markers of ITU-T T.81, Table B.1.
_IMAGE_START, _IMAGE_END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD8)}  # Without a length.
_APPLICATIONS = range(0xE0, 0xF0)
_METADATA_MARKER = 0xE1
_END = b'\xff\xd9'
SCAN = bytes((0xFF, _SCAN))  # What ends the headers.
# What ends the coded pixels: in them 0 follows 0xFF, or a number at restarts.
_MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]')
_PROGRESSIVE = b'\xc2'
_PROGRESSIVES = (_PROGRESSIVE, b'\xca')
_FRAME_LENGTH = 21  # Bytes, from the marker on, of four components.
_NOTHING: frozenset[tuple[int, int]] = frozenset()
_EXIF, _XMP = b'Exif\0\0', b'http://ns.adobe.com/xap/1.0/\0'
# These say what the components are, if they are long enough.
_COLOR = {0xE0: (b'JFIF\0', 14), 0xEE: (b'Adobe', 12)}
# (Marker, how its content begins) -> name.
_METADATA = {
  (_METADATA_MARKER, _EXIF): 'Exif',
  (_METADATA_MARKER, b'http://ns.adobe.com/'): 'XMP',
  (0xE2, b'ICC_PROFILE'): 'color profile',
  (0xED, b'Photoshop'): 'IPTC',
  (_COMMENT, b''): 'comment',
}


def strip(data: bytes) -> containers.Container:
  """Return a JPEG without anything but its pixels.

  Raises:
    InvalidRecordError: Its segments do not lead to its end, or it lacks scans.
  """
  containers.check_length(data)
  kept, metadata = [memoryview(data)[:2]], set()
  oriented: dict[bytes, bytes] = {}  # What may hold the orientation.
  frame, complete, last, in_passes = b'', _NOTHING, 0, False
  for marker, start, end in _segments(data):
    content = data[start + 4 : end]
    if marker == _IMAGE_END:
      last = end
    elif marker in _FRAMES and not frame:
      frame = data[start + 1 : end].ljust(_FRAME_LENGTH, b'\0')
    elif marker == _SCAN:
      in_passes |= not complete and _is_part(frame, content)
      complete = complete | _completed(frame, content)
    if _is_kept(marker, content):
      kept.append(memoryview(data)[start:end])
    else:
      metadata.add(_name(marker, content))
      for name in (_EXIF, _XMP):
        if marker == _METADATA_MARKER and content.startswith(name):
          oriented.setdefault(name, content[len(name) :])
  height, width, channels = _shape(frame)
  if not last or not frame or not complete >= _needed(frame, channels):
    raise raw_dataset.InvalidRecordError(
      'truncated image' if frame else 'not an image',
      'the JPEG is damaged, or ends before its pixels do',
    )
  containers.check_size(width, height)
  if in_passes:
    _check_size_in_passes(width, height)
  if data[last:].strip(b'\0'):
    metadata.add('bytes after the end')
  return containers.Container(
    b''.join(kept),
    (width, height),
    containers.orientation(*(oriented.get(x, b'') for x in (_EXIF, _XMP))),
    containers.names(metadata),
    bits=frame[3],
    is_gray=channels == 1,
  )


def _shape(frame):
  return struct.unpack_from('>HHB', frame, 4) if frame else (0, 0, 0)


def _check_size_in_passes(width, height):
  if rules.is_too_large_in_passes(height, width):
    raise raw_dataset.InvalidRecordError(
      'image too large',
      f'{width} x {height} pixels; the limit of a progressive JPEG is '
      f'{rules.MAX_PIXELS_IN_PASSES:,} pixels',
    )


def _is_part(frame, scan):
  """Return whether the first scan leaves pixels to others."""
  return frame[:1] in _PROGRESSIVES or scan[:1] < frame[8:9]


def _completed(frame, scan):
  """Return the (component, coefficient) pairs that a scan completes.

  Where a progressive JPEG lacks some, decoders guess, each in its way.
  """
  count = scan[0] if scan else 0
  components = scan[1 : 1 + 2 * count : 2]
  first, last, bits = scan[1 + 2 * count :].ljust(3, b'\0')[:3]
  if frame[:1] != _PROGRESSIVE:
    first, last, bits = 0, 63, 0
  if bits & 15:  # Lower bits are yet to come.
    return _NOTHING
  return {(c, n) for c in components for n in range(first, min(last, 63) + 1)}


def _needed(frame, channels):
  components = frame[9 : 9 + 3 * channels : 3]
  return {(c, n) for c in components for n in range(64)}


def size(data: bytes) -> tuple[int, int] | None:
  """Return the width and height of any JPEG, None if it has none."""
  for marker, start, end in _segments(data):
    if marker in _FRAMES and end >= start + 9:
      height, width = struct.unpack_from('>HH', data, start + 5)
      return width, height
  return None


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
  """Yield (marker, start, end) up to the image's; a broken chain ends sooner.

  The coded pixels that follow a scan's header have the marker 0.
  """
  at = 2
  for _ in range(rules.MAX_SEGMENTS):
    if data[at : at + 2] == _END:
      yield _IMAGE_END, at, at + 2
      return
    if at + 4 > len(data) or data[at] != 0xFF:
      return
    marker = data[at + 1]
    if marker == 0xFF:  # Fill.
      at += 1
    elif marker in _ALONE:
      at += 2
    else:
      end = at + 2 + struct.unpack_from('>H', data, at + 2)[0]
      if marker in (0, _IMAGE_START) or not at + 4 <= end <= len(data):
        return
      yield marker, at, end
      at = end
      if marker == _SCAN:
        following = _MARKER.search(data, end)
        if not following:
          return
        at = following.start()
        yield 0, end, at


def _is_kept(marker, content):
  if marker in _COLOR:
    start, length = _COLOR[marker]
    return content.startswith(start) and len(content) >= length
  return marker not in _APPLICATIONS and marker != _COMMENT


def _name(marker, content):
  for (other, start), name in _METADATA.items():
    if marker == other and content.startswith(start):
      return name
  return 'application data'
