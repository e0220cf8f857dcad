"""Reads the JSON files of runs and studies; a damaged one is one line.

A schema says what a reader needs of a file. It is a type, as msgspec takes it:

  object           anything
  list[X]          a list of X
  tuple[X, ...]    the same, returned as a tuple
  dict[str, X]     an object of X under any names
  a TypedDict      an object that has at least its keys
  a dataclass      an object of its fields and no others, returned as such
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import typing
from typing import Any

import msgspec

from transfusion_tf import errors
from transfusion_tf import storage

_LARGEST = 2**63 - 1


def read(path: str | os.PathLike, schema: Any, remedy: str) -> Any:
  """Return the value in a JSON file.

  Args:
    path: The file.
    schema: What it has to be.
    remedy: What to do if it is not.

  Raises:
    FileNotFoundError: There is none.
    DamagedFileError: It is damaged.
    InputError: The bucket cannot be read.
  """
  path = os.fspath(path)
  with _as_damaged(path, remedy):
    return _parse(storage.read_bytes(path), schema)


def read_rows(path: str | os.PathLike, schema: Any, remedy: str) -> list[Any]:
  """Return the values in a file with one on each line.

  The last line is left out if it is no JSON, as one cut short; else as `read`.
  """
  path = os.fspath(path)
  with _as_damaged(path, remedy):
    lines = storage.read_bytes(path).splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
      try:
        rows.append(_parse(line, schema))
      except (ValueError, RecursionError) as error:
        is_json = isinstance(error, msgspec.ValidationError | RecursionError)
        if number < len(lines) or is_json:
          raise ValueError(f'line {number}: {_reason(error)}') from None
    return rows


@contextlib.contextmanager
def _as_damaged(path, remedy) -> Iterator[None]:
  try:
    yield
  except NotADirectoryError:
    raise FileNotFoundError(f'{path}: no such file') from None
  except (FileNotFoundError, errors.InputError):
    raise
  except (OSError, ValueError, RecursionError) as error:
    raise errors.DamagedFileError(path, _reason(error), remedy) from None


def _reason(error):
  if isinstance(error, RecursionError):
    return 'nested too deeply'
  if isinstance(error, UnicodeDecodeError):
    return 'no UTF-8'
  return storage.reason(error)


def _parse(content: bytes, schema):
  if not content.strip():
    raise ValueError('empty')
  value = msgspec.json.decode(content)
  _check_numbers(value)
  converted = msgspec.convert(value, schema)
  if typing.is_typeddict(schema):
    return value | converted
  _check_fields(value, converted)
  return converted


def _check_numbers(value):
  """Raise a ValueError if a whole number has more than 64 bits."""
  if isinstance(value, dict):
    value = list(value.values())
  if isinstance(value, list):
    for part in value:
      _check_numbers(part)
  elif isinstance(value, int) and abs(value) > _LARGEST:
    raise ValueError(f'{str(value)[:20]} is a number of more than 64 bits')


def _check_fields(value, converted):
  """Raise a ValueError if an object has names that its dataclass lacks."""
  if not dataclasses.is_dataclass(converted):
    return
  for name, part in value.items():
    if not hasattr(converted, name):
      raise ValueError(f'unknown {name}')
    _check_fields(part, getattr(converted, name))
