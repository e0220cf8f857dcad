"""The places of pictures in rows of files: `FILE::NAME[ROW]`."""

from collections.abc import Sequence

_INSIDE = '::'
_MOST_DIGITS = 18


def is_inside(path: str, endings: Sequence[str]) -> bool:
  """Return whether a path leads into a file with one of some endings."""
  file, inside, _ = path.partition(_INSIDE)
  return bool(inside) and file.lower().endswith(tuple(endings))


def make(path: str, name: str, row: int) -> str:
  """Return the place of a picture: its file, the array or column, the row."""
  return f'{path}{_INSIDE}{name}[{row}]'


def parse(part: str) -> tuple[str, int]:
  """Return the array or column, and the row, of a place without its file.

  Raises:
    FileNotFoundError: It is no such place.
  """
  # No regular expression: it would take half of the time of reading a row.
  name, _, row = part.rpartition('[')
  digits, end = row[:-1], row[-1:]
  is_number = digits.isdecimal() and digits.isascii()
  if end != ']' or not is_number or len(digits) > _MOST_DIGITS:
    raise FileNotFoundError(f'{part} is no place in a file of rows')
  return name, int(digits)
