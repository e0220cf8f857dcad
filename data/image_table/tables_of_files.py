"""Tables of paths and labels, beside files of images."""

import dataclasses
import os
import pathlib

from data import tables
from data.image_table import held_out
from data.image_table import paths
from data.image_table import rows as rows_lib
from data.image_table import source as source_lib
from data.image_table import subgroups
from transfusion_tf import errors


def read(
  csv: str | os.PathLike,
  image_root: str | os.PathLike,
  columns: source_lib.Columns,
) -> source_lib.Source:
  """Return the rows of a table.

  Args:
    csv: A table, or several, `A,B`, of which each adds its columns to the rows
      of the first.
    image_root: Where the paths start.
    columns: The meaning of the columns.

  Raises:
    InputError: No such table or column.
  """
  held_out.check(columns.split, columns.test_list, columns.test_csv)
  path_columns = _path_columns(columns.path)
  grouping = [c.name for c in subgroups.parse(columns.subgroups)]
  table, keys, problems = tables.read_joined(csv)
  if columns.usual:
    columns = _usual(table, columns)
  given = [columns.patient, columns.split, *columns.labels, *columns.ignored]
  given += grouping
  name = pathlib.Path(csv).name
  table[source_lib.TABLE] = name
  if columns.test_csv:
    table = held_out.append(
      table, columns.test_csv, source_lib.TABLE, columns.ignored
    )
  if columns.path in table:
    path_columns = [columns.path]
  named = [c for c in table if c != source_lib.TABLE]
  tables.check_columns(csv, named, filter(None, [*path_columns, *given]))
  nothing = {*path_columns, *given, *keys, source_lib.TABLE}
  labels = columns.labels or tuple(c for c in table if c not in nothing)
  columns = dataclasses.replace(columns, labels=labels)
  if not columns.labels:
    raise errors.InputError(f'{csv} has no column of labels')
  for column in columns.labels:
    if column.startswith(tables.UNNAMED):
      raise errors.InputError(
        f'{csv}:1: {column} has no name; name it, or say which columns are '
        'labels with --label_columns'
      )
  table[source_lib.CELL] = [
    os.path.join(*row) for row in table[path_columns].to_numpy()
  ]
  return source_lib.Source(
    str(csv), table, paths.ImageRoot(image_root), columns, problems
  )


def _usual(table, columns):
  """Return the label and the split of a table by columns of usual names."""
  labels = [name for name in rows_lib.LABELS if name in table]
  return dataclasses.replace(
    columns,
    labels=columns.labels or tuple(labels[:1]),
    split=source_lib.SPLIT if source_lib.SPLIT in table else columns.split,
  )


def _path_columns(path):
  return [name.strip() for name in path.split(',')]
