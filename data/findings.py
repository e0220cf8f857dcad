"""Findings and their four states, in CheXpert's coding."""

from collections.abc import Iterable, Mapping

from data import cells
from data import raw_dataset

# In the order of the prepared data sets' class labels.
STATES = ('negative', 'positive', 'uncertain', 'unmentioned')
_CODES = {
  0: 'negative',
  1: 'positive',
  -1: 'uncertain',
}


def is_code(text: str) -> bool:
  """Return whether a cell is blank or one of 1, 0 and -1, as 1.0 too."""
  return not text or cells.integer(text) in _CODES


def code(state: str) -> str:
  """Return the cell of a table that means one of STATES."""
  codes = {name: str(number) for number, name in _CODES.items()}
  return codes.get(state, '')


def states(row: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
  """Return {finding: state} of a table's row of codes 1, 0, -1 and blank.

  Raises:
    InvalidRecordError: A cell holds anything else.
  """
  by_name = {}
  for name in names:
    if not is_code(row[name]):
      raise raw_dataset.InvalidRecordError(
        'impossible label', f'{name} is {row[name]!r}'
      )
    state = cells.integer(row[name])
    by_name[name] = 'unmentioned' if state is None else _CODES[state]
  return by_name
