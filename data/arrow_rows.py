"""Pictures in columns of Parquet and Arrow files, read one at a time.

A place in them is `FILE.parquet::COLUMN[ROW]`. A cell has the bytes of a file,
maybe as the `bytes` of an object, as Hugging Face's library writes it.
"""

import bisect
from collections.abc import Iterator, Sequence
import contextlib
import functools
import itertools
from typing import Any

from data import regular_files
from data import row_places
from transfusion_tf import errors

PARQUET, ARROW = '.parquet', '.arrow'
_ROWS = 1024  # Read at a time, of columns without pictures.
_MOST = 2**31  # Bytes of the pictures of a row group, which is read at once.
_REMEDY = 'write it with smaller row groups'


def is_inside(path: str) -> bool:
  """Return whether a path leads to a picture in a column."""
  return row_places.is_inside(path, (PARQUET, ARROW))


def read(path: str) -> bytes:
  """Return the bytes of a picture's file.

  Raises:
    OSError: There is none, or the file is damaged.
  """
  file, name, row = row_places.parse(path)
  status = regular_files.check(file)
  try:
    with convert_errors(file):
      column = _column(file, name, status.st_mtime_ns, status.st_size)
      value = column.cell(row)
  except errors.InputError as error:
    raise OSError(str(error)) from None
  if isinstance(value, dict):
    value = value.get('bytes')
  if not isinstance(value, bytes):
    raise FileNotFoundError('the row holds no picture, but maybe its name')
  return value


def schema(path: str) -> Any:
  """Return the schema, a `pyarrow.Schema`.

  Raises:
    InputError: The file is none, or there is no pyarrow.
  """
  with convert_errors(path):
    if path.lower().endswith(ARROW):
      return _mapped(path).schema
    with _parquet(path) as file:
      return file.schema_arrow


def batches(path: str, columns: Sequence[str]) -> Iterator[Any]:
  """Yield a `pyarrow.RecordBatch` for some rows after the other.

  Args:
    path: The file.
    columns: Its columns; `COLUMN.FIELD` of one of objects is the object with
      that field alone, if the file is of Parquet.

  Raises:
    InputError: The file is damaged, or there is no pyarrow.
  """
  with convert_errors(path):
    if path.lower().endswith(ARROW):
      whole = list(dict.fromkeys(name.split('.')[0] for name in columns))
      yield from _mapped(path).select(whole).to_batches(_ROWS)
      return
    with _parquet(path) as file:
      yield from file.iter_batches(_ROWS, columns=list(columns))


@functools.lru_cache(maxsize=8)
def _column(file, name, *version):
  """Return a column; another version at the same path is another."""
  del version
  return (_OfArrow if file.lower().endswith(ARROW) else _OfParquet)(file, name)


class _OfArrow:
  """A column that is mapped into memory."""

  def __init__(self, file, name):
    self._values = _mapped(file).column(name)

  def cell(self, row):
    return self._values[row].as_py()


class _OfParquet:
  """A column, of which one row group is in memory."""

  def __init__(self, file, name):
    self._file, self._name = _parquet(file), name
    metadata = self._file.metadata
    counts = (
      metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)
    )
    self._ends = list(itertools.accumulate(counts))
    self._group, self._values = -1, None

  def cell(self, row):
    group = bisect.bisect_right(self._ends, row)
    if group == len(self._ends):
      raise IndexError(f'no row {row + 1:,}')
    if group != self._group:
      self._values = None  # Two groups need twice the memory.
      self._check_size(group)
      table = self._file.read_row_group(group, columns=[self._name])
      self._group, self._values = group, table.column(self._name)
    start = self._ends[group - 1] if group else 0
    return self._values[row - start].as_py()

  def _check_size(self, group):
    facts = self._file.metadata.row_group(group)
    columns = (facts.column(n) for n in range(facts.num_columns))
    size = sum(
      column.total_uncompressed_size
      for column in columns
      if column.path_in_schema.split('.')[0] == self._name
    )
    if size > _MOST:
      raise ValueError(
        f'a row group has {size:,} bytes of {self._name}; {_REMEDY}'
      )


def _parquet(path):
  from pyarrow import parquet

  regular_files.check(path)
  return parquet.ParquetFile(path)


def _mapped(path):
  """Return the table of an Arrow stream, or of a file of the other format."""
  import pyarrow
  from pyarrow import ipc

  regular_files.check(path)
  try:
    table = ipc.open_stream(pyarrow.memory_map(path)).read_all()
  except pyarrow.ArrowInvalid:
    table = ipc.open_file(pyarrow.memory_map(path)).read_all()
  # Else a damaged one leads to any place in memory.
  table.validate(full=True)
  return table


@contextlib.contextmanager
def convert_errors(path: str) -> Iterator[None]:
  """Convert what reading a file raises into one line."""
  try:
    from pyarrow import lib
  except ImportError:
    raise errors.InputError(
      f"{path}: Parquet and Arrow need pyarrow: pip install -e '.[parquet]'"
    ) from None
  try:
    yield
  except errors.InputError:
    raise
  except FileNotFoundError:
    raise errors.InputError(f'no {path}') from None
  except (
    *(lib.ArrowException, OSError, ValueError, LookupError, TypeError),
    OverflowError,
  ) as error:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise errors.InputError(f'{path} cannot be read: {reason}') from None
