"""TIFF files, by Pillow and, where it gives up, tifffile."""

import io
import logging

import tifffile

from data import containers
from data import images
from data import pixels
from data import raw_dataset

# Its log of what it reads quotes the file, which may name a person.
logging.getLogger('tifffile').setLevel(logging.CRITICAL + 1)

_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1  # Photometric interpretations.
_UNCOMPRESSED = 1
_MAX_PAGES = 100  # That are looked at.
_METADATA = {
  270: 'text',  # Description.
  271: 'text',  # Maker of the device.
  272: 'text',  # Its model.
  285: 'text',  # Name of the page.
  269: 'text',  # Name of the document.
  305: 'text',  # Software.
  306: 'time',
  315: 'text',  # Artist.
  316: 'text',  # Computer.
  700: 'XMP',
  33432: 'text',  # Copyright.
  33723: 'IPTC',
  34377: 'IPTC',
  34665: 'Exif',
  34675: 'color profile',
  34853: 'Exif',  # Place.
}
_PRIVATE = 32768  # Tags from here on are anybody's,
_GEOMETRY = (32995, 32996, 32997, 32998)  # but these tell of the pixels.


def decode(data: bytes) -> images.Decoded:
  """Decode a TIFF of one page; thumbnails of it do not count.

  Raises:
    InvalidRecordError: It cannot be decoded, or has several pages.
  """
  try:
    return _decode(data)
  except raw_dataset.InvalidRecordError:
    raise
  except Exception:  # The header's fields can lack or lie.
    raise _refusal('its header is damaged') from None


def _decode(data):
  page = _page(data)
  bits, samples = page.bitspersample, page.samplesperpixel
  is_gray = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
  notes = images.notes_of(containers.names(map(_name, page.tags)))
  if not is_gray and bits > 8:
    notes += (('color of more than 8 bits', f'{bits} bits'),)
  if not is_gray or bits <= 8:
    picture = images.eight_bits(images.open_image('TIFF', data))
  else:
    values = _deep(data, page) if samples == 1 else _values(page)
    negative = page.photometric == _WHITE_IS_ZERO
    picture = pixels.stretch(values, negative=negative)
  return images.Decoded(picture, notes)


def _page(data):
  """Return the one page, of a size that can be decoded."""
  pages = list(_pages(tifffile.TiffFile(io.BytesIO(data))))
  if len(pages) > 1:
    raise _refusal(f'it has {len(pages)} pages; save the right one alone')
  page = pages[0]
  if not page.imagelength or not page.imagewidth:
    raise _refusal('it has no pixels')
  containers.check_size(page.imagewidth, page.imagelength)
  containers.check_size(page.tilewidth or 0, page.tilelength or 0)
  return page


def _pages(file):
  for number in range(_MAX_PAGES):
    try:
      page = file.pages[number]
    except IndexError:
      return
    if number == 0 or not page.is_reduced:
      yield page


def _deep(data, page):
  """Return gray values of more than 8 bits."""
  try:
    image = images.open_image('TIFF', data)
  except raw_dataset.InvalidRecordError as error:
    if error.kind != 'not an image':
      raise
    return _values(page)
  if image.mode.startswith('I') or image.mode == 'F':
    return pixels.values(image)
  raise _refusal(f'gray of {page.bitspersample} bits that are not read')


def _values(page):
  """Return the gray values of a page that Pillow cannot read."""
  # Bounded by the length of the file: the codecs of tifffile are not.
  if page.compression != _UNCOMPRESSED:
    raise _refusal(
      f'compressed gray of {page.bitspersample} bits in '
      f'{page.samplesperpixel} samples; save it without compression'
    )
  try:
    values = page.asarray().reshape(page.shape)
  except Exception:
    raise _refusal('its pixels cannot be read') from None
  shape = page.imagelength, page.imagewidth
  if values.ndim == 3:
    values = values[..., 0] if values.shape[:2] == shape else values[0]
  if values.shape != shape or values.dtype.kind not in 'iuf':
    raise _refusal('its pixels are in an unknown order')
  return values


def _name(tag):
  is_private = tag.code >= _PRIVATE and tag.code not in _GEOMETRY
  return _METADATA.get(tag.code, 'application data' if is_private else '')


def _refusal(detail):
  return raw_dataset.InvalidRecordError('not an image', f'TIFF: {detail}')
