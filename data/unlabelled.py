"""Pictures without labels: where they are, and what is stored of each.

They are found, decoded and prepared by the code that prepares data sets, so
that a network sees of a picture what it would have seen in training.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import io
import os
import pathlib

from PIL import Image

from data import archives
from data import images
from data import jpeg_segments
from data import parallel
from data import places
from data import raw_dataset
from data import tables
from data.image_table import paths
from data.retina import fundus
from transfusion_tf import errors
from transfusion_tf.image_ops import rules
from transfusion_tf.predict import pictures as pictures_lib

_LISTS = ('.txt', '.lst', '.list')
_PARQUET = '.parquet'
_ARCHIVES = ('.zip', '.zip.001', '.tar')
_ROWS = 4096  # Of a Parquet file, read at a time.


def is_archive(path: str) -> bool:
  """Return whether a path is an archive of pictures."""
  return path.lower().endswith(_ARCHIVES) and not os.path.isdir(path)


@images.convert_listing_errors()
def of_folder(
  folder: str, on_other: Callable[[str], None] = lambda name: None
) -> Iterator[pictures_lib.Picture]:
  """Yield the pictures in a folder and below it, by the ends of their names.

  Args:
    folder: The folder.
    on_other: Called with the name of each other file.

  Raises:
    InputError: There is no such folder, or it cannot be read.
  """
  if not os.path.isdir(folder):
    raise errors.InputError(
      f'{folder} is no folder, and no archive ({", ".join(_ARCHIVES)})'
    )
  for path in images.find_images(folder, on_other):
    name = pathlib.PurePath(os.path.relpath(path, folder)).as_posix()
    yield pictures_lib.Picture(name, path)


def of_archive(
  archive: str, on_other: Callable[[str], None] = lambda name: None
) -> Iterator[pictures_lib.Picture]:
  """Yield the pictures in a zip archive or a tar, by the ends of their names.

  Args:
    archive: The archive.
    on_other: Called with the name of each other file.

  Raises:
    InputError: It cannot be opened.
  """
  members = (
    archives.tar_members(archive)
    if archive.lower().endswith('.tar')
    else ((p.split('::', 1)[1], p) for p in archives.zip_members(archive))
  )
  for name, path in members:
    if name.lower().endswith(images.EXTENSIONS):
      yield pictures_lib.Picture(name, path)
    else:
      on_other(name)


@images.convert_listing_errors()
def of_table(
  table: str, column: str, image_root: str
) -> Iterator[pictures_lib.Picture]:
  """Yield a picture for each row of a table, or each line of a list.

  Args:
    table: A CSV or Parquet file, or a list of paths: .txt, .lst or .list.
    column: The column of paths; `A,B` joins folders and names.
    image_root: Where paths start; names alone may be anywhere below.

  Raises:
    InputError: There is no such file, folder or column.
  """
  if not os.path.isdir(image_root):
    raise errors.InputError(f'{image_root} is no folder, where paths start')
  root = paths.ImageRoot(image_root)
  for cell in _cells(table, column):
    try:
      yield pictures_lib.Picture(cell, root.file(cell))
    except raw_dataset.InvalidRecordError as error:
      yield pictures_lib.Picture(cell, '', error.kind, str(error))


def _cells(table, column):
  suffix = pathlib.Path(table).suffix.lower()
  if suffix in _LISTS:
    yield from _lines(table)
    return
  names = [name.strip() for name in column.split(',')]
  rows = (
    _parquet_rows(table, names)
    if suffix == _PARQUET
    else tables.column(table, names)
  )
  for row in rows:
    yield os.path.join(*row)


def _lines(path):
  try:
    with open(path, encoding='utf-8-sig') as file:
      for line in file:
        if line := line.rstrip('\n'):
          yield line
  except FileNotFoundError:
    raise errors.InputError(f'no {path}') from None
  except UnicodeDecodeError:
    raise errors.InputError(f'{path} is not a text file in UTF-8') from None


def _parquet_rows(path, names):
  try:
    from pyarrow import lib
    from pyarrow import parquet
  except ImportError:
    raise errors.InputError(
      f"{path}: Parquet needs pyarrow: pip install -e '.[parquet]'"
    ) from None
  try:
    with parquet.ParquetFile(path) as file:
      tables.check_columns(path, file.schema_arrow.names, names)
      for batch in file.iter_batches(_ROWS, columns=names):
        cells = (batch.column(name).to_pylist() for name in names)
        for row in zip(*cells, strict=True):
          yield ['' if cell is None else str(cell) for cell in row]
  except FileNotFoundError:
    raise errors.InputError(f'no {path}') from None
  except (lib.ArrowException, OSError) as error:
    reason = str(error).splitlines()[0]
    raise errors.InputError(f'{path} is no Parquet file: {reason}') from None


@dataclasses.dataclass(frozen=True)
class Preparer:
  """Prepares pictures; can be sent to other processes.

  Attributes:
    kind: `StoredForm.kind`.
    side: `StoredForm.side`.
  """

  kind: str
  side: int

  def __call__(self, picture: pictures_lib.Picture) -> pictures_lib.Prepared:
    """Return what is stored of a picture, or what is wrong with it."""
    if picture.status:
      return pictures_lib.Prepared(b'', picture.reason, picture.status)
    try:
      return self._prepared(images.read(picture.path))
    except raw_dataset.InvalidRecordError as error:
      return pictures_lib.Prepared(b'', str(error), error.kind)
    except errors.InputError as error:  # An archive that is no more.
      return pictures_lib.Prepared(b'', str(error), 'unreadable image')

  def _prepared(self, data):
    if self.kind == 'as_it_is':
      return pictures_lib.Prepared(_as_it_is(data))
    if self.kind == 'fundus':
      image = images.load(data, rules.min_decoded_side(self.side))
      stored = fundus.crop(image, self.side)
      return pictures_lib.Prepared(
        images.stored(data, stored), fundus.note(image)
      )
    if self.kind == 'own_size':
      stored = images.as_it_is(data)
    else:
      stored = _SCALED[self.kind](data, self.side)
    return pictures_lib.Prepared(images.stored(data, stored))


_SCALED: dict[str, Callable[[places.Raw, int], Image.Image]] = {
  'squeezed': images.resize_to_square,
  'shorter_side': images.resize_shorter_side,
}


def _as_it_is(data):
  """Return a file that TensorFlow's decoders read as ours do.

  Data sets of others hold such files, and no DICOM.
  """
  picture = images.decode(data).picture
  if isinstance(data, bytes) and data.startswith(jpeg_segments.SIGNATURE):
    container = jpeg_segments.strip(data)
    if container.orientation == 1 and _is_of_light(data):
      return data
  buffer = io.BytesIO()
  picture.save(buffer, 'PNG', compress_level=1)
  return buffer.getvalue()


def _is_of_light(data):
  """Return whether a JPEG is gray or color, and not of ink."""
  with Image.open(io.BytesIO(data)) as image:
    return image.mode in ('L', 'RGB')


def prepare(
  pictures: Sequence[pictures_lib.Picture],
  preparer: Preparer,
  num_processes: int = 0,
) -> Iterator[pictures_lib.Prepared]:
  """Yield what is stored of each picture, in order, from many processes."""
  return parallel.ordered_map(preparer, pictures, num_processes)
