"""JPEG files by their segments; see `containers`."""

from collections.abc import Iterator
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
    InvalidRecordError: Its segments do not lead to pixels, or these do not end.
  """
  kept, metadata, frame = [data[:2]], set(), b''
  oriented: dict[bytes, bytes] = {}  # What may hold the orientation.
  scan = 0
  for marker, start, end in _segments(data):
    content = data[start + 4 : end]
    if marker == _SCAN:
      scan = start
      break
    if marker in _FRAMES and not frame:
      frame = content.ljust(6, b'\0')
    if _is_kept(marker, content):
      kept.append(data[start:end])
    else:
      metadata.add(_name(marker, content))
      if marker == _METADATA_MARKER:
        for start in (_EXIF, _XMP):
          if content.startswith(start):
            oriented.setdefault(start, content[len(start) :])
  if not scan or not frame:
    raise raw_dataset.InvalidRecordError(
      'truncated image' if frame else 'not an image',
      'the JPEG is damaged, or ends, before its pixels',
    )
  # In a scan, 0xFF that is no marker is followed by 0.
  last = data.find(bytes([0xFF, _IMAGE_END]), scan)
  if last < 0:
    raise raw_dataset.InvalidRecordError(
      'truncated image', 'the JPEG has no end'
    )
  if data[last + 2 :].strip(b'\0'):
    metadata.add('bytes after the end')
  height, width, channels = struct.unpack_from('>HHB', frame, 1)
  containers.check_size(width, height)
  return containers.Container(
    b''.join([*kept, data[scan:]]),
    (width, height),
    containers.orientation(*(oriented.get(x, b'') for x in (_EXIF, _XMP))),
    containers.names(metadata),
    frame[0],
    channels == 1,
  )


def size(data: bytes) -> tuple[int, int] | None:
  """Return the width and height of any JPEG, None if it has none."""
  for marker, start, end in _segments(data):
    if marker in _FRAMES and end >= start + 9:
      height, width = struct.unpack_from('>HH', data, start + 5)
      return width, height
  return None


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
  """Yield (marker, start, end); a broken chain ends it."""
  at = 2
  for _ in range(rules.MAX_SEGMENTS):
    if at + 4 > len(data) or data[at] != 0xFF:
      return
    marker = data[at + 1]
    if marker == 0xFF:  # Fill.
      at += 1
    elif marker in _ALONE:
      at += 2
    else:
      end = at + 2 + struct.unpack_from('>H', data, at + 2)[0]
      is_segment = marker not in (0, _IMAGE_START, _IMAGE_END)
      if not is_segment or not at + 4 <= end <= len(data):
        return
      yield marker, at, end
      at = end


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
