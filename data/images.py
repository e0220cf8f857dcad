"""Bytes of an image file, however odd, to an 8-bit picture and to a JPEG."""

from collections.abc import Iterator
import io
import os

from etils import epath
import numpy as np
from PIL import Image
from PIL import ImageOps

from data import archives
from data import raw_dataset
from transfusion_tf.image_ops import rules

EXTENSIONS = ('.jpeg', '.jpg', '.png', '.tif', '.tiff', '.bmp', '.dcm')

_FORMATS = ('JPEG', 'PNG', 'TIFF', 'BMP')

Image.MAX_IMAGE_PIXELS = None  # `load` has the check, with our own limit.


def read(path: str) -> bytes:
  """Return the bytes of an image, from a file or from inside a zip archive."""
  try:
    if archives.is_inside(path):
      return archives.read(path)
    return epath.Path(path).read_bytes()
  except OSError as error:
    detail = error.strerror or str(error)
    raise raw_dataset.InvalidRecordError('no such image', detail) from None


def find_images(folder: str | os.PathLike) -> Iterator[str]:
  """Yield the paths of all image files in a folder and below it."""
  for parent, folders, names in os.walk(os.fspath(folder)):
    folders.sort()  # Walked in this order; the system's own is any.
    for name in sorted(names):
      if name.lower().endswith(EXTENSIONS):
        yield os.path.join(parent, name)


def load(data: bytes, at_least: int | None = None) -> Image.Image:
  """Decode an image, upright, as 8-bit gray (`L`) or color (`RGB`).

  16-bit gray is stretched from its darkest and brightest value to 0..255;
  DICOM is windowed as its header says.

  Args:
    data: A JPEG, PNG, TIFF, BMP or DICOM file.
    at_least: If given, a JPEG may be decoded at a half, quarter or eighth of
      its size, both sides staying at or above this. The whole file is still
      read, so that a truncated one is found.

  Raises:
    InvalidRecordError: If it cannot be decoded, or should not be.
  """
  if _is_dicom(data):
    from data import dicom

    return dicom.load(data)
  if not data:
    raise raw_dataset.InvalidRecordError('not an image', 'the file is empty')
  try:
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
  except Image.UnidentifiedImageError:
    detail = f'it starts with {data[:12]!r}'
    raise raw_dataset.InvalidRecordError('not an image', detail) from None
  except Exception as error:  # Parsers raise anything on odd bytes.
    raise raw_dataset.InvalidRecordError('not an image', repr(error)) from None
  check_size(*image.size)
  try:
    if at_least:
      image.draft(None, (at_least, at_least))
    return _eight_bits(ImageOps.exif_transpose(image))
  except Exception as error:
    kind = 'truncated image' if 'truncated' in str(error) else 'not an image'
    raise raw_dataset.InvalidRecordError(kind, str(error)) from None


def check_size(width: int, height: int) -> None:
  """Raise InvalidRecordError if an image is too large to decode."""
  if width * height > rules.MAX_PIXELS:
    raise raw_dataset.InvalidRecordError(
      'image too large',
      f'{width} x {height} pixels; the limit is {rules.MAX_PIXELS:,}',
    )


def rescale_intensity(values: np.ndarray) -> Image.Image:
  """Return gray values of any range as an 8-bit picture."""
  values = values.astype(np.float32)
  low, high = values.min(), values.max()
  scaled = (values - low) * (255 / max(high - low, rules.MIN_RANGE))
  return Image.fromarray(scaled.round().astype(np.uint8))


def scale(image: Image.Image, size: tuple[int, int]) -> Image.Image:
  """Return `image` at `size` (width, height), low-pass filtered to shrink."""
  return image.resize(size, Image.Resampling.LANCZOS)


def resize_to_square(data: bytes, side: int) -> Image.Image:
  """Return a file as a square picture, whatever its aspect was."""
  return scale(load(data, rules.min_decoded_side(side)), (side, side))


def resize_shorter_side(data: bytes, shorter_side: int) -> Image.Image:
  """Return a file as a picture of that shorter side, with its aspect kept."""
  image = load(data, rules.min_decoded_side(shorter_side))
  factor = shorter_side / min(image.size)
  width, height = image.size
  return scale(image, (round(factor * width), round(factor * height)))


def jpeg(image: Image.Image) -> bytes:
  """Encode with full color resolution.

  Lesions are a few pixels wide: the usual halving of the color channels
  would smear them.
  """
  buffer = io.BytesIO()
  image.save(buffer, 'JPEG', quality=rules.JPEG_QUALITY, subsampling=0)
  return buffer.getvalue()


def _eight_bits(image):
  if image.mode.startswith('I') or image.mode == 'F':
    return rescale_intensity(np.asarray(image))
  if image.mode in ('1', 'L', 'LA'):
    return image.convert('L')
  return image.convert('RGB')


def _is_dicom(data):
  return data[128:132] == b'DICM'
