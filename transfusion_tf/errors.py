"""Errors that binaries report in one line."""

from collections.abc import Callable, Iterable, Sequence
import difflib
import inspect
import os
import pathlib
import re
import sysconfig
import traceback

# Folders of code that is not the user's.
_LIBRARIES = tuple(
  os.path.join(folder, '')
  for folder in (
    *(sysconfig.get_path(name) for name in ('stdlib', 'purelib', 'platlib')),
    str(pathlib.Path(__file__).parent),
  )
)
_LONGEST_MESSAGE = 300


class InputError(ValueError):
  """Raised for invalid user input, with one line: what, where, what to do.

  Binaries print it without a traceback and exit with code 2.
  """


class InUseError(InputError):
  """Raised for a folder at which another process is at work."""


class DamagedFileError(InputError):
  """Raised for a file that exists and cannot be used.

  Attributes:
    path: The file.
    problem: What is wrong with it.
  """

  def __init__(self, path: str, problem: str, remedy: str):
    super().__init__(f'{path}: damaged: {problem}; {remedy}')
    self.path = path
    self.problem = problem


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


def check_text(name: str, text: str) -> None:
  """Check that a text can be written to files and terminals.

  Raises:
    InputError: It has bytes that are no UTF-8, or characters that end it.
  """
  try:
    text.encode('utf-8')
  except UnicodeEncodeError:
    raise InputError(
      f'{name}={text!a} is not UTF-8; rename what it names'
    ) from None
  if '\0' in text or '\n' in text or '\r' in text:
    raise InputError(f'{name}={text!r} has a line break or a null character')


def listed(names: Sequence[str], most: int = 20) -> str:
  """Return `a, b, c and 5 more`: the first `most` of `names`."""
  more = len(names) - most
  text = ', '.join(names[:most]) or 'none'
  return text + (f' and {more} more' if more > 0 else '')


class RunError(RuntimeError):
  """Raised when a run cannot continue, e.g. because its loss is not finite.

  Binaries print it without a traceback and exit with code 1.
  """


def describe(error: BaseException, function: Callable | None = None) -> str:
  """Return `TypeError: message (nets.py:12)`: any exception in one line.

  Args:
    error: The exception.
    function: What was called, whose line it is if no line of a user's code
      was reached, e.g. because it takes other arguments.
  """
  # Keras puts names in bold.
  text = ' '.join(re.sub(r'\x1b\[\d*m', '', str(error)).split())
  if len(text) > _LONGEST_MESSAGE:
    text = f'{text[:_LONGEST_MESSAGE]}…'
  text = f'{type(error).__name__}: {text}' if text else type(error).__name__
  place = _place(error, function)
  return f'{text} ({place})' if place else text


def _place(error, function):
  """Return FILE:LINE of the user's code, or an empty text."""
  if isinstance(error, SyntaxError) and error.filename:
    return f'{_shown(error.filename)}:{error.lineno}'
  frames = traceback.extract_tb(error.__traceback__)
  theirs = [f for f in frames if _is_users(f.filename)]
  if not theirs and (code := getattr(function, '__code__', None)):
    return f'{_shown(inspect.getfile(code))}:{code.co_firstlineno}'
  if not theirs:
    return ''
  frame = theirs[-1]
  return f'{_shown(frame.filename)}:{frame.lineno}'


def _is_users(path):
  # Names like <frozen importlib> are no files.
  return not path.startswith(('<', *_LIBRARIES))


def _shown(path):
  """Return a path relative to the present folder if it is inside."""
  inside = path.startswith(os.path.join(os.getcwd(), ''))
  return os.path.relpath(path) if inside else path
