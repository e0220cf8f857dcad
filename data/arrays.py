"""Pictures in NumPy's .npz archives and .npy files, read one at a time.

A place in them is `FILE.npz::ARRAY[ROW]` or `FILE.npy::[ROW]`. An array that is
stored as it is, as `numpy.savez` writes it, is mapped into memory; one that is
compressed is unpacked by `unpack`, once. Nothing pickled is ever loaded.
"""

from collections.abc import Callable, Iterator
import contextlib
import functools
import os
import re
import shutil
import tokenize
import zipfile
import zlib

import numpy as np

from data import regular_files
from data import row_places
from transfusion_tf import errors

_SUFFIXES = ('.npz', '.npy')
_NAME = re.compile(r'\w*', re.ASCII)
_LOCAL_HEADER = 30  # Bytes before the name of a member; APPNOTE.TXT, 4.3.7.
# What claims to unpack to more, and to so many times its size, is no picture.
_MOST_UNPACKED, _MOST_RATIO = 2**30, 200
_BLOCK = 2**20  # Bytes read at a time.
_MAX_HEADER = 10_000  # As numpy has it.


def is_inside(path: str) -> bool:
  """Return whether a path leads to a picture in an array."""
  return row_places.is_inside(path, _SUFFIXES)


def reader(file: str) -> Callable[[str], np.ndarray]:
  """Return a function: the part of a place -> a picture, [H, W] or [H, W, 3].

  The function raises OSError where there is no picture.

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
  """The arrays of a file, each mapped once."""

  def __init__(self, file):
    self._file = file
    self._arrays: dict[str, np.ndarray] = {}

  def read(self, part):
    name, row = row_places.parse(part)
    if name not in self._arrays:
      self._arrays[name] = self._mapped(name)
    array = self._arrays[name]
    if row >= len(array):
      raise FileNotFoundError(
        f'{self._file} has {len(array):,} rows, not {row + 1:,}'
      )
    return array[row]

  def _mapped(self, name):
    if not _NAME.fullmatch(name):
      raise FileNotFoundError(f'{name} is no array in {self._file}')
    try:
      array = open_array(self._file, name)
    except errors.InputError as error:
      raise OSError(str(error)) from None
    if array.ndim == 4 and array.shape[-1] == 1:
      array = array[..., 0]
    # A row of a mapped array, as such, takes ten times longer to be made.
    return np.asarray(array)


def names(path: str) -> list[str]:
  """Return the names of the arrays in an archive.

  Raises:
    InputError: It is no archive of arrays.
  """
  with _convert_errors(path), _open(path) as archive:
    return [
      name.removesuffix('.npy')
      for name in archive.namelist()
      if name.endswith('.npy')
    ]


def is_compressed(path: str, name: str) -> bool:
  """Return whether an array has to be unpacked to be read by rows."""
  with _convert_errors(path), _open(path) as archive:
    return archive.getinfo(f'{name}.npy').compress_type != zipfile.ZIP_STORED


def check_whole(path: str, name: str) -> None:
  """Compare the bytes of an array with the sum that the archive has of them.

  Raises:
    InputError: They are other ones.
  """
  with _convert_errors(path), _open(path) as archive:
    info = archive.getinfo(f'{name}.npy')
    _check_ratio(info)
    with archive.open(info) as file:
      while file.read(_BLOCK):
        pass


def open_array(path: str, name: str) -> np.ndarray:
  """Return an array that is stored as it is, mapped into memory.

  Args:
    path: An .npz archive, or an .npy file.
    name: Of the array; empty for a file.

  Raises:
    InputError: There is none, it is compressed, holds Python objects, or is
      damaged.
  """
  with _convert_errors(path):
    start, size = _extent(path, name)
    with open(path, 'rb') as file:
      file.seek(start)
      shape, dtype, is_fortran = _header(file)
      offset = file.tell()
    _check_size(shape, dtype, size - (offset - start))
    if 0 in shape:
      return np.empty(shape, dtype)
    order = 'F' if is_fortran else 'C'
    return np.memmap(path, dtype, 'r', offset, shape, order)  # type: ignore


def load(path: str, name: str) -> np.ndarray:
  """Return an array of any kind but of Python objects, whole.

  Raises:
    InputError: There is none, or it is damaged.
  """
  with _convert_errors(path), _open(path) as archive:
    info = archive.getinfo(f'{name}.npy')
    _check_ratio(info)
    with archive.open(info) as file:
      shape, dtype, is_fortran = _header(file)
      _check_size(shape, dtype, info.file_size - file.tell())
      values = np.frombuffer(file.read(), dtype)
    return values.reshape(shape, order='F' if is_fortran else 'C')


def unpack(path: str, name: str, folder: str) -> str:
  """Write a compressed array into a folder, as a file; return its path.

  Raises:
    InputError: It is damaged, or larger than there is room for.
  """
  target = os.path.join(folder, f'{name}.npy')
  with _convert_errors(path), _open(path) as archive:
    info = archive.getinfo(f'{name}.npy')
    _check_ratio(info)
    if info.file_size > shutil.disk_usage(folder).free:
      raise errors.InputError(
        f'{path}: {name} unpacks to {info.file_size:,} bytes, for which '
        f'{folder} has no room; set TMPDIR to a larger disk'
      )
    with archive.open(info) as file, open(target, 'wb') as out:
      shutil.copyfileobj(file, out, _BLOCK)
  open_array(target, '')  # Refuses what is no array.
  return target


def _extent(path, name):
  """Return where an array's file begins within `path`, and its length."""
  regular_files.check(path)
  if not name:
    return 0, os.path.getsize(path)
  with _open(path) as archive:
    info = archive.getinfo(f'{name}.npy')
    if info.compress_type != zipfile.ZIP_STORED:
      raise ValueError(f'{name} is compressed')
  with open(path, 'rb') as file:
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER)
  if len(header) < _LOCAL_HEADER or header[:4] != b'PK\3\4':
    raise ValueError(f'{name} is not where the archive says')
  lengths = [int.from_bytes(header[at : at + 2], 'little') for at in (26, 28)]
  return info.header_offset + _LOCAL_HEADER + sum(lengths), info.file_size


