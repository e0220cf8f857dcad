"""Rows of files that hold pictures, as a source."""

import collections
from collections.abc import Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from data import cells
from data import raw_dataset
from data import texts
from data.image_table import row_columns
from data.image_table import source as source_lib
from transfusion_tf import errors

# Columns that hold labels in other people's sets, if nobody says which do.
LABELS = ('label', 'labels', 'cls', 'class', 'target')


def cell(value: Any) -> str | None:
  """Return a value of another program as the cell of a table, or None.

  It is None of what no cell holds: a list, an object.
  """
  if value is None:
    return ''
  if isinstance(value, bool):
    return str(int(value))
  if isinstance(value, int | float | str):
    return str(value).strip()
  return None


def cells_of(values: Mapping[str, Any]) -> dict[str, str]:
  """Return the cells of an object of JSON; what is no cell is left out."""
  return {k: c for k, v in values.items() if (c := cell(v)) is not None}


def of_rows(
  where: str,
  rows: row_columns.RowColumns,
  asked: source_lib.Columns,
  known: source_lib.Columns,
  files: Sequence[str],
  problems: Sequence[raw_dataset.Problem] = (),
) -> source_lib.Source:
  """Return the source of pictures inside files.

  Rows of one id are told apart by numbers.

  Args:
    where: What messages call it.
    rows: The rows, in their order.
    asked: What the flags say of columns.
    known: What the files say; without labels, a column of a usual name is one.
    files: What the rows are from.
    problems: What is wrong with rows that are left out.

  Raises:
    InputError: There is no picture, or nothing says which column is the label.
  """
  if not len(rows):
    raise errors.InputError(f'{where} holds no row with a picture')
  table = rows.table()
  table[source_lib.CELL] = range(len(rows))
  table[source_lib.TABLE] = source_lib.shared(pathlib.Path(where).name, table)
  known = usual(where, table, asked, known)
  problems = list(problems)
  if not known.kind and not asked.kind and len(known.labels) == 1:
    known, note = _named_by_numbers(known, table)
    problems += note
  return source_lib.Source(
    where,
    table,
    source_lib.Rows(_distinct(rows.ids), rows.places),
    source_lib.complete(where, table, asked, known),
    problems,
    tuple(files),
    completes_splits=True,
  )


def usual(
  where: str,
  table: pd.DataFrame,
  asked: source_lib.Columns,
  known: source_lib.Columns,
) -> source_lib.Columns:
  """Return `known` with the label and the split by columns of usual names.

  Raises:
    InputError: Nothing says which column is the label.
  """
  names = [str(name) for name in table if not str(name).startswith('\0')]
  if not known.labels and not asked.labels:
    labels = [name for name in LABELS if name in names]
    if not labels:
      raise errors.InputError(
        f'{where}: say with --label_columns which columns hold labels (it has: '
        f'{errors.listed(names)})'
      )
    known = dataclasses.replace(known, labels=(labels[0],))
  if not known.split and source_lib.SPLIT in names:
    known = dataclasses.replace(known, split=source_lib.SPLIT)
  return known


def _named_by_numbers(known, table):
  """Return what a column of whole numbers is: classes, which have no names."""
  (label,) = known.labels
  if label not in table:
    return known, []
  if any(cells.integer(cell) is None for cell in table[label].unique()):
    return known, []
  note = raw_dataset.Problem(
    'classes without names',
    label,
    'called by their numbers; --label_kind=grade if they are grades',
  )
  return dataclasses.replace(known, kind='label'), [note]


def _distinct(ids: Sequence[str]) -> Sequence[str]:
  """Return ids of which none is there twice."""
  hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
  if len(np.unique(hashes)) == len(ids):  # Equal ids have equal hashes.
    return ids
  counts = collections.Counter(ids)
  seen: collections.Counter[str] = collections.Counter()
  taken = set(ids)
  distinct = texts.Texts()
  for name in ids:
    if counts[name] > 1:
      seen[name] += 1
      stem, ending = os.path.splitext(name)
      new = f'{stem}-{seen[name]}{ending}'
      while new in taken:
        seen[name] += 1
        new = f'{stem}-{seen[name]}{ending}'
      taken.add(new)
      name = new
    distinct.append(name)
  return distinct
