"""From the rows of a source to records: labels, patients, splits, groups."""

import dataclasses
import os

import pandas as pd

from data import images
from data import raw_dataset
from data.image_table import folders
from data.image_table import held_out
from data.image_table import labels as labels_lib
from data.image_table import listed
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


@images.convert_listing_errors()
def read(source: source_lib.Source) -> Table:
  """List the records of a source, with every choice made.

  Raises:
    InputError: Its labels make no sense together, or a folder cannot be read.
  """
  table, where, columns = source.table, source.where, source.columns
  noted = list(source.problems)
  if source.completes_splits and columns.split:
    table, hidden = held_out.without_unlabeled(
      table, columns.split, columns.labels
    )
    source = dataclasses.replace(source, table=table)
    noted += hidden
  pictures = source.pictures
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
  _check_names(source, table, columns, kind, names)
  grouping = subgroups.parse(columns.subgroups)
  if grouping:
    table[listed.GROUPS] = subgroups.of_rows(
      table, grouping, where, pictures.line
    )
  maker = listed.Maker(table, pictures, columns, kind, names)
  records, problems = listed.records(maker, source)
  dataset = raw_dataset.RawDataset(
    records,
    [*noted, *problems],
    names=() if kind == 'findings' else names,
    fills_splits=True,
    completes_splits=source.completes_splits,
  )
  if columns.test_list:
    held_out.hold_out(dataset, columns.test_list)
  dataset.problems += labels_lib.notes(table, columns.labels, kind, names)
  if columns.patient:
    patients.same(dataset, columns.join_patients)
  else:
    dataset.problems += patients.candidates(table, columns, dataset.records)
  if columns.majority:
    readers.vote(dataset, kind)
  dataset.problems += _without_label(pictures, table[source_lib.CELL])
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


def _check_names(source, table, columns, kind, names):
  where = source.where
  if kind == 'findings':
    output_names.check(names, kind, f'{where}:1')
  elif columns.classes:
    output_names.check(names, kind, '--classes')
  elif pair := output_names.twins(names):
    (column,) = columns.labels
    first, second = (_cell(source, table[column], name) for name in pair)
    raise errors.InputError(
      f'{where}: {first} and {second} look the same; give the class one '
      'spelling'
    )


def _cell(source: source_lib.Source, cells: pd.Series, name: str) -> str:
  """Return the first cell of a class, with the line that it is in."""
  line = source.pictures.line(cells.index[cells == name][0])
  return f'{name!a} in line {line}'
