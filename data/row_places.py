"""The places of pictures in rows of files: `FILE::NAME[ROW]`."""

from collections.abc import Sequence
import re

_INSIDE = '::'
_ROW = re.compile(r'(.*)\[([0-9]{1,18})\]', re.ASCII | re.DOTALL)


def is_inside(path: str, endings: Sequence[str]) -> bool:
  """Return whether a path leads into a file with one of some endings."""
  file, inside, _ = path.partition(_INSIDE)
  return bool(inside) and file.lower().endswith(tuple(endings))


def make(path: str, name: str, row: int) -> str:
  """Return the place of a picture: its file, the array or column, the row."""
  return f'{path}{_INSIDE}{name}[{row}]'


def parse(place: str) -> tuple[str, str, int]:
  """Return what `make` was given.

  Raises:
    FileNotFoundError: It is no such place.
  """
  file, inside = place.split(_INSIDE, 1)
  match = _ROW.fullmatch(inside)
  if not match:
    raise FileNotFoundError(f'{inside} is no place in {file}')
  return file, match[1], int(match[2])
