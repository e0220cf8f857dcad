"""Reading label files: CSV as people really save it."""

import bz2
from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import csv
import difflib
import gzip
import itertools
import lzma
import os
import pathlib
import re
import zipfile
import zlib

import pandas as pd

from data import raw_dataset
from data import regular_files
from transfusion_tf import errors
from transfusion_tf import output_names

UNNAMED = 'unnamed column '  # And its number, from 1.
_MAX_BYTES = 2**29  # Of a table once unpacked; the largest here has 0.1 GB.
_SEPARATORS = (',', ';', '\t')
_OPEN: dict[str, Callable] = {
  '.gz': gzip.open,
  '.bz2': bz2.open,
  '.xz': lzma.open,
}

csv.field_size_limit(_MAX_BYTES)  # A report of many pages is a cell, too.


def rows(table: pd.DataFrame) -> Iterator[tuple[int, dict[str, str]]]:
  """Yield (line in the file, cells by column) of each row from `read`."""
  return zip(table.index, table.to_dict('records'), strict=True)


def read(path: str | os.PathLike, columns: Sequence[str]) -> pd.DataFrame:
  """Return a CSV file as text cells, stripped; blank cells are empty strings.

  Takes a byte-order mark, any line ending, semicolons or tabs for commas, and
  a compressed file. Blank rows are left out.

  Args:
    path: A CSV file, or a zip, gz, bz2 or xz file of one.
    columns: The required columns.

  Returns:
    All columns; the index is the line in the file at which the row begins, the
    first line being line 1.

  Raises:
    InputError: No such file, not a CSV file, or a column is missing.
  """
  text = _text(path)
  lines, cells = [], []
  for line, row in _parse(path, text):
    if any(row):
      lines.append(line)
      cells.append(row)
  if not cells:
    raise errors.InputError(f'{path} is not a CSV file: it is empty')
  names = _header(f'{path}:{lines[0]}', cells[0])
  for line, row in zip(lines[1:], cells[1:], strict=True):
    if any(row[len(names) :]):
      raise errors.InputError(
        f'{path}:{line}: {len(row)} cells, but {len(names)} columns have a '
        'name; put a cell that holds the separator in double quotes'
      )
  check_columns(path, names, columns)
  if len(cells) == 1:
    raise errors.InputError(f'{path} has a header and no rows')
  width = len(names)
  return pd.DataFrame(
    [(row + [''] * width)[:width] for row in cells[1:]],
    columns=names,
    index=lines[1:],
    dtype=object,
  )


def lines(path: str | os.PathLike) -> list[str]:
  """Return the lines of a text file that are not blank, stripped.

  Raises:
    InputError: It cannot be read.
  """
  stripped = map(str.strip, _text(path).splitlines())
  return [line for line in stripped if line]


def column(
  path: str | os.PathLike, names: Sequence[str]
) -> Iterator[list[str]]:
  """Yield the stripped cells of some columns, row by row, of a long table.

  What `read` takes is taken, but a table in a zip archive, and nothing is kept
  in memory. Blank rows are left out.

  Args:
    path: A CSV file, or a gz, bz2 or xz file of one.
    names: The columns.

  Raises:
    InputError: As `read`.
  """
  places: list[int] = []
  with _convert_read_errors(path):
    regular_files.check(path)
    opened = _OPEN.get(pathlib.Path(path).suffix.lower(), open)
    with opened(path, 'rt', encoding='utf-8-sig') as file:
      for line, row in _parse_lines(path, file):
        if not any(row):
          continue
        if not places:
          header = _header(f'{path}:{line}', row)
          check_columns(path, header, names)
          places = [header.index(name) for name in names]
          continue
        yield [row[n] if n < len(row) else '' for n in places]
  if not places:
    raise errors.InputError(f'{path} is not a CSV file: it is empty')


def read_joined(
  paths: str | os.PathLike,
) -> tuple[pd.DataFrame, list[str], list[raw_dataset.Problem]]:
  """Read `A,B`: a table whose rows get the columns of others.

  A row of the others belongs to it that has the same cells in all columns of
  the same name.

  Returns:
    The rows of the first table that have one in each other; the columns that
    the tables are joined by; a problem for each other row.

  Raises:
    InputError: A table cannot be read, or two have no column in common.
  """
  first, *others = several(paths)
  table = read(first, ())
  keys: list[str] = []
  problems = []
  for path in others:
    other = read(path, ())
    shared = [column for column in other if column in table]
    if not shared:
      raise errors.InputError(
        f'{path} and {first} have no column in common to be joined by'
      )
    keys += shared
    twice = other[other.duplicated(shared)]
    if len(twice):
      key = ', '.join(twice.iloc[0][shared])
      raise errors.InputError(
        f'{path}:{twice.index[0]}: a second row of {key}, so that '
        f'{", ".join(shared)} does not tell which belongs to a row of {first}'
      )
    joined = table.merge(other, 'left', shared, indicator=True)
    joined.index = table.index
    alone = joined['_merge'] == 'left_only'
    problems += [
      raw_dataset.Problem(
        'impossible label',
        f'{os.path.basename(first)}:{line}',
        f'{os.path.basename(path)} has no row of its {", ".join(shared)}',
      )
      for line in joined.index[alone]
    ]
    table = joined[~alone].drop(columns='_merge')
  return table, keys, problems


