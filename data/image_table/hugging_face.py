"""Hugging Face's sets of images: Parquet shards, or what `save_to_disk` wrote.

Pictures stay in the files, and are read where they are. The schema says what
columns mean, as the library `datasets` writes it; nothing is downloaded, and no
code of a set is run. Parquet files of others are read as well.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import itertools
import json
import os
from typing import Any

from data import arrow_rows
from data import findings
from data import row_places
from data.image_table import row_columns
from data.image_table import rows as rows_lib
from data.image_table import shards
from data.image_table import source as source_lib
from transfusion_tf import errors
from transfusion_tf import shown_text

_PICTURES = ('image', 'img', 'picture')  # In files without HF's features.
_LISTS = ('List', 'LargeList', 'Sequence')


def files(path: str) -> list[str]:
  """Return the files of rows, in their order.

  Raises:
    OSError: A folder cannot be read.
  """
  found = shards.find(path, arrow_rows.PARQUET)
  found = found or shards.find(path, arrow_rows.ARROW)
  # What `datasets` keeps beside a set of the results of `map`.
  return [f for f in found if not os.path.basename(f).startswith('cache-')]


def read(path: str, columns: source_lib.Columns) -> source_lib.Source:
  """Return a row for each picture.

  The split is in the names of files (`train-00000-of-00001.parquet`) or of
  folders.

  Args:
    path: A file, or a folder.
    columns: What the flags say; --path_column chooses among columns of
      pictures.

  Raises:
    InputError: A file is damaged, its columns differ from those of the others,
      or it has no pictures or no labels.
  """
  found = files(path)
  if not found:
    raise errors.InputError(f'{path} holds no Parquet and no Arrow file')
  splits = shards.splits(os.path.abspath(path), found)
  first = _Schema(found[0], columns)
  rows = row_columns.RowColumns()
  counts: collections.Counter[str] = collections.Counter()
  for file, split in zip(found, splits, strict=True):
    schema = _Schema(file, columns)
    if schema != first:
      raise errors.InputError(
        f'{file} has other columns, or other classes, than {found[0]}'
      )
    for ids, places, columns_ in schema.batches():
      numbers = itertools.count(counts[split])
      counts[split] += len(ids)
      if split:
        columns_[source_lib.SPLIT] = [split] * len(ids)
      rows.extend(
        (
          name or f'{split or "row"}_{number:04d}.png'
          for name, number in zip(ids, numbers, strict=False)
        ),
        places,
        columns_,
      )
  return rows_lib.of_rows(path, rows, columns, first.meaning(), found)


class _Schema:
  """The columns of a file, by HF's features or by their types."""

  def __init__(self, path: str, asked: source_lib.Columns):
    self._path, self._asked = path, asked
    schema = arrow_rows.schema(path)
    self._features = _features(path, schema)
    self._names = list(schema.names)
    self._picture = self._choose_picture(schema)
    field = schema.field(self._picture).type
    self._has_paths = _has_field(field, 'path')
    # Lists of numbers and what else is no cell are not even read.
    self._columns = [
      name
      for name in self._names
      if name != self._picture
      and (name in self._several or _is_cell(schema.field(name).type))
    ]

  def __eq__(self, other: object) -> bool:
    return isinstance(other, _Schema) and (
      (self._features, self._columns, self._picture)
      == (other._features, other._columns, other._picture)
    )

  __hash__ = None  # type: ignore[assignment]  # It is compared alone.

  @property
  def _classes(self) -> dict[str, list[str]]:
    """Column -> the names of its classes."""
    return {
      name: feature['names']
      for name, feature in self._features.items()
      if _is_class(feature)
    }

  @property
  def _several(self) -> dict[str, list[str]]:
    """Column of lists of classes -> their names."""
    return {
      name: feature['feature']['names']
      for name, feature in self._features.items()
      if feature.get('_type') in _LISTS and _is_class(feature.get('feature'))
    }

  def meaning(self) -> source_lib.Columns:
    """Return the labels that the features say.

    Raises:
      InputError: Several columns are classes, and nobody says which to learn.
    """
    classes, several = self._classes, self._several
    states = tuple(n for n, names in classes.items() if _is_states(names))
    if states and not self._asked.labels:
      return source_lib.Columns(labels=states, kind='findings')
    chosen = [n for n in self._asked.labels if n in classes or n in several]
    among = chosen or [*classes, *several]
    if len(among) > 1 and not self._asked.labels:
      raise errors.InputError(
        f'{self._path}: say with --label_columns which column is learned: '
        f'{errors.listed(among)}'
      )
    if len(among) != 1:
      return source_lib.Columns()
    (name,) = among
    if name in several:
      labels = tuple(several[name])
      return source_lib.Columns(labels=labels, kind='findings')
    return source_lib.Columns(
      labels=(name,), kind='label', classes=tuple(classes[name])
    )

  def batches(
    self,
  ) -> Iterator[tuple[list[str], list[str], dict[str, list[str]]]]:
    """Yield the ids, places and columns of some rows after the other.

    An id is the name of the picture's file, or ''.
    """
    wanted = [*self._columns]
    if self._has_paths:
      wanted.append(f'{self._picture}.path')
    if not wanted:  # Nothing but pictures.
      wanted = [self._picture]
    start = 0
    for batch in arrow_rows.batches(self._path, wanted):
      with arrow_rows.convert_errors(self._path):  # Texts that are none.
        names = self._paths(batch)
        columns: dict[str, list[str]] = {}
        for name in self._columns:
          columns |= self._cells(name, batch.column(name).to_pylist())
      numbers = range(start, start + batch.num_rows)
      yield (
        [shown_text.printable(os.path.basename(name or '')) for name in names],
        [row_places.make(self._path, self._picture, n) for n in numbers],
        columns,
      )
      start = numbers.stop

  def _paths(self, batch):
    if not self._has_paths:
      return [None] * batch.num_rows
    return batch.column(self._picture).field('path').to_pylist()

  def _cells(self, name, values):
    """Return the columns of cells that a column of values is."""
    if name in self._several:
      names = self._several[name]
      held = [{self._class(names, n) for n in each or ()} for each in values]
      return {n: [str(int(n in each)) for each in held] for n in names}
    if name in self._classes:
      names = self._classes[name]
      return {name: [self._class(names, number) for number in values]}
    return {name: [rows_lib.cell(value) or '' for value in values]}

  def _class(self, names, number):
    """Return the name of a class; -1 and what has no name stay as they are."""
    if isinstance(number, int) and 0 <= number < len(names):
      name = names[number]
      return findings.code(name) if _is_states(names) else name
    return '' if number is None or number == -1 else str(number)

  def _choose_picture(self, schema):
    pictures = [
      name
      for name, feature in self._features.items()
      if feature.get('_type') == 'Image' and name in self._names
    ]
    if not pictures:
      held = [n for n in self._names if _is_picture(schema.field(n).type)]
      pictures = [n for n in held if n.lower() in _PICTURES] or held
    if self._asked.path in pictures:
      return self._asked.path
    if len(pictures) != 1:
      some = ', '.join(pictures)
      what = f'several columns ({some})' if pictures else 'no column'
      raise errors.InputError(
        f'{self._path} has {what} of pictures, as bytes of files (it has: '
        f'{errors.listed(self._names)}); --path_column chooses one'
      )
    return pictures[0]


