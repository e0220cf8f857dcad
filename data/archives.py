"""Files inside archives, read without unpacking.

Kaggle's sets come as `train.zip.001`, `train.zip.002`, ...: one zip archive,
cut; ImageNet as a tar of tars. A path into an archive is `ARCHIVE::MEMBER`;
the member of a tar, or of a file of TFDS' records, is `OFFSET+SIZE`, so that it
is found at once.
"""

from collections.abc import Callable, Iterator
import functools
import io
import lzma
import os
import pathlib
import re
import tarfile
import zipfile
import zlib

from data import regular_files
from transfusion_tf import errors

# Of one image; a slide of 200 million pixels has less.
MAX_BYTES = 2**31
_INSIDE = '::'
_SUFFIXES = ('.zip', '.zip.001', '.tar')
_RECORDS = re.compile(r'\.tfrecord-[0-9]+-of-[0-9]+\Z', re.ASCII)
_PIECE = re.compile(r'([0-9]{1,18})[+]([0-9]{1,18})', re.ASCII)
_ENCRYPTED = 1  # Bit of a member's flags.


def is_inside(path: str) -> bool:
  """Return whether a path leads into an archive."""
  archive, inside, _ = path.partition(_INSIDE)
  is_archive = archive.lower().endswith(_SUFFIXES) or _is_of_records(archive)
  return bool(inside) and is_archive


def zip_members(archive: str | os.PathLike) -> list[str]:
  """Return the paths of the files in `X.zip`, or in `X.zip.001` and so on.

  Raises:
    InputError: The archive is not whole, encrypted, or cannot be opened.
  """
  members = [
    info
    for info in _open_zip(str(archive)).infolist()
    # What macOS adds has the names of the images, and holds none.
    if not info.is_dir() and not info.filename.startswith('__MACOSX/')
  ]
  if members and all(info.flag_bits & _ENCRYPTED for info in members):
    raise errors.InputError(
      f'{archive} is encrypted; unpack it with its password'
    )
  return [f'{archive}{_INSIDE}{info.filename}' for info in members]


def tar_members(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
  """Yield (name, path) of the files in a tar, or in a tar inside a tar."""
  for name, place, _ in tar_files(path, lambda name, size: False):
    yield name, place


def tar_files(
  path: str | os.PathLike, is_read: Callable[[str, int], bool]
) -> Iterator[tuple[str, str, bytes]]:
  """Yield (name, path, contents) of the files in a tar, in one pass.

  Args:
    path: A tar, or a tar inside a tar.
    is_read: Name and size of a file -> whether its contents are wanted; of
      others they are empty.

  Raises:
    InputError: It is no whole tar, or cannot be read.
  """
  archive, _, place = str(path).partition(_INSIDE)
  try:
    regular_files.check(archive)
    with open(archive, 'rb') as file:
      file.seek(int(place.split('+')[0]) if place else 0)
      with tarfile.open(fileobj=file, mode='r:') as tar:
        while info := tar.next():
          # Else all of them stay in memory.
          tar.members.clear()  # type: ignore[attr-defined]
          if info.isfile():
            place = f'{info.offset_data}+{info.size}'
            contents = b''
            if is_read(info.name, info.size):
              file.seek(info.offset_data)
              contents = file.read(info.size)
            yield info.name, f'{archive}{_INSIDE}{place}', contents
  except tarfile.TarError as error:
    raise errors.InputError(f'{path} is not a whole tar: {error}') from None
  except FileNotFoundError:
    raise errors.InputError(f'no {archive}; see data/README.md') from None
  except OSError as error:
    raise errors.InputError(
      f'{archive} cannot be read: {error.strerror or error}'
    ) from None


def reader(archive: str) -> Callable[[str], bytes]:
  """Return a function: the part of a place -> the bytes of a file.

  The function raises OSError where there is no file, or where the archive is
  damaged.

  Raises:
    OSError: There is no such archive.
    InputError: It is no whole zip archive.
  """
  if archive.lower().endswith('.tar') or _is_of_records(archive):
    status = regular_files.check(archive)
    return _opened(archive, status.st_mtime_ns, status.st_size).read
  return functools.partial(_read_member, archive, _open_zip(archive))


def _read_member(archive, opened, member):
  try:
    _check_length(member, archive, opened.getinfo(member).file_size)
    with opened.open(member) as file:
      return file.read(MAX_BYTES)
  except KeyError:
    raise FileNotFoundError(f'{member} is not in {archive}') from None
  except (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError),
    # A method that Python does not know, such as Deflate64; a password.
    *(NotImplementedError, RuntimeError),
  ) as error:
    raise OSError(
      f'{member} in {archive} cannot be unpacked: {error}'
    ) from None


