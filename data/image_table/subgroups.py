"""Groups of images by columns of a table: sex, view, site, bands of age."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import re
from typing import Any

import numpy as np
import pandas as pd

from data import cells
from transfusion_tf import datasets
from transfusion_tf import errors

# More values of numbers become bands, of texts are no groups.
_MOST_NUMBERS, _MOST_TEXTS = 8, 40
_QUARTILES = (0.25, 0.5, 0.75)
# DICOM writes an age so (PS3.5, value representation AS).
_AGE = re.compile(r'(\d{1,3})([DWMY])')
_YEARS = {'D': 1 / 365.25, 'W': 7 / 365.25, 'M': 1 / 12, 'Y': 1.0}


@dataclasses.dataclass(frozen=True)
class Column:
  """A column whose values are groups.

  Attributes:
    name: Its name.
    cuts: Where bands of numbers begin, but for the first; empty takes texts as
      they are and cuts more than a few numbers at their quartiles.
  """

  name: str
  cuts: tuple[float, ...] = ()


def parse(texts: Sequence[str]) -> tuple[Column, ...]:
  """Return the columns of `NAME` or `NAME=CUT/CUT...`.

  Raises:
    InputError: The cuts are not rising numbers, or a column is named twice.
  """
  columns = []
  for text in texts:
    name, has_cuts, cuts = text.partition('=')
    numbers = [_number(cut) for cut in cuts.split('/')] if has_cuts else []
    rising = [n for n in numbers if n is not None]
    if len(rising) < len(numbers) or sorted(set(rising)) != rising:
      raise errors.InputError(
        f'--subgroup_columns={text}: write the beginnings of bands as rising '
        'numbers, e.g. age=18/40/65'
      )
    columns.append(Column(name.strip(), tuple(rising)))
  if len({c.name for c in columns}) < len(columns):
    raise errors.InputError(
      f'--subgroup_columns={",".join(texts)} names a column twice'
    )
  return tuple(columns)


def of_rows(
  table: pd.DataFrame,
  columns: Sequence[Column],
  where: str,
  line_of: Callable[[Any], Any] = lambda index: index,
) -> list[dict[str, str]]:
  """Return the groups of each row: column -> group.

  Args:
    table: Text cells.
    columns: The columns.
    where: The table, for messages.
    line_of: What a row is called there, by its index.

  Raises:
    InputError: A cell that should be a number is none, or there are more texts
      than groups make sense.
  """
  groups = {c.name: _groups(table[c.name], c, where, line_of) for c in columns}

  @functools.cache  # Rows of the same groups have one object.
  def of_row(*row):
    return dict(zip(groups, row, strict=True))

  return [of_row(*row) for row in zip(*groups.values(), strict=True)]


def _groups(series, column, where, line_of):
  present = series[~series.map(cells.is_missing)]
  numbers = present.map(_number)
  known = numbers.notna()
  if column.cuts:
    if not known.all():
      line = known.index[~known][0]
      raise errors.InputError(
        f'{where}:{line_of(line)}: {column.name} is {series[line]!r}, no '
        'number to band at --subgroup_columns'
      )
    cuts = column.cuts
  elif known.all() and numbers.nunique() > _MOST_NUMBERS:
    cuts = tuple(np.unique(np.quantile(numbers.astype(float), _QUARTILES)))
  elif present.nunique() > _MOST_TEXTS:
    raise errors.InputError(
      f'{where}: {column.name} has {present.nunique():,} values: too many for '
      'groups; leave it out of --subgroup_columns'
    )
  else:
    return [c if c in set(present) else datasets.NO_GROUP for c in series]
  names = {line: _band(number, cuts) for line, number in numbers.items()}
  return [names.get(line, datasets.NO_GROUP) for line in series.index]


def _band(number, cuts):
  place = int(np.searchsorted(cuts, number, 'right'))
  if place == 0:
    return f'under {cuts[0]:g}'
  if place == len(cuts):
    return f'{cuts[-1]:g} and over'
  return f'{cuts[place - 1]:g} to under {cuts[place]:g}'


def _number(cell):
  """Return the number of a cell, an age in years; None if it is none."""
  if age := _AGE.fullmatch(cell):
    return int(age[1]) * _YEARS[age[2]]
  try:
    number = float(cell)
  except ValueError:
    return None
  return number if np.isfinite(number) else None
