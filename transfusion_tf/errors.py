"""The one error that is the caller's to mend."""

from collections.abc import Iterable, Sequence
import difflib


class InputError(ValueError):
  """Unusable input. The message is one line: what, where, what to do.

  Binaries print it without a traceback and exit with code 2.
  """


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
  """Return an error for a name not among `known`; the nearest is named."""
  known = list(known)
  near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
  hint = f'; did you mean {near[0]!r}?' if near else ''
  return InputError(
    f'unknown {what} {name!r}{hint} (there are: {", ".join(known)})'
  )


def listed(names: Sequence[str], most: int = 20) -> str:
  """Return `a, b, c and 5 more`: the first `most` of `names`."""
  more = len(names) - most
  text = ', '.join(names[:most]) or 'none'
  return text + (f' and {more} more' if more > 0 else '')


class RunError(RuntimeError):
  """A run that cannot go on, e.g. because its loss is no longer a number.

  Binaries print it without a traceback and exit with code 1.
  """
