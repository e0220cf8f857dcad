"""DICOM files, by the optional dependency pydicom.

The references are to the DICOM standard, PS3.3.
"""

import io
import logging
import struct
import zlib

import numpy as np
from PIL import Image

from data import containers
from data import dicom_values
from data import images
from data import jpeg_segments
from data import pixels
from data import raw_dataset

try:
  import pydicom
  from pydicom import encaps
  from pydicom import pixels as pydicom_pixels
  from pydicom import uid
except ImportError:
  pydicom = None  # type: ignore[assignment]

_GRAY = ('MONOCHROME1', 'MONOCHROME2')
_COLORS = ('RGB', 'YBR_FULL', 'YBR_FULL_422', 'YBR_ICT', 'YBR_RCT')
_PALETTE = 'PALETTE COLOR'
_J2K = b'\xff\x4f\xff\x51'  # Start and size of a JPEG 2000 codestream.
_MAX_INFLATED = 1 << 29  # Bytes of a deflated file.


def decode(data: bytes) -> images.Decoded:
  """Decode a DICOM file of one frame.

  Gray values go through the modality transform and the first VOI LUT or window
  of the header; without one they are stretched to 0..255. MONOCHROME1, in which
  high is dark, is inverted.

  Raises:
    InvalidRecordError: Not installed, not decodable, or many frames.
  """
  if pydicom is None:
    raise _refusal("install the extra, pip install -e '.[dicom]'")
  # Its log and its errors quote the header, which names the patient.
  logging.getLogger('pydicom').setLevel(logging.CRITICAL + 1)
  try:
    file = _read(data)
    _check(file)
    picture, bits = _picture(file)
  except raw_dataset.InvalidRecordError:
    raise
  except Exception:  # The header's fields can lack or lie.
    raise _refusal('damaged, or it lacks what the pixels need') from None
  notes = images.notes_of(('DICOM header',))
  if picture.mode == 'RGB' and bits > 8:
    notes += (('color of more than 8 bits', f'{bits} bits'),)
  return images.Decoded(picture, notes)


def _read(data):
  if data[128:132] == b'DICM':
    file = pydicom.dcmread(io.BytesIO(_inflated(data)))
  else:
    file = pydicom.dcmread(io.BytesIO(data), force=True)
  if 'TransferSyntaxUID' not in file.file_meta:
    # Of files without preamble it is what pydicom made out.
    is_implicit, is_little = file.original_encoding
    syntaxes = {
      (True, True): uid.ImplicitVRLittleEndian,
      (False, True): uid.ExplicitVRLittleEndian,
      (False, False): uid.ExplicitVRBigEndian,
    }
    file.file_meta.TransferSyntaxUID = syntaxes[is_implicit, is_little]
  return file


def _inflated(data):
  """Return a deflated file as a plain one; pydicom sets it no limit."""
  # The first element, of 12 bytes, is the length of the other file meta.
  start = 144 + struct.unpack_from('<I', data, 140)[0]
  deflated = uid.DeflatedExplicitVRLittleEndian.encode()
  if deflated not in data[:start]:
    return data
  inflate = zlib.decompressobj(-zlib.MAX_WBITS)
  plain = inflate.decompress(data[start:], _MAX_INFLATED)
  if not inflate.eof:
    raise raw_dataset.InvalidRecordError(
      'image too large' if len(plain) == _MAX_INFLATED else 'truncated image',
      'DICOM: deflated, and too large or cut off',
    )
  syntax = uid.ExplicitVRLittleEndian.encode().ljust(len(deflated), b'\0')
  return data[:start].replace(deflated, syntax) + plain


def _check(file):
  if not any(
    keyword in file
    for keyword in ('PixelData', 'FloatPixelData', 'DoubleFloatPixelData')
  ):
    raise _refusal('no pixels')
  frames = file.get('NumberOfFrames') or 1
  if int(frames) != 1:
    raise _refusal(
      f'{int(frames)} frames; an image is one: save the right frame alone'
    )
  if not file.Rows or not file.Columns:
    raise _refusal('no pixels')
  containers.check_size(file.Columns, file.Rows)
  kind, samples = file.PhotometricInterpretation, file.SamplesPerPixel
  known = {1: (*_GRAY, _PALETTE), 3: _COLORS}
  if kind not in known.get(samples, ()):
    raise _refusal('an unknown photometric interpretation')
  syntax = file.file_meta.TransferSyntaxUID
  if syntax.is_encapsulated:
    _check_compressed(file, syntax)


def _check_compressed(file, syntax):
  """Refuse pixels of another size than the header's before decoding them."""
  try:
    decoder = pydicom_pixels.get_decoder(syntax)
  except NotImplementedError:
    raise _refusal('pixels that are compressed in an unknown way') from None
  if not decoder.is_available:
    raise _refusal(f"{syntax.name} is not installed: pip install -e '.[dicom]'")
  frame = encaps.get_frame(file.PixelData, 0, number_of_frames=1)
  size = None
  if frame.startswith(jpeg_segments.SIGNATURE):
    size = jpeg_segments.size(frame)
  else:
    start = frame.find(_J2K)
    if start >= 0:
      right, bottom, left, top = struct.unpack_from('>IIII', frame, start + 8)
      size = right - left, bottom - top
  if size and size != (file.Columns, file.Rows):
    raise _refusal('its compressed pixels are of another size')


def _picture(file):
  """Return the picture, and the bits that a sample had."""
  values, kind = (
    pydicom_pixels.pixel_array(file),
    file.PhotometricInterpretation,
  )
  if kind in _GRAY:
    return dicom_values.picture(file, values), file.BitsStored
  if kind == _PALETTE:
    return _from_palette(file, values), 8
  if values.dtype != np.uint8:
    values = values >> max(file.BitsStored - 8, 0)
  return Image.fromarray(values.astype(np.uint8)), file.BitsStored


def _from_palette(file, values):
  """Return the colors of the palette: PS3.3, C.7.6.3.1.5."""
  length, first, _ = (int(x) for x in file.RedPaletteColorLookupTableDescriptor)
  if 'RedPaletteColorLookupTableData' not in file:
    colors = pydicom_pixels.apply_color_lut(values, file)[..., :3]
    return Image.fromarray(_upper(colors))
  palette = _upper(
    np.stack(
      [
        dicom_values.words(
          file,
          file[f'{color}PaletteColorLookupTableData'].value,
          length or 2**16,
        )
        for color in ('Red', 'Green', 'Blue')
      ],
      axis=-1,
    )
  )
  table = dicom_values.Table(palette, first)
  return pixels.map_rows(lambda rows: table(values[rows]), (*values.shape, 3))


def _upper(colors):
  """Return the upper bytes of colors of two, if these are in use."""
  if colors.dtype.itemsize > 1 and colors.max() > 255:
    colors = colors >> 8
  return colors.astype(np.uint8)


def _refusal(detail):
  return raw_dataset.InvalidRecordError('not an image', f'DICOM: {detail}')
