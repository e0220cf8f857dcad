"""Hugging Face's `imagefolder` with metadata: columns beside the images.

A `metadata.csv` or `metadata.jsonl` is in the folder whose images it describes:
`file_name` is a path from there, the other columns are as in any table.
"""

from collections.abc import Iterator
import dataclasses
import json
import os

import pandas as pd

from data import regular_files
from data import tables
from data.image_table import paths
from data.image_table import rows as rows_lib
from data.image_table import shards
from data.image_table import source as source_lib
from transfusion_tf import errors

NAMES = ('metadata.csv', 'metadata.jsonl')
_FILE = 'file_name'
_MAX_BYTES = 2**29  # Of a file, as of a table.


def files(path: str) -> list[str]:
  """Return the files of metadata, in order.

  Raises:
    OSError: A folder cannot be read.
  """
  if not os.path.isdir(path):
    return [path] if os.path.basename(path) in NAMES else []
  found = [f for name in NAMES for f in shards.find(path, name)]
  return sorted(f for f in found if os.path.basename(f) in NAMES)


def read(path: str, columns: source_lib.Columns) -> source_lib.Source:
  """Return a row for each row of the metadata.

  Args:
    path: The folder, or the file of metadata in it.
    columns: What the flags say.

  Raises:
    InputError: A file is damaged or has no `file_name`, or nothing says which
      column is the label.
  """
  found = files(path)
  if not found:
    raise errors.InputError(f'{path} holds no {" and no ".join(NAMES)}')
  folder = path if os.path.isdir(path) else os.path.dirname(path) or '.'
  splits = shards.splits(os.path.abspath(folder), found)
  parts = []
  for file, split in zip(found, splits, strict=True):
    part = _table(file)
    below = os.path.relpath(os.path.dirname(file), folder)
    part[source_lib.CELL] = [
      os.path.normpath(os.path.join(below, name)) for name in part[_FILE]
    ]
    part[source_lib.TABLE] = os.path.relpath(file, folder)
    if split:
      part[source_lib.SPLIT] = split
    parts.append(part)
  table = pd.concat(parts).fillna('')
  known = rows_lib.usual(path, table, columns, source_lib.Columns())
  return source_lib.Source(
    path,
    table,
    paths.ImageRoot(folder),
    dataclasses.replace(
      source_lib.complete(path, table, columns, known), path=_FILE
    ),
    completes_splits=True,
  )


def _table(file):
  if file.endswith('.csv'):
    return tables.read(file, (_FILE,))
  rows = dict(_objects(file))
  table = pd.DataFrame.from_dict(rows, 'index', dtype=object).fillna('')
  tables.check_columns(file, list(table), (_FILE,))
  return table


def _objects(file) -> Iterator[tuple[int, dict[str, str]]]:
  """Yield (line, cells) of each line of a file of JSON objects."""
  try:
    text = regular_files.read(file, _MAX_BYTES).decode('utf-8-sig')
  except UnicodeDecodeError:
    raise errors.InputError(f'{file} is not a text file in UTF-8') from None
  except OSError as error:
    raise errors.InputError(
      f'{file} cannot be read: {error.strerror or error}'
    ) from None
  for line, row in enumerate(text.split('\n'), start=1):
    if not row.strip():
      continue
    try:
      value = json.loads(row)
    except (ValueError, RecursionError):
      value = None
    if not isinstance(value, dict):
      raise errors.InputError(f'{file}:{line} is no object of JSON')
    yield line, rows_lib.cells_of(value)
