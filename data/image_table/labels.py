"""What the label columns of a table hold: classes, grades or findings."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from data import cells
from data import findings
from data import raw_dataset
from transfusion_tf import errors
from transfusion_tf import output_names

KINDS = ('grade', 'label', 'findings')
_MAX_GRADES = 100  # A column of more is no scale, but years or numbers.
_NO_FINDING = 'nofinding'  # As `cells.plain_name` has it.
_SEPARATORS = ('|', ';', ',', '/')


def kind_of(table: pd.DataFrame, labels: Sequence[str]) -> str:
  """Return the kind: findings if there are several columns or states.

  Raises:
    ValueError: The cells make no sense together.
  """
  strange = [name for name in labels if _share_of_codes(table[name]) < 0.5]
  if len(labels) > 1 and strange:
    raise ValueError(f'{", ".join(strange)}: not 1, 0, -1 or blank')
  present = [c for c in table[labels[0]].unique() if not cells.is_missing(c)]
  if len(labels) > 1 or all(map(findings.is_code, present)):
    return 'findings'
  return 'grade' if all(map(_is_grade, present)) else 'label'


def _share_of_codes(column):
  counts = column.value_counts()
  codes = sum(n for cell, n in counts.items() if findings.is_code(cell))
  return codes / max(len(column), 1)


def names_of(
  table: pd.DataFrame, labels: Sequence[str], kind: str, classes: Sequence[str]
) -> tuple[str, ...]:
  """Return the names of the findings, the grades or the classes.

  Raises:
    InputError: There is no such kind.
    ValueError: The columns are not of that kind.
  """
  if kind not in KINDS:
    raise errors.unknown('kind of labels', kind, KINDS)
  if kind == 'findings':
    return tuple(labels)
  if len(labels) != 1:
    raise ValueError(f'a {kind} is one column, not {len(labels)}')
  present = sorted(
    {
      cell
      for cell in table[labels[0]].unique()
      if not cells.is_missing(cell) and not output_names.fault(cell, kind)
    }
  )
  if kind == 'label' and not (present or classes):
    raise ValueError(f'{labels[0]} holds no class in any row')
  if classes or kind == 'label':
    return tuple(classes) or tuple(present)
  numbers = map(cells.integer, present)
  grades = [n for n in numbers if n is not None and n >= 0]
  if not grades or max(grades) - min(grades) > _MAX_GRADES:
    raise ValueError(f'{labels[0]} holds no grades')
  # A grade between two others exists even if no image happens to have it.
  return tuple(map(str, range(min(grades), max(grades) + 1)))


def label_of(
  row: Mapping[str, str],
  columns: Sequence[str],
  kind: str,
  names: Sequence[str],
) -> str | dict[str, str]:
  """Return the class, the grade or the states of a row.

  Raises:
    InvalidRecordError: A cell holds none.
  """
  if kind == 'findings':
    return findings.states(row, columns)
  value = row[columns[0]]
  if value not in names and cells.is_missing(value):
    meaning = ', which means that there is none' if value else ''
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{columns[0]} is {value!r}{meaning}'
    )
  if kind == 'grade' and (grade := cells.integer(value)) is not None:
    value = str(grade)
  elif kind == 'label' and (wrong := output_names.fault(value, kind)):
    raise raw_dataset.InvalidRecordError(
      'impossible name', f'{columns[0]} {value!r} {wrong}'
    )
  if value not in names:
    raise raw_dataset.InvalidRecordError(
      'impossible label', f'{columns[0]} is {value!r}'
    )
  return value


def separated(
  table: pd.DataFrame, column: str, separator: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
  """Return a table with a column of 1 and 0 for each finding of `A|B` cells.

  Brackets and quotes around are left out, as of `['A', 'B']`; `No Finding` is
  none of the findings.

  Returns:
    The table, and the names of the new columns.

  Raises:
    ValueError: There is no finding, or one is called like a column.
  """
  lists = [
    [] if cells.is_missing(cell) else list(_parts(cell, separator))
    for cell in table[column]
  ]
  names = sorted({name for parts in lists for name in parts})
  names = [n for n in names if cells.plain_name(n) != _NO_FINDING]
  if not names:
    raise ValueError(f'{column} holds no finding in any row')
  if clash := [n for n in names if n in table]:
    raise ValueError(f'{column} holds {clash[0]!r}, which is also a column')
  states = pd.DataFrame(
    {name: [str(int(name in parts)) for parts in lists] for name in names},
    index=table.index,
  )
  return pd.concat([table, states], axis=1), tuple(names)


def notes(
  table: pd.DataFrame, columns: Sequence[str], kind: str, names: Sequence[str]
) -> Iterator[raw_dataset.Problem]:
  """Yield what is odd about the names of the classes."""
  if kind != 'label':
    return
  counts = table[columns[0]].value_counts()
  groups: dict[str, list[str]] = {}
  for name in names:
    groups.setdefault(cells.plain_name(name), []).append(name)
  for alike in groups.values():
    if len(alike) > 1:
      listed = ', '.join(f'{n!r} ({counts.get(n, 0):,})' for n in alike)
      yield raw_dataset.Problem(
        'classes that look alike',
        columns[0],
        f'{listed}: write them alike if they are one class',
      )
  doubtful = [name for name in names if cells.is_doubtful(name)]
  for name in doubtful:
    yield raw_dataset.Problem(
      'class that may be none',
      columns[0],
      f'{name!r} ({counts.get(name, 0):,}) counts as a class; blank the cells '
      'if it says that there is no label',
    )
  if separator := _separator(names):
    several = [name for name in names if separator in name]
    yield raw_dataset.Problem(
      'several labels in a cell',
      columns[0],
      f'{errors.listed(several, 3)}: read them as findings with '
      f"--label_separator='{separator}'",
    )


def _separator(names):
  """Return what separates several labels in a cell, or ''."""
  for separator in _SEPARATORS:
    several = [_split(name, separator) for name in names if separator in name]
    if not several:
      continue
    if separator == '|' or any(
      all(part in names for part in parts) for parts in several
    ):
      return separator
  return ''


def _split(cell, separator):
  return [part.strip() for part in cell.split(separator)]


def _parts(cell: str, separator: str) -> Iterator[str]:
  for part in cell.strip('[]()').split(separator):
    if name := part.strip().strip('\'"').strip():
      yield name


def _is_grade(cell):
  number = cells.integer(cell)
  return number is not None and number >= 0
