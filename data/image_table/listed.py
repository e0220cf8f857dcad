"""Records of a table's rows, each made when it is asked for."""

import array
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import os
from typing import Any

import pandas as pd

from data import cells
from data import raw_dataset
from data import splits
from data.image_table import labels as labels_lib
from data.image_table import source as source_lib

# A column that no table can have.
GROUPS = '\0groups'


class Maker:
  """Makes the record of a row."""

  def __init__(
    self,
    table: pd.DataFrame,
    pictures: source_lib.Pictures,
    columns: source_lib.Columns,
    kind: str,
    names: Sequence[str],
  ):
    """Make the maker of a table.

    Args:
      table: The rows of a source; its column GROUPS, if there is one, has the
        groups of each.
      pictures: Where the pictures are.
      columns: The meaning of the columns, with every choice made.
      kind: Of the labels.
      names: Of the findings, the grades or the classes.
    """
    self._pictures, self._columns = pictures, columns
    self._kind, self._names = kind, names
    wanted = [source_lib.CELL, source_lib.TABLE, *columns.labels]
    optional = [columns.split, columns.patient, columns.separator, GROUPS]
    wanted += [name for name in optional if name and name in table]
    self._cells = {name: table[name].to_numpy() for name in wanted}
    # Equal labels are one object.
    self._labels = functools.cache(self._new_labels)

  def record(self, row: int) -> raw_dataset.Record:
    """Return the record of a row of the table, by its number.

    Raises:
      InvalidRecordError: It holds none.
    """
    columns, held = self._columns, self._cells
    image_id, full = self._pictures.locate(held[source_lib.CELL][row])
    split, patient = '', image_id
    if columns.test_csv:
      name = held[source_lib.TABLE][row]
      is_test = name == os.path.basename(columns.test_csv)
      split = 'test' if is_test else 'train'
    elif columns.split:
      split = _split(columns.split, held[columns.split][row])
    if columns.patient:
      patient = _patient(columns.patient, held[columns.patient][row])
    if columns.separator and cells.is_missing(held[columns.separator][row]):
      raise raw_dataset.InvalidRecordError(
        'impossible label',
        f'{columns.separator} is {held[columns.separator][row]!r}, not even No '
        'Finding',
      )
    labels = self._labels(*(held[name][row] for name in columns.labels))
    groups = held[GROUPS][row] if GROUPS in held else raw_dataset.NO_GROUPS
    return raw_dataset.Record(
      image_id, patient, full, split, labels, groups=groups
    )

  def _new_labels(self, *texts) -> Mapping[str, Any]:
    row = dict(zip(self._columns.labels, texts, strict=True))
    label = labels_lib.label_of(
      row, self._columns.labels, self._kind, self._names
    )
    return {self._kind: label}


@dataclasses.dataclass(frozen=True)
class Records(Sequence[raw_dataset.Record]):
  """The records of some rows; no record is kept.

  Attributes:
    maker: Makes them.
    rows: Numbers of the rows, each of which holds a record.
  """

  maker: Maker
  rows: Sequence[int]

  def __len__(self) -> int:
    return len(self.rows)

  def __getitem__(self, number: Any) -> Any:
    if isinstance(number, slice):
      return list(map(self.maker.record, self.rows[number]))
    return self.maker.record(self.rows[number])

  def __iter__(self) -> Iterator[raw_dataset.Record]:
    return map(self.maker.record, self.rows)


def records(
  maker: Maker, source: source_lib.Source
) -> tuple[Sequence[raw_dataset.Record], list[raw_dataset.Problem]]:
  """Return the records of a source, and a problem for each row without one.

  Pictures inside files stay where they are; files of images are looked for
  once, and their records are kept.
  """
  rows, held, problems = array.array('Q'), [], []
  is_kept = not source.files
  for row, (name, index) in enumerate(
    zip(source.table[source_lib.TABLE], source.table.index, strict=True)
  ):
    try:
      record = maker.record(row)
    except raw_dataset.InvalidRecordError as error:
      line = source.pictures.line(index)
      problems.append(
        raw_dataset.Problem(error.kind, f'{name}:{line}', str(error))
      )
      continue
    rows.append(row)
    if is_kept:
      held.append(record)
  return held if is_kept else Records(maker, rows), problems


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
