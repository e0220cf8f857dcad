"""Arrays on disk that grow by rows.

`np.lib.format.open_memmap` has the whole file from the start: it would need a
second file for the number of rows written, and a full disk would be a signal
(SIGBUS) that ends the process without a message.
"""

import io
import math
import os

import numpy as np


class Writer:
  """A .npy file that grows by rows."""

  def __init__(self, path: str, shape: tuple[int, ...], dtype: str):
    """Open a file, or start it; the header has the `shape` of the whole."""
    self._dtype = np.dtype(dtype)
    self._row_bytes = self._dtype.itemsize * math.prod(shape[1:])
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(
      header,
      {
        'descr': np.lib.format.dtype_to_descr(self._dtype),
        'fortran_order': False,
        'shape': shape,
      },
    )
    self._start = header.tell()
    self._file = open(path, 'ab')
    if self._file.tell() < self._start:
      self._file.truncate(0)
      self._file.write(header.getvalue())
      self._file.flush()

  def __enter__(self) -> 'Writer':
    return self

  def __exit__(self, *unused) -> None:
    self._file.close()

  @property
  def rows(self) -> int:
    """The number of complete rows so far."""
    return (self._file.tell() - self._start) // self._row_bytes

  def keep(self, rows: int) -> None:
    """Keep only the first `rows` rows."""
    self._file.truncate(self._start + rows * self._row_bytes)
    self._file.seek(0, os.SEEK_END)

  def append(self, rows: np.ndarray) -> bool:
    """Write rows; return False, and write none, if a value overflows."""
    with np.errstate(over='ignore'):
      stored = np.ascontiguousarray(rows, self._dtype)
    if np.any(np.isinf(stored) & np.isfinite(rows)):
      return False
    self._file.write(stored.data)
    self._file.flush()
    return True