def _header(file):
  """Return (shape, dtype, whether in Fortran's order) of an array's file."""
  version = np.lib.format.read_magic(file)
  reader = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }.get(version)
  if reader is None:
    raise ValueError(f'its format is {version}')
  shape, is_fortran, dtype = reader(file, max_header_size=_MAX_HEADER)
  if dtype.hasobject:
    raise ValueError('it holds Python objects, which are not loaded')
  if any(length < 0 for length in shape):
    raise ValueError(f'its shape is {shape}')
  return shape, dtype, is_fortran


def _check_size(shape, dtype, size):
  needed = dtype.itemsize
  for length in shape:  # Of any size: numpy's product would overflow.
    needed *= length
  if needed != size:
    raise ValueError(
      f'{size:,} bytes, but {needed:,} for {shape} of {dtype}: it is damaged'
    )


def _check_ratio(info):
  if info.file_size > max(_MOST_UNPACKED, _MOST_RATIO * info.compress_size):
    raise ValueError(
      f'{info.filename} would unpack from {info.compress_size:,} to '
      f'{info.file_size:,} bytes'
    )


def _open(path):
  regular_files.check(path)
  return zipfile.ZipFile(path)


@contextlib.contextmanager
def _convert_errors(path) -> Iterator[None]:
  """Convert what reading a file of arrays raises into one line."""
  try:
    yield
  except errors.InputError:
    raise
  except FileNotFoundError:
    raise errors.InputError(f'no {path}') from None
  except KeyError as error:
    name = re.search(r"'(\w*)\.npy'", str(error))
    raise errors.InputError(
      f'{path} has no array {name[1] if name else error}'
    ) from None
  except zipfile.BadZipFile:
    raise errors.InputError(
      f'{path} is no .npz archive of NumPy, or is not whole'
    ) from None
  except (
    *(OSError, ValueError, EOFError, zlib.error, RuntimeError, TypeError),
    *(NotImplementedError, SyntaxError, tokenize.TokenError, OverflowError),
  ) as error:
    reason = str(error).splitlines() or [type(error).__name__]
    raise errors.InputError(f'{path} cannot be read: {reason[0]}') from None
