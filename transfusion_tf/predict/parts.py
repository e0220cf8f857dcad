"""A table in the making: parts in a folder beside it, which can be continued.

FILE.parts/ holds `begun.json`, which says what the table is made of, and the
parts that are complete. FILE appears when all are there, with FILE.json, which
says what it is, and the folder is deleted. The same command after a kill makes
the parts that are lacking; the table has the bytes of one that was not killed.
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
from typing import Any, TypedDict

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import parquet_file
from transfusion_tf import storage

CSV, PARQUET = '.csv', parquet_file.SUFFIX
_BEGUN, _MADE_OF = 'begun.json', 'made_of'
_REMEDY = 'delete it, and start the same command again'


class _Facts(TypedDict):
  statuses: dict[str, int]


class Table:
  """A table in the making.

  Attributes:
    path: Its path.
  """

  def __init__(self, path: str):
    """Check the path.

    Raises:
      InputError: It is neither CSV nor Parquet, or nothing can write that.
    """
    self.path = path
    self._kind = os.path.splitext(path)[1].lower()
    if self._kind not in (CSV, PARQUET):
      raise errors.InputError(
        f'--output={path} ends in neither {CSV} nor {PARQUET}; choose one'
      )
    if self._kind == PARQUET:
      parquet_file.pyarrow(path)
    self._folder = f'{path}.parts'
    self._description = f'{path}.json'

  @contextlib.contextmanager
  def begun(
    self, identity: Mapping[str, Any], overwrite: bool
  ) -> Iterator[bool]:
    """Keep other processes from the table, and continue or begin it.

    Args:
      identity: What the table is made of.
      overwrite: Whether another table in its place is replaced.

    Yields:
      False if the table is complete already.

    Raises:
      InputError: Another table, or another process, is in its place.
    """
    if storage.exists(self.path) and not overwrite:
      if _read(self._description).get(_MADE_OF) != dict(identity):
        raise errors.InputError(
          f'{self.path} is there and is of other pictures or another network; '
          'replace it with --overwrite or choose another --output'
        )
      yield False
      return
    with storage.held(self._folder, 'wait for it, or choose another --output'):
      path = os.path.join(self._folder, _BEGUN)
      begun = _read(path)
      if begun and begun != dict(identity) and not overwrite:
        raise errors.InputError(
          f'{self._folder} was begun on other pictures or another network; '
          'begin anew with --overwrite or choose another --output'
        )
      if begun != dict(identity):
        for name in storage.listdir(self._folder):
          if name.endswith(self._kind):  # Not what holds the folder.
            storage.remove(os.path.join(self._folder, name))
        storage.write_json(path, dict(identity))
      yield True

  def lacking(self, count: int) -> list[int]:
    """Return the numbers, of `count` parts, that are not complete."""
    there = set(storage.listdir(self._folder))
    return [
      number
      for number in range(count)
      if os.path.basename(self._part(number)) not in there
    ]

  def write(self, number: int, rows: pd.DataFrame) -> None:
    """Write a part."""
    if self._kind == CSV:
      text = rows.to_csv(index=False, lineterminator='\n')
      storage.write_text(self._part(number), text)
      return
    parquet_file.write(self._part(number), rows)

  def statuses(self) -> dict[str, int]:
    """Return the number of pictures of each status of a complete table."""
    return json_file.read(self._description, _Facts, _REMEDY)['statuses']

  def read(self, number: int) -> pd.Series:
    """Return the statuses of a part."""
    path = storage.local_copy(self._part(number))
    if self._kind == PARQUET:
      return pd.read_parquet(path, columns=['status'])['status']
    return pd.read_csv(path, usecols=['status'], keep_default_na=False)[
      'status'
    ]

  def finish(
    self, count: int, identity: Mapping[str, Any], description: Mapping
  ) -> None:
    """Make the table of its parts.

    Args:
      count: Number of parts.
      identity: As in `begun`.
      description: What its JSON says.
    """
    # First: a table without it would be anybody's.
    storage.write_json(
      self._description, {**description, _MADE_OF: dict(identity)}
    )
    if self._kind == CSV:
      with storage.atomic_write(self.path, 'wb') as file:
        for number in range(count):
          header, line, rows = storage.read_bytes(self._part(number)).partition(
            b'\n'
          )
          file.write(rows if number else header + line + rows)
    else:
      self._join_parquet(count)
    storage.remove_folder(self._folder)

  def _join_parquet(self, count):
    pyarrow = parquet_file.pyarrow(self.path)
    with storage.atomic_write(self.path, 'wb') as file:
      writer = None
      for number in range(count):
        path = storage.local_copy(self._part(number))
        rows = pyarrow.parquet.read_table(path)
        writer = writer or pyarrow.parquet.ParquetWriter(file, rows.schema)
        writer.write_table(rows)
      if writer:
        writer.close()

  def _part(self, number):
    return os.path.join(self._folder, f'{number:07d}{self._kind}')


def _read(path):
  """Return the object in a JSON file; empty if there is none that is whole."""
  try:
    return json_file.read(path, dict[str, object], _REMEDY)
  except (FileNotFoundError, errors.DamagedFileError):
    return {}
