"""PNG files by their chunks; see `containers`.

PNG Specification (Third Edition), Sections 5 to 11.
"""

from collections.abc import Iterator
import itertools
import struct
from typing import NamedTuple
import zlib

from data import containers
from data import raw_dataset
from transfusion_tf.image_ops import rules

SIGNATURE = b'\x89PNG\r\n\x1a\n'

# Keyword, not compressed, and neither language nor translated keyword.
_XMP = b'XML:com.adobe.xmp\0\0\0\0\0'
_METADATA = {
  b'eXIf': 'Exif',
  b'iCCP': 'color profile',
  b'tEXt': 'text',
  b'zTXt': 'text',
  b'iTXt': 'text',
  b'tIME': 'time',
  # These tell how to show an image, or other images; they are no news.
  **dict.fromkeys((b'tRNS', b'cHRM', b'gAMA', b'sBIT', b'sRGB', b'bKGD'), ''),
  **dict.fromkeys((b'hIST', b'pHYs', b'cICP', b'acTL', b'fcTL', b'fdAT'), ''),
}
# Color type -> samples of a pixel, and the bits that one may have.
_COLOR_TYPES = {
  0: (1, (1, 2, 4, 8, 16)),
  2: (3, (8, 16)),
  3: (1, (1, 2, 4, 8)),
  4: (2, (8, 16)),
  6: (4, (8, 16)),
}
_GRAY, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 3, 4, 6
# Adam7: first row and column of each pass, and the steps to the next ones.
_PASSES = (
  (0, 0, 8, 8),
  (0, 4, 8, 8),
  (4, 0, 8, 4),
  (0, 2, 4, 4),
  (2, 0, 4, 2),
  (0, 1, 2, 2),
  (1, 0, 2, 1),
)
_READ_SIZE = 4096  # Bytes that libpng inflates at once,
_SMALL = 2**16  # Bytes, more than compress to a window.
_MORE_SIZE = 1024  # and those that it makes of what follows the pixels.


def strip(data: bytes) -> containers.Container:
  """Return a PNG without anything but its pixels.

  Raises:
    InvalidRecordError: A chunk that decides pixels is damaged or missing.
  """
  containers.check_length(data)
  chunks = list(_chunks(memoryview(data)))
  if not chunks or chunks[0].kind != b'IHDR':
    raise _damaged('no header', 'not an image')
  if chunks[-1].kind != b'IEND':
    raise _damaged('no end')
  header = bytes(chunks[0].content)
  _check_header(header)
  _check_order(chunks, header)
  pixels = _pixels(chunks)
  if not _check_pixels(header, pixels):
    pixels = _compressed_again(header, pixels)
  metadata = [
    _METADATA.get(chunk.kind, 'application data')
    for chunk in chunks
    if not chunk.is_critical
  ]
  if data[chunks[-1].end :].strip(b'\0'):
    metadata.append('bytes after the end')
  palette = [c.content for c in chunks if c.kind == b'PLTE']
  *size, bits, color = struct.unpack_from('>IIBB', header)
  deep_alpha = (bits, color) == (16, _GRAY_ALPHA)
  if deep_alpha:
    header = header[:8] + bytes([8, _RGBA]) + header[10:]
  return containers.Container(
    _join(header, palette if color == _PALETTE else [], pixels),
    tuple(size),
    containers.orientation(
      _first(chunks, b'eXIf', b''), _first(chunks, b'iTXt', _XMP)
    ),
    containers.names(metadata),
    bits,
    color in (_GRAY, _GRAY_ALPHA),
    deep_alpha,
  )


def _first(chunks, kind, start):
  """Return the rest of the first chunk of a kind that starts so."""
  for chunk in chunks:
    if chunk.kind == kind and chunk.content[: len(start)] == start:
      rest = chunk.content[len(start) :]
      return bytes(rest[: rules.MAX_METADATA])
  return b''


class _Chunk(NamedTuple):
  kind: bytes
  content: memoryview
  is_sound: bool
  end: int  # In the file.

  @property
  def is_critical(self) -> bool:
    return not self.kind[0] & 32


def _chunks(data: memoryview) -> Iterator[_Chunk]:
  """Yield the chunks up to the end; a broken chain ends it sooner."""
  at = len(SIGNATURE)
  for _ in range(rules.MAX_SEGMENTS):
    if at + 12 > len(data):
      return
    length, kind = struct.unpack_from('>I4s', data, at)
    end = at + 12 + length
    if end > len(data) or not kind.isalpha():
      return
    [checksum] = struct.unpack_from('>I', data, end - 4)
    is_sound = zlib.crc32(data[at + 4 : end - 4]) == checksum
    yield _Chunk(kind, data[at + 8 : end - 4], is_sound, end)
    if kind == b'IEND':
      return
    at = end


def _check_header(header):
  if len(header) != 13:
    raise _damaged('a header of another length', 'not an image')
  width, height, bits, color, *methods = struct.unpack('>IIBBBBB', header)
  _, possible = _COLOR_TYPES.get(color, (0, ()))
  if bits not in possible or methods[:2] != [0, 0] or methods[2] > 1:
    raise _damaged('a header that says nothing known', 'not an image')
  if not width or not height:
    raise _damaged('no pixels', 'not an image')
  containers.check_size(width, height)


