"""Bytes of an image file, however odd, to an 8-bit picture and to a JPEG."""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import dataclasses
import errno
import hashlib
import io
import logging
import os
import warnings

import numpy as np
from PIL import Image

from data import archives
from data import containers
from data import jpeg_segments
from data import pixels
from data import places
from data import png_chunks
from data import raw_dataset
from data import regular_files
from transfusion_tf import errors
from transfusion_tf.image_ops import rules

EXTENSIONS = (
  *('.jpeg', '.jpg', '.png', '.tif', '.tiff', '.bmp'),
  *('.dcm', '.dicom'),  # The latter, of VinDr-CXR.
)

Image.MAX_IMAGE_PIXELS = None  # `check_size` has our own limit.
# Pillow's log of what it reads quotes the file, which may name a person.
logging.getLogger('PIL').setLevel(logging.INFO)


@dataclasses.dataclass(frozen=True)
class Decoded:
  """A picture, and what there is to say about its file.

  Attributes:
    picture: Upright, 8-bit gray (`L`) or color (`RGB`), without anything else.
    notes: (One of `raw_dataset.NOTES`, detail) each.
  """

  picture: Image.Image
  notes: tuple[tuple[str, str], ...] = ()


def read(path: str) -> places.Raw:
  """Return an image, from a file or from a part of one.

  Raises:
    InvalidRecordError: There is none.
  """
  (raw,) = stream([path])
  if isinstance(raw, raw_dataset.InvalidRecordError):
    raise raw
  return raw


def stream(
  paths: Iterable[str],
) -> Iterator[places.Raw | raw_dataset.InvalidRecordError]:
  """Yield images, or why there is none, one after the other.

  A file of many images is opened once for those of it that follow each other.
  """
  file, read_part = '', None
  for path in paths:
    begin, _, part = path.partition(places.INSIDE)
    try:
      if read_part is None or begin != file:
        # A file may be called like a place in one.
        read_part = None if os.path.lexists(path) else places.reader(path)
        file = begin
      if read_part:
        yield read_part(part)
      else:
        yield regular_files.read(path, archives.MAX_BYTES)
    except (ValueError, OSError) as error:  # The former, of a path with a NUL.
      yield _no_image(error)


def _no_image(error):
  if not isinstance(error, OSError):
    error = FileNotFoundError(str(error))
  is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
  is_name = error.errno == errno.ENAMETOOLONG
  return raw_dataset.InvalidRecordError(
    'no such image' if is_missing or is_name else 'unreadable image',
    error.strerror or str(error),
  )


def digest(raw: places.Raw) -> str:
  """Return the SHA-256 of a file, or of an array with its shape."""
  if isinstance(raw, bytes):
    return hashlib.sha256(raw).hexdigest()
  facts = f'{raw.dtype.str} {raw.shape} '.encode()
  return hashlib.sha256(facts + raw.tobytes()).hexdigest()


@contextlib.contextmanager
def convert_listing_errors() -> Iterator[None]:
  """Turn errors of the system about a folder of images into InputError."""
  try:
    yield
  except OSError as error:
    raise errors.InputError(
      f'{error.filename} cannot be read: {error.strerror or error}'
    ) from None


def find_images(
  folder: str | os.PathLike, on_other: Callable[[str], None] = lambda name: None
) -> Iterator[str]:
  """Yield the paths of all image files in a folder and below it.

  Args:
    folder: The folder.
    on_other: Called with the name of each file that is none, by its end.

  Raises:
    OSError: A folder cannot be read; one that is not there has no images.
  """

  def refuse(error):
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
      raise error

  for parent, folders, names in os.walk(os.fspath(folder), onerror=refuse):
    folders.sort()  # Walked in this order; the system's own is any.
    for name in sorted(names):
      if name.lower().endswith(EXTENSIONS):
        yield os.path.join(parent, name)
      else:
        on_other(name)


def load(data: places.Raw, at_least: int | None = None) -> Image.Image:
  """Return the picture of `decode`."""
  return decode(data, at_least).picture


def decode(data: places.Raw, at_least: int | None = None) -> Decoded:
  """Decode an image.

  Gray of more than 8 bits is stretched from its darkest and brightest value to
  0..255, color keeps its upper 8 bits; DICOM is windowed as its header says.

  Args:
    data: A JPEG, PNG, TIFF, BMP or DICOM file; or values, of 8 bits, [H, W] or
      [H, W, 3], or gray of 16.
    at_least: If given, a JPEG may be decoded at a half, quarter or eighth of
      its size, both sides staying at or above this. The whole file is still
      read, so that a truncated one is found.

  Raises:
    InvalidRecordError: If it cannot be decoded, or should not be.
  """
  if isinstance(data, np.ndarray):
    return _of_values(data)
  if not data:
    raise raw_dataset.InvalidRecordError('not an image', 'the file is empty')
  with warnings.catch_warnings():
    # Of decoders; some quote the file, which may name a person.
    warnings.simplefilter('ignore')
    return _decode(data, at_least)


def _of_values(values):
  check_size(values.shape[1], values.shape[0])
  if values.dtype.itemsize > 1:
    return Decoded(pixels.stretch(values))
  return Decoded(Image.fromarray(np.ascontiguousarray(values)))


