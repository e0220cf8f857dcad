"""What a data set is made of: rows of a picture, targets, a patient, a split.

A table beside files of images is one source; a folder for each class, and files
that hold pictures and labels, are others. `layout.read` reads all of them: they
share flags, checks and messages.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, Protocol

import pandas as pd

from data import raw_dataset
from data import tables
from data.image_table import held_out
from data.image_table import subgroups
from transfusion_tf import errors

# Columns that no table can have: what names the picture of a row, and the file
# that the row is from.
CELL, TABLE = '\0path', '\0table'
SPLIT = 'split'  # The column of a split that names of files tell.


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
    usual: Whether those of usual names are the label and the split of a table,
      as they are of files that say no more.
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
  usual: bool = False


class Pictures(Protocol):
  """From what names a picture in a row to the picture."""

  @property
  def paths(self) -> Sequence[str]:
    """Places of all pictures, in rows or not; empty if each is of a row."""

  def line(self, index: Any) -> Any:
    """Return what messages call a row by its index in the table."""

  def relative(self, path: str) -> str:
    """Return the id of one of `paths`, the same on every machine."""

  def locate(self, cell: Any) -> tuple[str, str]:
    """Return the id and the place, as `images.read` takes it, of a picture.

    Raises:
      InvalidRecordError: There is none.
    """


@dataclasses.dataclass(frozen=True)
class Rows:
  """Pictures inside files, each of one row; the cell is its number.

  Attributes:
    ids: What each is called.
    places: Where each is.
  """

  ids: Sequence[str]
  places: Sequence[str]
  paths: Sequence[str] = ()

  def relative(self, path: str) -> str:
    return path

  def line(self, index: int) -> str:
    return self.ids[index]

  def locate(self, cell: int) -> tuple[str, str]:
    return self.ids[cell], self.places[cell]


@dataclasses.dataclass(frozen=True)
class Source:
  """Rows, and what is known of them.

  Attributes:
    where: What messages call it.
    table: Text cells, with the columns CELL and TABLE; the index is the line or
      the number of a row. Of pictures inside files, CELL is their number.
    pictures: Where the pictures are.
    columns: The meaning of the columns.
    problems: What is wrong with rows that are left out.
    files: What all of it is read from, if it is not files of images.
    completes_splits: Whether a split is drawn that it lacks beside `train`.
  """

  where: str
  table: pd.DataFrame
  pictures: Pictures
  columns: Columns
  problems: Sequence[raw_dataset.Problem] = ()
  files: tuple[str, ...] = ()
  completes_splits: bool = False


def shared(text: str, table: pd.DataFrame) -> pd.Series:
  """Return a column of one text, which is one object."""
  return pd.Series([text] * len(table), table.index, dtype=object)


def complete(
  where: str, table: pd.DataFrame, asked: Columns, known: Columns
) -> Columns:
  """Return what the columns are by the flags or, where they are silent, known.

  Args:
    where: What messages call the table.
    table: The rows of a source that knows its columns.
    asked: By the flags of the user.
    known: By the source itself.

  Raises:
    InputError: A flag names a column that there is not, or means tables alone.
  """
  if asked.test_csv:
    raise errors.InputError(f'--test_csv is for tables; {where} is none')
  names = [name for name in table if not name.startswith('\0')]
  groups = [column.name for column in subgroups.parse(asked.subgroups)]
  given = [asked.patient, asked.split, *asked.labels, *asked.ignored, *groups]
  tables.check_columns(where, names, filter(None, given))
  held_out.check(asked.split, asked.test_list, '')
  labels = asked.labels or known.labels
  if not set(labels) <= set(known.labels):  # It knows nothing of these.
    known = dataclasses.replace(known, kind='', classes=())
  return dataclasses.replace(
    asked,
    labels=labels,
    patient=asked.patient or known.patient,
    split='' if asked.test_list else asked.split or known.split,
    kind=asked.kind or known.kind,
    classes=asked.classes or known.classes,
  )
