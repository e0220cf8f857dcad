"""A CSV of image paths and labels, and the folder that the paths start from."""

from collections.abc import Sequence
import dataclasses
import os
import pathlib

from data import findings
from data import images
from data import listing
from data import splits
from data import tables
from transfusion_tf import errors

KINDS = ('grade', 'label', 'findings')


@dataclasses.dataclass(frozen=True)
class Columns:
  """What the columns of a table are; empty means there is none or any.

  Attributes:
    path: Image paths, relative to the image root.
    labels: One column of class names or grades, or any number of findings;
      empty is every column that is nothing else.
    patient: Whom an image shows; without it each image is a patient.
    split: `train`, `validation` or `test`; without it patients are drawn.
    kind: Of KINDS; empty is what the cells look like.
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
    kind: Of KINDS.
    names: Of the classes, the grades or the findings.
  """

  found: listing.Listing
  kind: str
  names: tuple[str, ...]


def find(
  csv: str | os.PathLike, image_root: str | os.PathLike, columns: Columns
) -> Table:
  """Lists the images of a table.

  Raises:
    InputError: No such table or column, or labels that make no sense together.
  """
  csv, root = pathlib.Path(csv), os.path.abspath(image_root)
  needed = [columns.path, *columns.labels, columns.patient, columns.split]
  table = tables.read(csv, [name for name in needed if name])
  labels = columns.labels or tuple(name for name in table if name not in needed)
  if not labels:
    raise errors.InputError(f'{csv} has no column of labels')
  cells = sorted(set(table[list(labels)].to_numpy().ravel()))
  kind = columns.kind or _kind(labels, cells)
  if kind not in KINDS:
    raise errors.unknown('kind of labels', kind, KINDS)
  if kind != 'findings' and len(labels) > 1:
    raise errors.InputError(
      f'{csv}: a {kind} is one column, not {", ".join(labels)}; name it with '
      '--label_columns'
    )
  names = labels if kind == 'findings' else columns.classes
  names = names or _classes(kind, cells)

  def record_of(row):
    path = row[columns.path]
    split = row[columns.split] if columns.split else ''
    if columns.split and split not in splits.SPLITS:
      raise listing.BadError('impossible label', f'split {split!r}')
    full = _inside(root, path)
    image_id = pathlib.PurePath(os.path.relpath(full, root)).as_posix()
    return listing.Record(
      image_id=image_id,
      patient_id=row[columns.patient] if columns.patient else image_id,
      path=full,
      split=split,
      labels=_labels(row, kind, labels, names),
    )

  found = listing.Listing([])
  found.add_table(csv.name, table, record_of)
  known = {_full(root, path) for path in table[columns.path]}
  found.problems += [
    listing.Problem('image without label', path)
    for path in images.under(root)
    if path not in known
  ]
  return Table(found, kind, names)


def _kind(labels, cells):
  """Findings if there are several columns or states; else grades or classes."""
  if len(labels) > 1 or all(findings.is_code(cell) for cell in cells):
    return 'findings'
  numbers = all(cell.isdecimal() for cell in cells if cell)
  return 'grade' if numbers else 'label'


def _classes(kind, cells):
  if kind == 'grade':
    grades = [int(cell) for cell in cells if cell.isdecimal()]
    # A grade between two others exists even if no image happens to have it.
    return tuple(map(str, range(min(grades), max(grades) + 1)))
  return tuple(cell for cell in cells if cell)


def _labels(row, kind, columns, names: Sequence[str]):
  if kind == 'findings':
    return {'findings': findings.states(row, columns)}
  value = row[columns[0]]
  if value not in names:
    raise listing.BadError('impossible label', f'{columns[0]} is {value!r}')
  return {kind: value}


def _inside(root, path):
  """The full path, which has to be below `root`."""
  full = _full(root, path)
  if not path or not full.startswith(root + os.sep):
    raise listing.BadError('outside the image root', path or 'a blank path')
  return full


def _full(root, path):
  return os.path.normpath(os.path.join(root, path))
