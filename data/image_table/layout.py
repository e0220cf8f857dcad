"""A CSV of image paths and labels, or a folder for each class."""

import dataclasses
import functools
import os
import pathlib

import pandas as pd

from data import cells
from data import images
from data import raw_dataset
from data import splits
from data import tables
from data.image_table import held_out
from data.image_table import labels as labels_lib
from data.image_table import paths
from data.image_table import patients
from data.image_table import readers
from data.image_table import subgroups
from transfusion_tf import errors
from transfusion_tf import output_names

KINDS = labels_lib.KINDS


@dataclasses.dataclass(frozen=True)
class Columns:
  """The meaning of a table's columns; empty means there is none or any.

  Attributes:
    path: Image paths, relative to the image root, or names of files anywhere
      below it; of several columns, `A,B`, the cells are joined as folders.
    labels: One column of class names or grades, or any number of findings;
      empty is every column that is nothing else.
    patient: Patient ids; without it each image is a patient.
    split: `train`, `validation` or `test`; without it patients are drawn.
    kind: One of KINDS; empty infers it from the cells.
    classes: Names of the classes, in order; empty is those that occur.
    ignored: Columns that are nothing, so that the others can be labels.
    separator: What separates the findings in the cells of one column.
    join_patients: Whether ids that differ by case, leading zeros or `.0` alone
      are of one patient.
    majority: Whether several rows of an image are readers, who vote.
    test_list: A text file of the names of the test images, a line each; the
      others are trained and validated on.
    test_csv: A table of the test images; that of `find` has the others.
    subgroups: Columns by which results are given apart, `NAME` or
      `NAME=CUT/CUT` each.
  """

  path: str = 'path'
  labels: tuple[str, ...] = ()
  patient: str = ''
  split: str = ''
  kind: str = ''
  classes: tuple[str, ...] = ()
  ignored: tuple[str, ...] = ()
  separator: str = ''
  join_patients: bool = False
  majority: bool = False
  test_list: str = ''
  test_csv: str = ''
  subgroups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
  """A table that was read, with every choice made.

  Attributes:
    kind: One of KINDS.
    names: Names of the classes, the grades or the findings.
  """

  dataset: raw_dataset.RawDataset
  kind: str
  names: tuple[str, ...]


@images.convert_listing_errors()
def find(
  csv: str | os.PathLike, image_root: str | os.PathLike, columns: Columns
) -> Table:
  """List the images of a table.

  Args:
    csv: A table, or several, `A,B`, of which each adds its columns to the rows
      of the first.
    image_root: Where the paths start.
    columns: The meaning of the columns.

  Raises:
    InputError: No such table or column, labels that make no sense together, or
      a folder that cannot be read.
  """
  held_out.check(columns.split, columns.test_list, columns.test_csv)
  path_columns = _path_columns(columns.path)
  grouping = [c.name for c in subgroups.parse(columns.subgroups)]
  given = [columns.patient, columns.split, *columns.labels, *columns.ignored]
  given += grouping
  table, keys, problems = tables.read_joined(csv)
  name = pathlib.Path(csv).name
  table[_TABLE] = name
  if columns.test_csv:
    table = held_out.append(table, columns.test_csv, _TABLE, columns.ignored)
  if columns.path in table:
    path_columns = [columns.path]
  named = [c for c in table if c != _TABLE]
  tables.check_columns(csv, named, filter(None, [*path_columns, *given]))
  nothing = {*path_columns, *given, *keys, _TABLE}
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
  table[_CELL] = [os.path.join(*row) for row in table[path_columns].to_numpy()]
  found = _list(table, str(csv), paths.ImageRoot(image_root), columns)
  found.dataset.problems[:0] = problems
  return found


@images.convert_listing_errors()
def find_folders(image_root: str | os.PathLike, columns: Columns) -> Table:
  """List the images of a folder for each class; see `paths.from_folders`.

  Raises:
    InputError: There are no such folders, one cannot be read, or their names
      cannot be classes.
  """
  if columns.subgroups:
    raise errors.InputError(
      '--subgroup_columns are columns of a table; folders of classes have none'
    )
  root = paths.ImageRoot(image_root)
  table = paths.from_folders(root)
  table[_CELL] = table[paths.PATH]
  table[_TABLE] = os.path.basename(root.shown)
  columns = dataclasses.replace(
    columns,
    path=paths.PATH,
    labels=(paths.LABEL,),
    patient='',
    split=paths.SPLIT if paths.SPLIT in table else '',
    # Folders called 0 and 1 are classes, not states of a finding.
    kind=columns.kind or _folders_kind(table),
  )
  where = os.fspath(image_root)
  return _list(table, where, root, columns)


