"""Arrays on disk that are written row by row."""

import io
import math
import os

import numpy as np


class Writer:
  """A .npy file that grows by rows and can be cut back to some."""

  def __init__(self, path: str, shape: tuple[int, ...], dtype: str):
    """Open what is there, or start a file of `shape` when it is full."""
    self._dtype = np.dtype(dtype)
    self._row = self._dtype.itemsize * math.prod(shape[1:])
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
    return (self._file.tell() - self._start) // self._row

  def keep(self, rows: int) -> None:
    """Keep only the first `rows` rows."""
    self._file.truncate(self._start + rows * self._row)
    self._file.seek(0, os.SEEK_END)

  def append(self, rows: np.ndarray) -> bool:
    """Write rows; False, and nothing written, where one overflows."""
    with np.errstate(over='ignore'):
      stored = np.ascontiguousarray(rows, self._dtype)
    if np.any(np.isinf(stored) & np.isfinite(rows)):
      return False
    self._file.write(stored.data)
    self._file.flush()
    return True
