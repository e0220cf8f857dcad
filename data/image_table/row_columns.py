"""Rows of files that hold pictures, kept as columns: some bytes a row."""

import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from data import texts

_INSIDE = '::'
_MOST_KEPT = 10_000  # Cells of a column, each of which is one object.


class Places(Sequence[str]):
  """Places of pictures, `FILE::PART`, of which each file is kept once."""

  def __init__(self) -> None:
    self._numbers: dict[str, int] = {}  # Of files.
    self._files: list[str] = []
    self._of = array.array('I')
    self._parts = texts.Texts()

  def append(self, place: str) -> None:
    """Add a place."""
    file, _, part = place.partition(_INSIDE)
    number = self._numbers.setdefault(file, len(self._files))
    if number == len(self._files):
      self._files.append(file)
    self._of.append(number)
    self._parts.append(part)

  def __len__(self) -> int:
    return len(self._of)

  def __getitem__(self, number: Any) -> Any:
    if isinstance(number, slice):
      return [self[n] for n in range(*number.indices(len(self)))]
    return f'{self._files[self._of[number]]}{_INSIDE}{self._parts[number]}'

  def __iter__(self) -> Iterator[str]:
    for number, part in zip(self._of, self._parts, strict=True):
      yield f'{self._files[number]}{_INSIDE}{part}'


class RowColumns:
  """What pictures are called, where they are, and their cells by columns.

  Attributes:
    ids: What each is called.
    places: Where each is, for `images.read`.
  """

  def __init__(self) -> None:
    self.ids = texts.Texts()
    self.places = Places()
    self._columns: dict[str, _Column] = {}

  def __len__(self) -> int:
    return len(self.ids)

  def append(self, image_id: str, place: str, cells: Mapping[str, str]) -> None:
    """Add a row; columns that it lacks are blank."""
    for name, cell in cells.items():
      self._put(name, [cell], len(self.ids))
    self.ids.append(image_id)
    self.places.append(place)

  def extend(
    self,
    image_ids: Iterable[str],
    places: Iterable[str],
    columns: Mapping[str, Iterable[str]],
  ) -> None:
    """Add rows, column by column."""
    for name, cells in columns.items():
      self._put(name, cells, len(self.ids))
    self.ids.extend(image_ids)
    for place in places:
      self.places.append(place)

  def put_column(self, name: str, cells: Iterable[str]) -> None:
    """Put a cell into each row, in place of what it has in that column."""
    self._columns.pop(name, None)
    self._put(name, cells, 0)

  def _put(self, name, cells, start):
    column = self._columns.setdefault(name, _Column())
    for number, cell in enumerate(cells, start):
      column.put(number, cell)

  def table(self) -> pd.DataFrame:
    """Return the cells; rows are numbered from 0."""
    columns = {n: c.cells(len(self)) for n, c in self._columns.items()}
    return pd.DataFrame(columns, range(len(self)), dtype=object)


class _Column:
  """Cells, of which equal ones are one object, as long as they are not many."""

  def __init__(self):
    self._cells: list[str] = []
    self._one: dict[str, str] = {}

  def put(self, number, cell):
    """Put a cell below the others, at a row of that number."""
    self._cells += [''] * (number - len(self._cells))
    if len(self._one) < _MOST_KEPT:
      cell = self._one.setdefault(cell, cell)
    else:
      cell = self._one.get(cell, cell)
    self._cells.append(cell)

  def cells(self, count):
    """Return a cell for each of `count` rows."""
    self._cells += [''] * (count - len(self._cells))
    return self._cells
