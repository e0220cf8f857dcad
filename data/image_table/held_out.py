"""Test images that a data set's publication names: a list, or a table."""

from collections.abc import Iterable, Sequence
import dataclasses
import os
import pathlib

import numpy as np
import pandas as pd

from data import cells
from data import raw_dataset
from data import tables
from transfusion_tf import errors


def check(split: str, test_list: str, test_csv: str) -> None:
  """Raise InputError if more than one thing says who is tested."""
  flags = {
    '--split_column': split,
    '--test_list': test_list,
    '--test_csv': test_csv,
  }
  if len(given := [flag for flag, value in flags.items() if value]) > 1:
    raise errors.InputError(
      f'{" and ".join(given)} both say which images are tested: give one'
    )


def without_unlabeled(
  table: pd.DataFrame, split: str, labels: Sequence[str]
) -> tuple[pd.DataFrame, list[raw_dataset.Problem]]:
  """Leave out splits that are held out and whose labels are all hidden.

  Args:
    table: The rows of a source.
    split: The column of splits.
    labels: The columns of labels.

  Returns:
    The other rows, and a note for each such split.
  """
  splits = table[split].map(lambda cell: cells.SPLITS.get(cell.lower()))
  missing = table[list(labels)].map(cells.is_missing).to_numpy().all(axis=1)
  kept, problems = np.ones(len(table), bool), []
  for name in ('validation', 'test'):
    rows = (splits == name).to_numpy()
    if rows.any() and missing[rows].all():
      kept &= ~rows
      problems.append(
        raw_dataset.Problem(
          'split without labels', name, f'{rows.sum():,} images are left out'
        )
      )
  return table[kept], problems


def append(
  table: pd.DataFrame, path: str, source: str, ignored: Iterable[str]
) -> pd.DataFrame:
  """Return the rows of a table, and below them those of one of test images.

  Args:
    table: The other rows.
    path: The table of test images.
    source: The column of the name of a row's table.
    ignored: Columns that one of the tables may lack.

  Raises:
    InputError: A table cannot be read, or has other columns.
  """
  rows = tables.read(path, ())
  ignored = {source, *ignored}
  tables.check_columns(path, list(rows), [*table.columns.difference(ignored)])
  tables.check_columns(
    'the other table', list(table), [*rows.columns.difference(ignored)]
  )
  rows[source] = os.path.basename(path)
  return pd.concat([table, rows.reindex(columns=table.columns, fill_value='')])


def hold_out(dataset: raw_dataset.RawDataset, path: str) -> None:
  """Put the images that a file names into `test`, all others into `train`.

  Raises:
    InputError: The file is no list of names, or of none of the images.
  """
  names = set(tables.lines(path))
  dataset.records = [
    dataclasses.replace(
      record, split='test' if _names(record) & names else 'train'
    )
    for record in dataset.records
  ]
  if not any(record.split == 'test' for record in dataset.records):
    raise errors.InputError(f'{path} names no image of this data set')


def _names(record):
  path = pathlib.PurePosixPath(record.image_id)
  return {record.image_id, path.name, path.stem}