@images.convert_listing_errors()
def images_below(image_root: str | os.PathLike) -> list[str]:
  """Return the images of `find_folders`; none if the folder is gone.

  Raises:
    InputError: A folder cannot be read.
  """
  return paths.ImageRoot(image_root).paths


# Columns that no table can have.
_CELL, _TABLE, _GROUPS = '\0path', '\0table', '\0groups'


def _path_columns(path):
  return [name.strip() for name in path.split(',')]


def _folders_kind(table):
  integers = all(cells.integer(name) is not None for name in table[paths.LABEL])
  return 'grade' if integers else 'label'


def _list(table, where, root, columns):
  """Return the Table of rows with a `_CELL` and a `_TABLE`."""
  try:
    if columns.separator:
      if len(columns.labels) != 1:
        raise ValueError('--label_separator is for one column of labels')
      table, findings = labels_lib.separated(
        table, columns.labels[0], columns.separator
      )
      columns = dataclasses.replace(
        columns, kind='findings', labels=findings, separator=columns.labels[0]
      )
    kind = columns.kind or labels_lib.kind_of(table, columns.labels)
    names = labels_lib.names_of(table, columns.labels, kind, columns.classes)
  except ValueError as error:
    if isinstance(error, errors.InputError):
      raise
    raise errors.InputError(
      f'{where}: {error}; say which with --label_columns and --label_kind'
    ) from None
  _check_names(table, where, columns, kind, names)
  grouping = subgroups.parse(columns.subgroups)
  if grouping:
    table[_GROUPS] = subgroups.of_rows(table, grouping, where)
  dataset = raw_dataset.RawDataset(
    [], names=() if kind == 'findings' else names, fills_splits=True
  )
  record_of = functools.partial(
    _record, root=root, columns=columns, kind=kind, names=names
  )
  for name, rows in table.groupby(_TABLE, sort=False):
    dataset.add_table(name, tables.rows(rows), record_of)
  if columns.test_list:
    held_out.hold_out(dataset, columns.test_list)
  dataset.problems += labels_lib.notes(table, columns.labels, kind, names)
  if columns.patient:
    patients.same(dataset, columns.join_patients)
  if columns.majority:
    readers.vote(dataset, kind)
  dataset.problems += _without_label(root, table[_CELL])
  return Table(dataset, kind, names)


def _without_label(root, named):
  """Return a note for each image that no cell names."""
  known = set()
  for cell in named:
    try:
      known.add(os.path.realpath(root.file(cell)))
    except raw_dataset.InvalidRecordError:
      continue
  return [
    raw_dataset.Problem('image without label', root.relative(path))
    for path in root.paths
    if os.path.realpath(path) not in known
  ]


def _check_names(table, where, columns, kind, names):
  if kind == 'findings':
    output_names.check(names, kind, f'{where}:1')
  elif columns.classes:
    output_names.check(names, kind, '--classes')
  elif pair := output_names.twins(names):
    raise errors.InputError(
      f'{where}: {_cell(table, columns, pair[0])} and '
      f'{_cell(table, columns, pair[1])} look the same; give the class one '
      'spelling'
    )


def _cell(table: pd.DataFrame, columns: Columns, name: str) -> str:
  """Return the first cell of a class, with the line that it is in."""
  (column,) = columns.labels
  line = table.index[table[column] == name][0]
  return f'{name!a} in line {line}'


def _record(row, root, columns, kind, names):
  full = root.file(row[_CELL])
  image_id = root.relative(full)
  split, patient = '', image_id
  if columns.test_csv:
    is_test = row[_TABLE] == os.path.basename(columns.test_csv)
    split = 'test' if is_test else 'train'
  elif columns.split:
    split = _split(columns.split, row[columns.split])
  if columns.patient:
    patient = _patient(columns.patient, row[columns.patient])
  if columns.separator and cells.is_missing(row[columns.separator]):
    raise raw_dataset.InvalidRecordError(
      'impossible label',
      f'{columns.separator} is {row[columns.separator]!r}, not even No Finding',
    )
  labels = {kind: labels_lib.label_of(row, columns.labels, kind, names)}
  return raw_dataset.Record(
    image_id, patient, full, split, labels, groups=row.get(_GROUPS, {})
  )


def _split(column, cell):
  split = cells.SPLITS.get(cell.lower())
  if split not in splits.SPLITS:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{column} is {cell!r}'
    )
  return split


def _patient(column, cell):
  if cells.is_missing(cell):
    is_what = f'is {cell!r}, which is no patient' if cell else 'is blank'
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{column} {is_what}'
    )
  return cell
