"""A CSV of image paths and labels, and the folder that the paths start from."""

import dataclasses
import functools
import os
import pathlib

from data import findings
from data import images
from data import raw_dataset
from data import splits
from data import tables
from transfusion_tf import errors
from transfusion_tf import output_names

KINDS = ('grade', 'label', 'findings')
_MAX_GRADES = 100  # A column of more is no scale, but years or numbers.


@dataclasses.dataclass(frozen=True)
class Columns:
  """The meaning of a table's columns; empty means there is none or any.

  Attributes:
    path: Image paths, relative to the image root.
    labels: One column of class names or grades, or any number of findings;
      empty is every column that is nothing else.
    patient: Patient ids; without it each image is a patient.
    split: `train`, `validation` or `test`; without it patients are drawn.
    kind: One of KINDS; empty infers it from the cells.
    classes: Names of the classes, in order; empty is those that occur.
  """

  path: str = 'path'
  labels: tuple[str, ...] = ()
  patient: str = ''
  split: str = ''
  kind: str = ''
  classes: tuple[str, ...] = ()


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


def find(
  csv: str | os.PathLike, image_root: str | os.PathLike, columns: Columns
) -> Table:
  """List the images of a table.

  Raises:
    InputError: No such table or column, or labels that make no sense together.
  """
  csv, root = pathlib.Path(csv), os.path.abspath(image_root)
  given = [columns.path, columns.patient, columns.split]
  table = tables.read(csv, [c for c in [*given, *columns.labels] if c])
  columns = dataclasses.replace(
    columns, labels=columns.labels or tuple(c for c in table if c not in given)
  )
  if not columns.labels:
    raise errors.InputError(f'{csv} has no column of labels')
  for column in columns.labels:
    if column.startswith(tables.UNNAMED):
      raise errors.InputError(
        f'{csv}:1: {column} has no name; name it, or say which columns are '
        'labels with --label_columns'
      )
  try:
    kind = columns.kind or _kind(table, columns.labels)
    names = _names(table, columns, kind)
  except ValueError as error:
    raise errors.InputError(
      f'{csv}: {error}; say which with --label_columns and --label_kind'
    ) from None
  if kind == 'findings':
    output_names.check(names, kind, f'{csv}:1')
  elif columns.classes:
    output_names.check(names, kind, '--classes')
  elif pair := output_names.twins(names):
    raise errors.InputError(
      f'{csv}: {_cell(table, columns, pair[0])} and '
      f'{_cell(table, columns, pair[1])} look the same; give the class one '
      'spelling'
    )
  dataset = raw_dataset.RawDataset(
    [], names=() if kind == 'findings' else names
  )
  record_of = functools.partial(
    _record, root=root, columns=columns, kind=kind, names=names
  )
  dataset.add_table(csv.name, tables.rows(table), record_of)
  known = {_full(root, path) for path in table[columns.path]}
  dataset.problems += [
    raw_dataset.Problem('image without label', path)
    for path in images.find_images(root)
    if path not in known
  ]
  return Table(dataset, kind, names)


def _kind(table, labels):
  """Return the kind: findings if there are several columns or states."""
  codes = table[list(labels)].map(findings.is_code)
  strange = [column for column in labels if codes[column].mean() < 0.5]
  if len(labels) > 1 and strange:
    raise ValueError(f'{", ".join(strange)}: not 1, 0, -1 or blank')
  if len(labels) > 1 or codes.all(axis=None):
    return 'findings'
  cells = filter(None, table[labels[0]])
  return 'grade' if all(map(_is_grade, cells)) else 'label'


def _names(table, columns, kind):
  """Return the names of the findings, the grades or the classes."""
  if kind not in KINDS:
    raise errors.unknown('kind of labels', kind, KINDS)
  if kind == 'findings':
    return columns.labels
  if len(columns.labels) != 1:
    raise ValueError(f'a {kind} is one column, not {len(columns.labels)}')
  cells = sorted(
    {
      cell
      for cell in table[columns.labels[0]]
      if cell and not output_names.fault(cell, kind)
    }
  )
  if columns.classes or kind == 'label':
    return columns.classes or tuple(cells)
  grades = [int(float(cell)) for cell in cells if _is_grade(cell)]
  if not grades or max(grades) - min(grades) > _MAX_GRADES:
    raise ValueError(f'{columns.labels[0]} holds no grades')
  # A grade between two others exists even if no image happens to have it.
  return tuple(map(str, range(min(grades), max(grades) + 1)))


def _cell(table, columns, name):
  """Return the first cell of a class, with the line that it is in."""
  (column,) = columns.labels
  line = table.index[table[column] == name][0]
  return f'{name!a} in line {line}'


def _is_grade(cell):
  return cell.removesuffix('.0').isdecimal()


def _record(row, root, columns, kind, names):
  full = _inside(root, row[columns.path])
  image_id = pathlib.PurePath(os.path.relpath(full, root)).as_posix()
  split = row[columns.split] if columns.split else ''
  patient = row[columns.patient] if columns.patient else image_id
  if columns.split and split not in splits.SPLITS:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'split is {split!r}'
    )
  if not patient:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{columns.patient} is blank'
    )
  labels = {kind: _label(row, kind, columns.labels, names)}
  return raw_dataset.Record(image_id, patient, full, split, labels)


def _label(row, kind, columns, names):
  if kind == 'findings':
    return findings.states(row, columns)
  value = row[columns[0]]
  if kind == 'grade':
    value = value.removesuffix('.0')
  elif value and (wrong := output_names.fault(value, kind)):
    raise raw_dataset.InvalidRecordError(
      'impossible name', f'{columns[0]} {value!r} {wrong}'
    )
  if value not in names:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{columns[0]} is {value!r}'
    )
  return value


def _inside(root, path):
  """Return the full path, which has to be below `root`."""
  full = _full(root, path)
  if not path or not full.startswith(root + os.sep):
    raise raw_dataset.InvalidRecordError(
      'outside the image root', path or 'a blank path'
    )
  return full


def _full(root, path):
  return os.path.normpath(os.path.join(root, path))
