"""Errors that binaries report in one line."""

from collections.abc import Iterable, Sequence
import difflib
import re


class InputError(ValueError):
  """Raised for invalid user input, with one line: what, where, what to do.

  Binaries print it without a traceback and exit with code 2.
  """


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
  """Return the error for a name that is not among `known`.

  Args:
    kind: The kind of thing that has the name, for the message.
    name: The unknown name.
    known: All known names; the message suggests the nearest.
  """
  known = list(known)
  near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
  hint = f'; did you mean {near[0]!r}?' if near else ''
  return InputError(
    f'unknown {kind} {name!r}{hint} (there are: {", ".join(known)})'
  )


def listed(names: Sequence[str], most: int = 20) -> str:
  """Return `a, b, c and 5 more`: the first `most` of `names`."""
  more = len(names) - most
  text = ', '.join(names[:most]) or 'none'
  return text + (f' and {more} more' if more > 0 else '')


def first_line(error: BaseException) -> str:
  """Return the first line of an error's message that tells something."""
  text = re.sub(r'\x1b\[\d*m', '', str(error))
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  # Keras puts a line before the message of a layer's error.
  if len(lines) > 1 and lines[0].startswith('Exception encountered'):
    return lines[1]
  return lines[0] if lines else ''


class RunError(RuntimeError):
  """Raised when a run cannot continue, e.g. because its loss is not finite.

  Binaries print it without a traceback and exit with code 1.
  """
