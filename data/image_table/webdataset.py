"""WebDataset: tar archives, in which files of one beginning are one row.

`1.jpg`, `1.cls` and `1.json` are a picture, its class, more columns. A picture
stays in the archive, and is read where it is.
"""

from collections.abc import Iterator
import json
import os
import posixpath

from data import archives
from data import cells
from data import images
from data import raw_dataset
from data import texts
from data.image_table import row_columns
from data.image_table import rows as rows_lib
from data.image_table import shards
from data.image_table import source as source_lib
from transfusion_tf import shown_text

_CLASS = 'cls'
_TEXTS = ('cls', 'txt', 'text', 'id')  # Each is a column of its name.
_MAX_TEXT = 2**20  # Bytes of such a file; a longer one holds no label.


def files(path: str) -> list[str]:
  """Return the archives, in their order.

  Raises:
    OSError: A folder cannot be read.
  """
  return shards.find(path, '.tar')


def read(path: str, columns: source_lib.Columns) -> source_lib.Source:
  """Return a row for each picture of an archive, or of those in a folder.

  The split is in the names of the archives (`train-0000.tar`) or, of one
  archive, in the first folder of the names inside.

  Raises:
    InputError: It is no tar, holds no pictures, or no labels.
  """
  found = files(path)
  splits = shards.splits(os.path.abspath(path), found)
  rows = row_columns.RowColumns()
  problems: list[raw_dataset.Problem] = []
  for file, split in zip(found, splits, strict=True):
    prefix = f'{os.path.basename(file)}/' if len(found) > 1 else ''
    for sample in _samples(file):
      try:
        row = _row(file, sample)
      except raw_dataset.InvalidRecordError as error:
        problems.append(
          raw_dataset.Problem(error.kind, sample[0][0], str(error))
        )
        continue
      if row:
        name, place, found_cells = row
        if split:
          found_cells[source_lib.SPLIT] = split
        rows.append(shown_text.printable(prefix + name), place, found_cells)
  if not any(splits):
    _add_first_folders(rows)
  return rows_lib.of_rows(
    path, rows, columns, source_lib.Columns(), found, problems
  )


def _samples(file) -> Iterator[list[tuple[str, str, str]]]:
  """Yield the (name, extension, place) of files that are one row, in order."""
  sample: list[tuple[str, str, str]] = []
  last = None
  for name, place in archives.tar_members(file):
    folder, base = posixpath.split(name.removeprefix('./'))
    if base.startswith('.') or '__MACOSX' in folder:
      continue
    stem, _, extension = base.partition('.')
    key = posixpath.join(folder, stem)
    if key != last and sample:
      yield sample
      sample = []
    last = key
    sample.append((posixpath.join(folder, base), extension.lower(), place))
  if sample:
    yield sample


def _row(file, sample):
  """Return the name, place and cells of a sample; None without a picture.

  Raises:
    InvalidRecordError: It has several pictures, or what belongs to it is
      damaged.
  """
  pictures = [
    (name, place)
    for name, extension, place in sample
    if f'.{extension}'.endswith(images.EXTENSIONS)
  ]
  if not pictures:
    return None
  if len(pictures) > 1:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{len(pictures)} pictures of one name'
    )
  found: dict[str, str] = {}
  for name, extension, place in sample:
    if extension in _TEXTS:
      found[extension] = _text(name, place).strip()
    elif extension == 'json':
      found |= _columns(name, _text(name, place))
  return *pictures[0], found


def _text(name, place):
  length = int(place.rpartition('+')[2])
  if length > _MAX_TEXT:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{name} has {length:,} bytes'
    )
  try:
    return archives.read(place).decode('utf-8-sig')
  except (OSError, UnicodeDecodeError) as error:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{name} is no text: {error}'
    ) from None


def _columns(name, text):
  """Return the cells of an object in JSON; what is no cell is left out."""
  try:
    value = json.loads(text)
  except (ValueError, RecursionError):
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{name} is no JSON'
    ) from None
  if not isinstance(value, dict):
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{name} is no object of JSON'
    )
  return rows_lib.cells_of(value)


def _add_first_folders(rows):
  """Add the split that the first folder of each name is, if each is one."""
  tops = texts.Texts(name.partition('/')[0].lower() for name in rows.ids)
  if set(tops) <= cells.SPLITS.keys():
    rows.put_column(source_lib.SPLIT, (cells.SPLITS[top] for top in tops))
