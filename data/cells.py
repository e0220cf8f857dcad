"""The meaning of a cell, however a program or a person has written it."""

import re
import unicodedata

# `12`, `012`, `12.0`, `-1.`, `+1,0`: one blank in a column makes pandas write
# its integers with a point, and some countries write it as a comma.
_INTEGER = re.compile(r'([+-]?\d+)(?:[.,]0*)?')
# What programs write where there is no value, in lower case.
_MISSING = frozenset(
  (
    *('nan', '-nan', 'na', 'n/a', '#n/a', '<na>', '<nan>', 'nat', 'null'),
    *('(null)', '\\n', '?', '??', '-', '--', '.', '#value!', '#ref!', '#name?'),
    *('#div/0!', '#null!', '#num!', '#n/a n/a'),
  )
)
# Words that may be a class or mean that there is none.
_DOUBTFUL = frozenset(
  ('none', 'unknown', 'missing', 'undefined', 'not available', 'not known')
)
SPLITS = {
  **dict.fromkeys(('train', 'training'), 'train'),
  **dict.fromkeys(
    ('validation', 'val', 'valid', 'validate', 'dev'), 'validation'
  ),
  **dict.fromkeys(('test', 'testing'), 'test'),
}


def integer(text: str) -> int | None:
  """Return the integer that a cell holds, in any spelling, or None."""
  match = _INTEGER.fullmatch(text)
  return int(match[1]) if match else None


def is_missing(text: str) -> bool:
  """Return whether a cell is blank or a program's word for that."""
  return not text or text.lower() in _MISSING


def is_doubtful(text: str) -> bool:
  """Return whether a cell may say that there is no value."""
  return text.lower() in _DOUBTFUL


def plain_name(text: str) -> str:
  """Return a name without case, blanks, hyphens and underscores."""
  text = unicodedata.normalize('NFKC', text).casefold()
  return re.sub(r'[\s_-]+', '', text) or text


def plain_id(text: str) -> str:
  """Return an id without case, leading zeros and a trailing `.0`."""
  text = unicodedata.normalize('NFKC', text).casefold()
  text = re.sub(r'(?<=\d)\.0*$', '', text)
  return re.sub(r'(?<![\d.])0+(?=\d)', '', text)