def several(paths: str | os.PathLike) -> list[str]:
  """Return the paths of `A,B`; those without folder are beside the first."""
  text = os.fspath(paths)
  if os.path.exists(text) or ',' not in text:
    return [text]
  folder = os.path.dirname(text.split(',')[0])
  return [
    path if not n or os.path.dirname(path) else os.path.join(folder, path)
    for n, path in enumerate(text.split(','))
  ]


@contextlib.contextmanager
def _convert_read_errors(path):
  """Convert what reading and unpacking a file raises into one line."""
  try:
    yield
  except errors.InputError:
    raise
  except FileNotFoundError:
    name, folder = os.path.basename(path), os.path.dirname(path) or '.'
    raise errors.InputError(f'no {name} in {folder}') from None
  except UnicodeDecodeError:
    raise errors.InputError(
      f'{path} is not a text file in UTF-8; save it as "CSV UTF-8"'
    ) from None
  except (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError),
    *(OSError, ValueError, RuntimeError, EOFError),
  ) as error:
    raise errors.InputError(f'{path} cannot be read: {error}') from None


def _text(path):
  """Return what a file holds, unpacked, as text without byte-order mark."""
  with _convert_read_errors(path):
    data = _unpacked(path)
  if len(data) > _MAX_BYTES:
    raise errors.InputError(
      f'{path} holds more than {_MAX_BYTES:,} bytes: not a table of labels'
    )
  try:
    return data.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    line = data.count(b'\n', 0, error.start) + 1
    raise errors.InputError(
      f'{path} is not a text file in UTF-8 (line {line}); save it as "CSV '
      'UTF-8"'
    ) from None


def _unpacked(path):
  regular_files.check(path)
  suffix = pathlib.Path(path).suffix.lower()
  if suffix == '.zip':
    with zipfile.ZipFile(path) as archive:
      members = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith('__MACOSX/')
      ]
      if len(members) != 1:
        raise ValueError(f'it holds {len(members)} files, not one table')
      with archive.open(members[0]) as file:
        return file.read(_MAX_BYTES + 1)
  with _OPEN.get(suffix, open)(path, 'rb') as file:
    return file.read(_MAX_BYTES + 1)


def _parse(path, text):
  """Yield (line at which it begins, stripped cells) of each row."""
  text = text.replace('\r\n', '\n').replace('\r', '\n')
  yield from _parse_lines(path, _lines(text))


def _parse_lines(path, lines):
  """Yield the rows of `_parse` of lines that end in a line feed each."""
  lines = iter(lines)
  peeked = []
  for line in lines:
    peeked.append(line)
    if line.strip():
      break
  first = ''.join(peeked[-1:])
  if named := re.fullmatch(r'sep=(.)\n', first, re.IGNORECASE):  # Excel's.
    separator, skipped = named[1], len(peeked)
  else:
    # The one that the header has most of; a comma if it has none.
    separator, skipped = max(_SEPARATORS, key=first.count), 0
    lines = itertools.chain(peeked, lines)
  reader = csv.reader(lines, delimiter=separator, strict=True)
  line = 1 + skipped
  try:
    for row in reader:
      yield line, [cell.strip() for cell in row]
      line = reader.line_num + 1 + skipped
  except csv.Error as error:
    raise errors.InputError(
      f'{path}:{line} is not a CSV file: {error}; is a double quote not closed?'
    ) from None


def _lines(text):
  """Yield the lines; StringIO would copy all of them, four bytes a letter."""
  start = 0
  while start < len(text):
    end = text.find('\n', start) + 1 or len(text)
    yield text[start:end]
    start = end


def _header(where, cells):
  """Return the names of the columns; one without is named by its number."""
  names = [
    cell or f'{UNNAMED}{number}' for number, cell in enumerate(cells, start=1)
  ]
  if pair := output_names.twins(names):
    raise errors.InputError(
      f'{where}: two columns are called {pair[0]!r}; rename one'
    )
  return names


def check_columns(
  path: str | os.PathLike, names: Sequence[str], columns: Iterable[str]
) -> None:
  """Raise InputError if one of `columns` is not among `names`."""
  for column in columns:
    if column not in names:
      near = difflib.get_close_matches(column, names, n=1)
      hint = f'; is it {near[0]!r}?' if near else ''
      existing = ', '.join(names)
      raise errors.InputError(
        f'{path} has no column {column!r}{hint} (it has: {existing})'
      )
