"""Reads the JSON files of runs and studies; a damaged one is one line.

A schema says what a reader needs of a file. It is a type:

  str, bool, int   themselves; an int has at most 64 bits
  float            a finite number
  object           anything
  X | None         X or null
  Literal[...]     one of these
  list[X]          a list of X
  tuple[X, ...]    the same, returned as a tuple
  tuple[X, Y]      a list of one X and one Y, returned as a tuple
  dict[str, X]     an object of X under any names
  a TypedDict      an object that has at least its keys
  a dataclass      an object of its fields and no others, returned as such
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import math
import os
import re
import types
import typing
from typing import Any

from transfusion_tf import errors
from transfusion_tf import storage

_LARGEST = 2**63 - 1
_WORDS = {
  str: 'a text',
  bool: 'true or false',
  int: 'a whole number',
  float: 'a number',
  types.NoneType: 'null',
}
_LONE_SURROGATE = re.compile(r'\\u[dD][89a-fA-F]')


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
  content = _content(path, remedy)
  with _as_damaged(path, remedy):
    return _parse(content, schema)


def read_rows(path: str | os.PathLike, schema: Any, remedy: str) -> list[Any]:
  """Return the values in a file with one on each line.

  The last line is left out if it is no JSON, as one cut short; else as `read`.
  """
  path = os.fspath(path)
  lines = _content(path, remedy).splitlines()
  rows = []
  with _as_damaged(path, remedy):
    for number, line in enumerate(lines, start=1):
      try:
        rows.append(_parse(line, schema))
      except (ValueError, RecursionError) as error:
        is_cut = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
        if number < len(lines) or not is_cut:
          raise ValueError(f'line {number}: {_reason(error)}') from None
  return rows


def _content(path, remedy) -> bytes:
  try:
    return storage.read_bytes(path)
  except NotADirectoryError:
    raise FileNotFoundError(f'{path}: no such file') from None
  except FileNotFoundError:
    raise
  except OSError as error:
    raise errors.DamagedFileError(path, storage.reason(error), remedy) from None


@contextlib.contextmanager
def _as_damaged(path, remedy) -> Iterator[None]:
  try:
    yield
  except (ValueError, RecursionError) as error:
    raise errors.DamagedFileError(path, _reason(error), remedy) from None


def _reason(error):
  if isinstance(error, RecursionError):
    return 'nested too deeply'
  if isinstance(error, UnicodeDecodeError):
    return f'byte {error.start} is no UTF-8'
  return storage.reason(error)


def _parse(content: bytes, schema):
  if not content.strip():
    raise ValueError('empty')
  text = content.decode('utf-8')
  value = json.loads(
    text, parse_constant=_finite, parse_float=_finite, parse_int=_int
  )
  if _LONE_SURROGATE.search(text):
    _check_text(value)
  return _convert(value, schema)


def _finite(text):
  value = float(text)
  if not math.isfinite(value):
    raise ValueError(f'{text[:20]} is not a finite number')
  return value


def _int(text):
  if len(text) > 20 or abs(int(text)) > _LARGEST:
    raise ValueError(f'{text[:20]} is a number of more than 64 bits')
  return int(text)


def _check_text(value):
  try:
    json.dumps(value, ensure_ascii=False).encode('utf-8')
  except UnicodeEncodeError:
    raise ValueError('half of a pair of UTF-16 in a text') from None


def _convert(value, schema, where=''):
  """Return a value as its schema has it; raise a ValueError if it is not so."""
  if schema is object:
    return value
  if isinstance(schema, types.UnionType):
    return _convert_union(value, schema.__args__, where)
  if typing.is_typeddict(schema):
    hints = typing.get_type_hints(schema)
    return _check_object(value, where) | _convert_members(
      value, hints, schema.__required_keys__, where
    )
  if dataclasses.is_dataclass(schema):
    return _convert_dataclass(value, typing.cast(type, schema), where)
  origin = typing.get_origin(schema) or schema
  if origin is dict:
    hints = dict.fromkeys(_check_object(value, where), schema.__args__[1])
    return _convert_members(value, hints, (), where)
  if origin is typing.Literal:
    if value not in schema.__args__:
      raise _wrong(value, f'one of {", ".join(schema.__args__)}', where)
    return value
  if origin in (list, tuple):
    return origin(_convert_items(value, typing.get_args(schema), where))
  kinds = (int, float) if schema is float else schema
  # In Python a bool is an int.
  if isinstance(value, bool) != (schema is bool) or not isinstance(
    value, kinds
  ):
    raise _wrong(value, _WORDS[schema], where)
  return value


def _convert_union(value, schemas, where):
  for schema in schemas[1:]:
    with contextlib.suppress(ValueError):
      return _convert(value, schema, where)
  return _convert(value, schemas[0], where)


def _convert_dataclass(value, schema, where):
  fields = {field.name: field for field in dataclasses.fields(schema)}
  if unknown := _check_object(value, where).keys() - fields.keys():
    raise ValueError(f'unknown {where}{min(unknown)}')
  required = {
    name
    for name, field in fields.items()
    if field.default is dataclasses.MISSING
  }
  hints = typing.get_type_hints(schema)
  return schema(**_convert_members(value, hints, required, where))


def _convert_members(value, hints, required, where):
  if missing := set(required) - value.keys():
    raise ValueError(f'no {where}{min(missing)}')
  return {
    name: _convert(value[name], schema, f'{where}{name}.')
    for name, schema in hints.items()
    if name in value
  }


def _convert_items(value, schemas, where):
  """Yield the items of a list, all of one schema or each of its own."""
  if not isinstance(value, list):
    raise _wrong(value, 'a list', where)
  schemas = schemas or (object, ...)
  if len(schemas) == 1 or schemas[1] is ...:
    schemas = schemas[:1] * len(value)
  if len(schemas) != len(value):
    raise _wrong(value, f'a list of {len(schemas)}', where)
  for number, (item, schema) in enumerate(zip(value, schemas, strict=True)):
    yield _convert(item, schema, f'{where}{number}.')


def _check_object(value, where):
  if not isinstance(value, dict):
    raise _wrong(value, 'an object', where)
  return value


def _wrong(value, expected, where):
  found = json.dumps(value, ensure_ascii=False)
  found = found if len(found) <= 40 else f'{found[:40]}…'
  place = f'{where.removesuffix(".")}: ' if where else ''
  return ValueError(f'{place}{found} is not {expected}')
