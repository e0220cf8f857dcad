"""Image files without anything but their pixels.

Beside its pixels a file carries comments, Exif, XMP, color profiles and text,
which may name a person, and may be damaged where the pixels are sound. It is
cut off before a decoder sees the file. `jpeg_segments` and `png_chunks` do so;
`transfusion_tf/image_ops/containers.py` follows the same rules in a graph, and
tests hold the two to each other.
"""

from collections.abc import Iterable
import dataclasses
import re
import struct

from data import raw_dataset
from transfusion_tf.image_ops import rules

UPRIGHT = 1
_TIFF = 42  # Second word of its header.
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4  # A tag, and the types it may have.
_IN_XMP = re.compile(rules.ORIENTATION_IN_XMP.encode())


@dataclasses.dataclass(frozen=True)
class Container:
  """A file without anything but its pixels.

  Attributes:
    data: The file.
    size: Width and height.
    orientation: Of Exif or XMP, 1 to 8.
    metadata: Names of what was cut off.
    bits: Bits of a sample.
    is_gray: Whether there is no color.
    deep_alpha: Whether a pixel is gray and alpha of 16 bits each, which Pillow
      would shorten: `data` has their bytes as the four channels of RGBA.
  """

  data: bytes
  size: tuple[int, int]
  orientation: int = UPRIGHT
  metadata: tuple[str, ...] = ()
  bits: int = 8
  is_gray: bool = False
  deep_alpha: bool = False


def check_size(width: int, height: int) -> None:
  """Raise InvalidRecordError if an image is too large to decode."""
  if rules.is_too_large(height, width):
    raise raw_dataset.InvalidRecordError(
      'image too large',
      f'{width} x {height} pixels; the limit is {rules.MAX_PIXELS:,} pixels, '
      f'{rules.MAX_SIDE:,} a side',
    )


def check_length(data: bytes) -> None:
  """Raise InvalidRecordError if a file is longer than any picture needs."""
  if len(data) > rules.MAX_BYTES:
    raise raw_dataset.InvalidRecordError(
      'image too large',
      f'{len(data):,} bytes; the limit is {rules.MAX_BYTES:,}',
    )


def names(metadata: Iterable[str]) -> tuple[str, ...]:
  """Return names of metadata in order, once each."""
  return tuple(sorted({*metadata} - {''}))


def orientation(exif: bytes, xmp: bytes) -> int:
  """Return the orientation, 1 to 8; that of XMP where Exif has none.

  Args:
    exif: TIFF header and directory (Exif 2.32, CIPA DC-008, Section 4.5), or
      nothing.
    xmp: A packet of XMP, or nothing.
  """
  found = _from_exif(exif[: rules.MAX_METADATA])
  if found is None:
    match = _IN_XMP.search(xmp[: rules.MAX_METADATA])
    found = int(match[1]) if match else UPRIGHT
  return found if 1 <= found <= 8 else UPRIGHT


def _from_exif(exif):
  """Return the value of the tag; what lies beyond the end reads as zeros."""
  order = {b'II': '<', b'MM': '>'}.get(exif[:2])

  def number(code, at):
    length = struct.calcsize(code)
    piece = exif[at : at + length].ljust(length, b'\0')
    return struct.unpack(order + code, piece)[0]

  if order is None or number('H', 2) != _TIFF:
    return None
  directory = number('I', 4)
  last = min(directory + 2 + 12 * number('H', directory), len(exif))
  for at in range(directory + 2, last, 12):
    kind = number('H', at + 2)
    if number('H', at) == _ORIENTATION and kind in (_SHORT, _LONG):
      return number('H' if kind == _SHORT else 'I', at + 8)
  return None
