"""From the rows of a source to records: labels, patients, splits, groups."""

import dataclasses
import functools
import os

import pandas as pd

from data import cells
from data import images
from data import raw_dataset
from data import splits
from data import tables
from data.image_table import folders
from data.image_table import held_out
from data.image_table import labels as labels_lib
from data.image_table import paths
from data.image_table import patients
from data.image_table import readers
from data.image_table import source as source_lib
from data.image_table import subgroups
from data.image_table import tables_of_files
from transfusion_tf import errors
from transfusion_tf import output_names

KINDS = labels_lib.KINDS
Columns = source_lib.Columns


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
  csv: str | os.PathLike,
  image_root: str | os.PathLike,
  columns: source_lib.Columns,
) -> Table:
  """List the images of a table; see `tables_of_files.read`.

  Raises:
    InputError: No such table or column, labels that make no sense together, or
      a folder that cannot be read.
  """
  return read(tables_of_files.read(csv, image_root, columns))


@images.convert_listing_errors()
def find_folders(
  image_root: str | os.PathLike, columns: source_lib.Columns
) -> Table:
  """List the images of a folder for each class; see `folders.read`.

  Raises:
    InputError: There are no such folders, one cannot be read, or their names
      cannot be classes.
  """
  return read(folders.read(image_root, columns))


@images.convert_listing_errors()
def images_below(image_root: str | os.PathLike) -> list[str]:
  """Return the images of `find_folders`; none if the folder is gone.

  Raises:
    InputError: A folder cannot be read.
  """
  return folders.images(paths.ImageRoot(image_root))


# A column that no table can have.
_GROUPS = '\0groups'


@images.convert_listing_errors()
def read(source: source_lib.Source) -> Table:
  """List the records of a source, with every choice made.

  Raises:
    InputError: Its labels make no sense together, or a folder cannot be read.
  """
  table, where, columns = source.table, source.where, source.columns
  problems = list(source.problems)
  if source.completes_splits and columns.split:
    table, hidden = held_out.without_unlabeled(
      table, columns.split, columns.labels
    )
    problems += hidden
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
    [],
    problems,
    names=() if kind == 'findings' else names,
    fills_splits=True,
    completes_splits=source.completes_splits,
  )
  record_of = functools.partial(
    _record,
    pictures=source.pictures,
    columns=columns,
    kind=kind,
    names=names,
  )
  for name, rows in table.groupby(source_lib.TABLE, sort=False):
    dataset.add_table(name, tables.rows(rows), record_of)
  if columns.test_list:
    held_out.hold_out(dataset, columns.test_list)
  dataset.problems += labels_lib.notes(table, columns.labels, kind, names)
  if columns.patient:
    patients.same(dataset, columns.join_patients)
  else:
    dataset.problems += patients.candidates(table, columns, dataset.records)
  if columns.majority:
    readers.vote(dataset, kind)
  dataset.problems += _without_label(source.pictures, table[source_lib.CELL])
  return Table(dataset, kind, names)


def _without_label(pictures, named):
  """Return a note for each image that no cell names."""
  if not pictures.paths:
    return []
  known = set()
  for cell in named:
    try:
      known.add(os.path.realpath(pictures.locate(cell)[1]))
    except raw_dataset.InvalidRecordError:
      continue
  return [
    raw_dataset.Problem('image without label', pictures.relative(path))
    for path in pictures.paths
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


def _cell(table: pd.DataFrame, columns: source_lib.Columns, name: str) -> str:
  """Return the first cell of a class, with the line that it is in."""
  (column,) = columns.labels
  line = table.index[table[column] == name][0]
  return f'{name!a} in line {line}'


def _record(row, pictures, columns, kind, names):
  image_id, full = pictures.locate(row[source_lib.CELL])
  split, patient = '', image_id
  if columns.test_csv:
    is_test = row[source_lib.TABLE] == os.path.basename(columns.test_csv)
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
