"""WebDataset: tar archives, in which files of one beginning are one row.

`1.jpg`, `1.cls` and `1.json` are a picture, its class, more columns. A picture
stays in the archive, and is read where it is.
"""

from collections.abc import Iterator
import json
import os
import posixpath
from typing import NamedTuple

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
_JSON = 'json'
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
        row = _row(sample)
      except raw_dataset.InvalidRecordError as error:
        problems.append(
          raw_dataset.Problem(error.kind, sample[0].name, str(error))
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


class _File(NamedTuple):
  """A file of a sample; its contents are there if it holds a label."""

  name: str
  extension: str
  place: str
  contents: bytes


def _samples(file) -> Iterator[list[_File]]:
  """Yield the files that are one row, in order."""
  sample: list[_File] = []
  last = None
  for name, place, contents in archives.tar_files(file, _is_text):
    folder, base = posixpath.split(name.removeprefix('./'))
    if base.startswith('.') or '__MACOSX' in folder:
      continue
    stem, _, extension = base.partition('.')
    key = posixpath.join(folder, stem)
    if key != last and sample:
      yield sample
      sample = []
    last = key
    name = posixpath.join(folder, base)
    sample.append(_File(name, extension.lower(), place, contents))
  if sample:
    yield sample


def _is_text(name, size):
  extension = posixpath.basename(name).partition('.')[2].lower()
  return extension in (*_TEXTS, _JSON) and size <= _MAX_TEXT


def _row(sample):
  """Return the name, place and cells of a sample; None without a picture.

  Raises:
    InvalidRecordError: It has several pictures, or what belongs to it is
      damaged.
  """
  pictures = [
    (each.name, each.place)
    for each in sample
    if f'.{each.extension}'.endswith(images.EXTENSIONS)
  ]
  if not pictures:
    return None
  if len(pictures) > 1:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{len(pictures)} pictures of one name'
    )
  found: dict[str, str] = {}
  for each in sample:
    if each.extension in _TEXTS:
      found[each.extension] = _text(each).strip()
    elif each.extension == _JSON:
      found |= _columns(each.name, _text(each))
  return *pictures[0], found


def _text(file):
  length = int(file.place.rpartition('+')[2])
  if length > _MAX_TEXT:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{file.name} has {length:,} bytes'
    )
  try:
    return file.contents.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{file.name} is no text: {error}'
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