def _check_order(chunks, header):
  critical = [chunk for chunk in chunks if chunk.is_critical]
  if not all(chunk.is_sound for chunk in critical):
    raise _damaged('a checksum is wrong')
  kinds = [chunk.kind for chunk in critical]
  if {*kinds} - {b'IHDR', b'PLTE', b'IDAT', b'IEND'}:
    raise _damaged('a chunk of an unknown kind', 'not an image')
  if kinds.count(b'IHDR') > 1:
    raise _damaged('two headers', 'not an image')
  if b'IDAT' not in kinds:
    raise _damaged('no pixels')
  _check_palette(critical, header[9])


def _check_palette(critical, color):
  """Refuse what libpng refuses; one after the pixels counts for nothing."""
  kinds = [chunk.kind for chunk in critical]
  early = critical[: kinds.index(b'IDAT')]
  lengths = [len(chunk.content) for chunk in early if chunk.kind == b'PLTE']
  is_needed, is_color = color == _PALETTE, color not in (_GRAY, _GRAY_ALPHA)
  if (
    (is_needed and not lengths)
    or (lengths and kinds.count(b'PLTE') > 1)
    or (is_color and 0 in lengths)
    or (is_needed and (lengths[0] > 768 or lengths[0] % 3))
  ):
    raise _damaged('its palette is wrong', 'not an image')


def _pixels(chunks):
  """Return the compressed pixels: the first chunks of them in a row."""
  first = next(n for n, chunk in enumerate(chunks) if chunk.kind == b'IDAT')
  return [
    chunk.content
    for chunk in itertools.takewhile(
      lambda chunk: chunk.kind == b'IDAT', chunks[first:]
    )
  ]


def _check_pixels(header, pixels):
  """Inflate all; return whether what follows the pixels is sound, too.

  Pillow shows what is missing as black. The steps, and the window that the
  stream itself states, are libpng's: a file that it refuses, as an exported
  graph will, is refused here.
  """
  if _is_sound_at_once(header, pixels):
    return True
  inflate, pieces = zlib.decompressobj(0), _pieces(pixels)
  try:
    for _ in _inflated(header, inflate, pieces):
      pass
  except zlib.error:
    raise _damaged('its pixels do not decompress') from None
  # What is more than the pixels may be damaged, but has to end.
  found = 0
  while not inflate.eof:
    try:
      found += len(inflate.decompress(_following(inflate, pieces), _MORE_SIZE))
    except zlib.error:
      return False
    if not found:
      break
  return True


def _is_sound_at_once(header, pixels):
  """Return whether a small picture is sound; false may mean anything.

  Steps matter to libpng only beyond the window, and where pixels are damaged.
  """
  stream = b''.join(pixels)
  length = sum(_row_lengths(header)) if len(stream) < _SMALL else 0
  if not stream or not 0 < length <= 1 << (8 + (stream[0] >> 4)):
    return False
  inflate = zlib.decompressobj(0)
  try:
    return len(inflate.decompress(stream, length + 1)) == length and inflate.eof
  except zlib.error:
    return False


def _compressed_again(header, pixels):
  """Return the pixels without what follows them, at which Pillow stops."""
  deflate = zlib.compressobj(1)
  inflated = _inflated(header, zlib.decompressobj(0), _pieces(pixels))
  return [*map(deflate.compress, inflated), deflate.flush()]


def _pieces(pixels) -> Iterator[bytes]:
  for chunk in pixels:
    for start in range(0, len(chunk), _READ_SIZE):
      yield bytes(chunk[start : start + _READ_SIZE])


def _inflated(header, inflate, pieces) -> Iterator[bytes]:
  for length in _row_lengths(header):
    while length:
      part = inflate.decompress(_following(inflate, pieces), length)
      length -= len(part)
      yield part


def _following(inflate, pieces):
  piece = inflate.unconsumed_tail or next(pieces, b'')
  if not piece:
    raise _damaged('pixels are missing')
  return piece


def _row_lengths(header) -> Iterator[int]:
  """Yield the bytes of each row, of all passes."""
  width, height, bits, color, *_, interlaced = struct.unpack('>IIBBBBB', header)
  samples, _ = _COLOR_TYPES[color]
  for top, left, down, right in _PASSES if interlaced else ((0, 0, 1, 1),):
    rows, columns = -(-(height - top) // down), -(-(width - left) // right)
    if rows > 0 and columns > 0:
      yield from itertools.repeat(1 + (columns * samples * bits + 7) // 8, rows)


def _join(header, palette, pixels):
  def chunk(kind, contents):
    checksum = zlib.crc32(kind)
    for content in contents:
      checksum = zlib.crc32(content, checksum)
    length = sum(map(len, contents))
    yield from (struct.pack('>I', length), kind, *contents)
    yield struct.pack('>I', checksum)

  return b''.join(
    [
      SIGNATURE,
      *chunk(b'IHDR', [header]),
      *(chunk(b'PLTE', palette) if palette else ()),
      *chunk(b'IDAT', pixels),
      *chunk(b'IEND', []),
    ]
  )


def _damaged(detail, kind='truncated image'):
  return raw_dataset.InvalidRecordError(kind, f'damaged PNG: {detail}')
