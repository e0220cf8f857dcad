"""Pictures in columns of Parquet and Arrow files, read one at a time.

A place in them is `FILE.parquet::COLUMN[ROW]`. A cell has the bytes of a file,
maybe as the `bytes` of an object, as Hugging Face's library writes it.
"""

import bisect
from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
import itertools
from typing import Any

from data import regular_files
from data import row_places
from transfusion_tf import errors

PARQUET, ARROW = '.parquet', '.arrow'
_ROWS = 1024  # Read at a time, of columns without pictures.
_BATCH = 2**24  # Bytes of pictures read at a time, of several rows.
_BUFFER = 2**20
# Bytes of the pictures of a row group, which may be read at once.
_MOST = 2**31
_REMEDY = 'write it with smaller row groups'


def is_inside(path: str) -> bool:
  """Return whether a path leads to a picture in a column."""
  return row_places.is_inside(path, (PARQUET, ARROW))


def reader(file: str) -> Callable[[str], bytes]:
  """Return a function: the part of a place -> the bytes of a picture's file.

  The function raises OSError where there is no picture. It is fast for rows in
  their order: then each group of rows of Parquet is read once.

  Raises:
    OSError: There is no such file.
  """
  status = regular_files.check(file)
  return _opened(file, status.st_mtime_ns, status.st_size).read


@functools.lru_cache(maxsize=8)
def _opened(file, *version):
  """Return an open file; another version at the same path is another."""
  del version
  return _Rows(file)


class _Rows:
  """The columns of a file, each opened once."""

  def __init__(self, file):
    self._file = file
    self._make = _OfArrow if file.lower().endswith(ARROW) else _OfParquet
    self._columns: dict[str, _OfArrow | _OfParquet] = {}

  def read(self, part):
    name, row = row_places.parse(part)
    try:
      if name not in self._columns:
        with convert_errors(self._file):
          self._columns[name] = self._make(self._file, name)
      value = self._columns[name].cell(row)
    except errors.InputError as error:
      raise OSError(str(error)) from None
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


class _OfArrow:
  """A column that is mapped into memory."""

  def __init__(self, file, name):
    chunks = _mapped(file).column(name).chunks
    self._chunks = [_bytes_of(chunk) for chunk in chunks]
    self._ends = list(itertools.accumulate(map(len, chunks)))

  def cell(self, row):
    chunk = bisect.bisect_right(self._ends, row)
    if chunk == len(self._ends):
      raise FileNotFoundError(f'no row {row + 1:,}')
    start = self._ends[chunk - 1] if chunk else 0
    return self._chunks[chunk][row - start].as_py()


class _OfParquet:
  """A column, of which some rows are in memory."""

  def __init__(self, file, name):
    from pyarrow import types

    self._path, self._file, self._name = file, _parquet(file), name
    type_ = self._file.schema_arrow.field(name).type
    has_bytes = types.is_struct(type_) and type_.get_field_index('bytes') >= 0
    self._column = f'{name}.bytes' if has_bytes else name
    metadata = self._file.metadata
    counts = (
      metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)
    )
    self._ends = list(itertools.accumulate(counts))
    self._group = -1
    self._batches: Iterator[Any] = iter(())
    self._start = self._end = 0  # The rows in memory.
    self._values: Any = ()

  def cell(self, row):
    if not self._start <= row < self._end:
      with convert_errors(self._path):
        self._seek(row)
    return self._values[row - self._start]

  def _seek(self, row):
    """Read on to a row, or from the start of its group."""
    group = bisect.bisect_right(self._ends, row)
    if group == len(self._ends):
      raise IndexError(f'no row {row + 1:,}')
    # Two batches need twice the memory; one that is damaged leaves none.
    self._values, self._start = (), self._end
    if group != self._group or row < self._start:
      self._batches = self._file.iter_batches(
        self._batch_size(group), [group], columns=[self._column]
      )
      self._group = group
      self._start = self._end = self._ends[group - 1] if group else 0
    while self._end <= row:
      batch = next(self._batches, None)
      if batch is None:
        raise ValueError('a row group has fewer rows than it says')
      self._values = _bytes_of(batch.column(0)).to_pylist()
      self._start, self._end = self._end, self._end + batch.num_rows

  def _batch_size(self, group):
    """Return how many rows of a group are not too many bytes."""
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
    return max(1, min(_ROWS, _BATCH * facts.num_rows // max(size, 1)))


def _bytes_of(values):
  """Return an array of bytes: the values, or their fields of that name."""
  from pyarrow import types

  if types.is_struct(values.type):
    number = values.type.get_field_index('bytes')
    return values.flatten()[number] if number >= 0 else values
  return values


def _parquet(path):
  from pyarrow import parquet

  regular_files.check(path)
  # Without a buffer, a column of a whole group of rows would be read at once.
  return parquet.ParquetFile(path, buffer_size=_BUFFER)


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