def _decode(data, at_least):
  # Imported where they are needed: each worker process loads this module.
  if _is_dicom(data):
    from data import dicom

    return dicom.decode(data)
  if data[:4] in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'):
    from data import tiff

    return tiff.decode(data)
  if data.startswith(jpeg_segments.SIGNATURE):
    return _of_container('JPEG', jpeg_segments.strip(data), at_least)
  if data.startswith(png_chunks.SIGNATURE):
    return _of_container('PNG', png_chunks.strip(data))
  if data.startswith(b'BM'):
    return Decoded(eight_bits(open_image('BMP', data)))
  # Without its first bytes, which may be anybody's letter.
  raise raw_dataset.InvalidRecordError(
    'not an image', 'it does not start as a JPEG, PNG, TIFF, BMP or DICOM file'
  )


def _of_container(kind, container, at_least=None):
  picture = open_image(kind, container.data, at_least)
  if container.deep_alpha:
    high, low = (pixels.values(picture.getchannel(n)) for n in (0, 1))
    picture = pixels.stretch((high.astype(np.uint16) << 8) | low)
  picture = pixels.upright(eight_bits(picture), container.orientation)
  notes = notes_of(container.metadata)
  if container.bits > 8 and not container.is_gray:
    notes += (('color of more than 8 bits', f'{container.bits} bits'),)
  return Decoded(picture, notes)


def open_image(
  kind: str, data: bytes, at_least: int | None = None
) -> Image.Image:
  """Return an image that Pillow has decoded, of the mode that it has.

  Raises:
    InvalidRecordError: Pillow cannot.
  """
  try:
    image = Image.open(io.BytesIO(data), formats=[kind])
    check_size(*image.size)
    if at_least:
      image.draft(None, (at_least, at_least))
    image.load()
  except raw_dataset.InvalidRecordError:
    raise
  except Exception as error:  # Parsers raise anything on odd bytes.
    is_cut = 'truncated' in str(error)
    # Not the message: it may quote the file.
    raise raw_dataset.InvalidRecordError(
      'truncated image' if is_cut else 'not an image',
      f'the {kind} {"ends too early" if is_cut else "cannot be decoded"}',
    ) from None
  return image


def notes_of(metadata: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
  """Return the notes on metadata of a file that are left out."""
  return (('metadata dropped', ', '.join(metadata)),) if metadata else ()


check_size = containers.check_size


def check_stored_size(width: int, height: int) -> None:
  """Raise InvalidRecordError if a picture is too large to be stored."""
  if max(width, height) > rules.MAX_STORED_SIDE:
    raise raw_dataset.InvalidRecordError(
      'image too large',
      f'{width} x {height} pixels to store; a side of a JPEG ends at '
      f'{rules.MAX_STORED_SIDE:,}',
    )
  check_size(width, height)


def scale(image: Image.Image, size: tuple[int, int]) -> Image.Image:
  """Return `image` at `size` (width, height), low-pass filtered to shrink."""
  if rules.is_height_first(*image.size, *size):
    image = image.resize((image.width, size[1]), Image.Resampling.LANCZOS)
  return image.resize(size, Image.Resampling.LANCZOS)


def resize_to_square(data: places.Raw, side: int) -> Image.Image:
  """Return a file as a square picture, whatever its aspect was."""
  return scale(load(data, rules.min_decoded_side(side)), (side, side))


def resize_shorter_side(data: places.Raw, shorter_side: int) -> Image.Image:
  """Return a file as a picture of that shorter side, with its aspect kept."""
  image = load(data, rules.min_decoded_side(shorter_side))
  width, height = stored_size(*image.size, shorter_side)
  # The check may have seen another fraction of a JPEG, of almost its aspect.
  check_stored_size(round(0.99 * width), round(0.99 * height))
  longest = rules.MAX_STORED_SIDE
  return scale(image, (min(width, longest), min(height, longest)))


def stored_size(width: int, height: int, shorter_side: int) -> tuple[int, int]:
  """Return the width and height at another shorter side."""
  factor = shorter_side / min(width, height)
  return round(factor * width), round(factor * height)


def as_it_is(data: places.Raw) -> Image.Image:
  """Return a file as a picture of its own size."""
  image = load(data)
  check_stored_size(*image.size)
  return image


def jpeg(image: Image.Image) -> bytes:
  """Encode with full color resolution.

  Lesions are a few pixels wide: the usual halving of the color channels
  would smear them.
  """
  buffer = io.BytesIO()
  image.save(buffer, 'JPEG', quality=rules.JPEG_QUALITY, subsampling=0)
  return buffer.getvalue()


def stored(data: places.Raw, image: Image.Image) -> bytes:
  """Return what is stored of a picture, of which `image` was made.

  A JPEG that `jpeg` has written, and that shows this very picture, is stored
  as it is: each encoding more would change it a little.
  """
  written = jpeg(image)
  start = written[: written.index(jpeg_segments.SCAN)]
  is_alike = (
    isinstance(data, bytes)
    and data.startswith(start)
    and jpeg_segments.strip(data).data == data
    and load(data).tobytes() == image.tobytes()
  )
  return bytes(data) if is_alike else written


def eight_bits(image: Image.Image) -> Image.Image:
  """Return a picture of 8 bits with nothing else that a file may hold."""
  if image.mode.startswith('I') or image.mode == 'F':
    return pixels.stretch(pixels.values(image))
  if image.mode == 'CMYK':
    return pixels.from_cmyk(image)
  image = image.convert('L' if image.mode in ('1', 'L', 'LA') else 'RGB')
  image.info.clear()
  return image


def _is_dicom(data):
  """Return whether a file begins as DICOM, maybe without its preamble."""
  # Of the first element's tag, the group: of file meta, or of identification.
  is_bare = data[:4] in (b'\2\0\0\0', b'\2\0\1\0', b'\2\0\2\0', b'\2\0\x10\0')
  return data[128:132] == b'DICM' or is_bare or data[:2] == b'\x08\0'