@functools.lru_cache(maxsize=8)
def _opened(archive, *version):
  """Return an open file; another version at the same path is another."""
  del version
  return _Pieces(archive)


class _Pieces:
  """A file that is open, and read in pieces."""

  def __init__(self, path):
    self._path, self._file = path, open(path, 'rb')

  def read(self, piece):
    place = _PIECE.fullmatch(piece)
    if not place:
      raise FileNotFoundError(f'{piece} is no place in {self._path}')
    offset, size = int(place[1]), int(place[2])
    if size > MAX_BYTES:
      _check_length(piece, self._path, size)
    return os.pread(self._file.fileno(), size, offset)


def _is_of_records(path):
  return _RECORDS.search(path) is not None


def _check_length(member, archive, length):
  if length > MAX_BYTES:
    raise OSError(f'{member} in {archive} unpacks to over {MAX_BYTES:,} bytes')


def _open_zip(archive):
  try:
    status = regular_files.check(archive)
  except OSError as error:
    raise errors.InputError(
      f'{archive} cannot be read: {error.strerror or error}'
    ) from None
  return _open_version(archive, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=8)
def _open_version(archive, *version):
  """Return the open archive; another version at the same path is another."""
  del version
  try:
    if not archive.endswith('.001'):
      return zipfile.ZipFile(archive)
    return zipfile.ZipFile(io.BufferedReader(_Joined(_parts(archive))))
  except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
    raise errors.InputError(
      f'{archive} is not a whole zip archive (is a part missing?): {error}'
    ) from None
  except OSError as error:
    raise errors.InputError(
      f'{archive} cannot be read: {error.strerror or error}'
    ) from None


def _parts(archive):
  """Return X.zip.001, X.zip.002, ...; other files beside them are no parts."""
  first = pathlib.Path(archive)
  stem = first.name[: -len('001')]
  numbers = sorted(
    int(path.name[len(stem) :])
    for path in first.parent.iterdir()
    if path.name.startswith(stem)
    and re.fullmatch(r'[0-9]{3}', path.name[len(stem) :])
  )
  for expected, number in enumerate(numbers, start=1):
    if number != expected:
      raise errors.InputError(
        f'{first.parent}: {stem}{expected:03d} is missing, though there is '
        f'{stem}{number:03d}; download it'
      )
  return [first.with_name(f'{stem}{number:03d}') for number in numbers]


class _Joined(io.RawIOBase):
  """Several files read as one."""

  def __init__(self, paths):
    self._files = [path.open('rb') for path in paths]
    self._sizes = [path.stat().st_size for path in paths]
    self._at = 0

  def readable(self):
    return True

  def seekable(self):
    return True

  def seek(self, offset, whence=io.SEEK_SET):
    start = {
      io.SEEK_SET: 0,
      io.SEEK_CUR: self._at,
      io.SEEK_END: sum(self._sizes),
    }
    self._at = start[whence] + offset
    return self._at

  def readinto(self, buffer):
    within = self._at
    for file, size in zip(self._files, self._sizes, strict=True):
      if within < size:
        file.seek(within)
        count = file.readinto(buffer)
        self._at += count
        return count
      within -= size
    return 0

  def close(self):
    for file in self._files:
      file.close()
    super().close()