def _features(path, schema) -> dict[str, Mapping[str, Any]]:
  """Return HF's features of columns; none if another program wrote the file."""
  text = (schema.metadata or {}).get(b'huggingface')
  if text is None:
    return {}
  try:
    features = json.loads(text)['info']['features']
    return {
      name: feature
      for name, feature in features.items()
      if isinstance(feature, dict)
    }
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    raise errors.InputError(
      f"{path}: what it says of Hugging Face's features is damaged"
    ) from None


def _is_class(feature):
  """Return whether a feature is of classes with names."""
  if not isinstance(feature, Mapping) or feature.get('_type') != 'ClassLabel':
    return False
  names = feature.get('names')
  return (
    isinstance(names, Sequence)
    and not isinstance(names, str)
    and all(isinstance(name, str) for name in names)
  )


def _is_states(names):
  """Return whether classes are those of a finding, as export_data.py has it."""
  return tuple(names) == findings.STATES


def _is_cell(type_):
  from pyarrow import types

  tests = (types.is_integer, types.is_floating, types.is_boolean)
  texts = (types.is_string, types.is_large_string, types.is_null)
  return any(test(type_) for test in (*tests, *texts))


def _has_field(type_, name):
  from pyarrow import types

  return types.is_struct(type_) and type_.get_field_index(name) >= 0


def _is_picture(type_):
  from pyarrow import types

  if _has_field(type_, 'bytes'):
    type_ = type_.field('bytes').type
  return types.is_binary(type_) or types.is_large_binary(type_)
