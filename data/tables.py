"""Reading label files: CSV as people really save it."""

from collections.abc import Iterator, Sequence
import difflib
import os
import zipfile

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import output_names

UNNAMED = 'unnamed column '  # And its number, from 1.


def rows(table: pd.DataFrame) -> Iterator[tuple[int, dict[str, str]]]:
  """Yield (line in the file, cells by column) of each row from `read`."""
  return zip(table.index, table.to_dict('records'), strict=True)


def _header(path, cells):
  """Return the names of the columns; one without is named by its number."""
  names = [
    cell.strip() or f'{UNNAMED}{number}'
    for number, cell in enumerate(cells, start=1)
  ]
  if pair := output_names.twins(names):
    raise errors.InputError(
      f'{path}:1: two columns are called {pair[0]!r}; rename one'
    )
  return names


def read(path: str | os.PathLike, columns: Sequence[str]) -> pd.DataFrame:
  """Return a CSV file as text cells, stripped; blank cells are empty strings.

  Takes a byte-order mark, any line ending and a zipped file.

  Args:
    path: A CSV file, or a zip file of one.
    columns: The required columns.

  Returns:
    All columns; the index is the line in the file, the header being line 1.

  Raises:
    InputError: No such file, not a CSV file, or a column is missing.
  """
  name = os.path.basename(path)
  try:
    # The header is a row like others: pandas would rename what is there twice.
    table = pd.read_csv(
      path, header=None, dtype=str, keep_default_na=False, encoding='utf-8-sig'
    )
  except FileNotFoundError:
    folder = os.path.dirname(path) or '.'
    raise errors.InputError(f'no {name} in {folder}') from None
  except UnicodeDecodeError:
    raise errors.InputError(f'{path} is not a text file in UTF-8') from None
  except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
    raise errors.InputError(f'{path} is not a CSV file: {error}') from None
  except (zipfile.BadZipFile, ValueError, OSError) as error:
    raise errors.InputError(f'{path} cannot be read: {error}') from None
  table.columns = _header(path, table.iloc[0])
  table = table.iloc[1:]
  for column in columns:
    if column not in table:
      near = difflib.get_close_matches(column, table.columns, n=1)
      hint = f'; is it {near[0]!r}?' if near else ''
      existing = ', '.join(table.columns)
      raise errors.InputError(
        f'{path} has no column {column!r}{hint} (it has: {existing})'
      )
  if not len(table):
    raise errors.InputError(f'{path} has a header and no rows')
  table.index = range(2, len(table) + 2)
  return table.map(str.strip)
