"""Files inside archives, read without unpacking.

Kaggle's sets come as `train.zip.001`, `train.zip.002`, ...: one zip archive,
cut; ImageNet as a tar of tars. A path into an archive is `ARCHIVE::MEMBER`;
the member of a tar, or of a file of TFDS' records, is `OFFSET+SIZE`, so that it
is found at once.
"""

from collections.abc import Iterator
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
  archive, _, place = str(path).partition(_INSIDE)
  try:
    regular_files.check(archive)
    with open(archive, 'rb') as file:
      file.seek(int(place.split('+')[0]) if place else 0)
      with tarfile.open(fileobj=file, mode='r:') as tar:
        for info in tar:
          if info.isfile():
            place = f'{info.offset_data}+{info.size}'
            yield info.name, f'{archive}{_INSIDE}{place}'
  except tarfile.TarError as error:
    raise errors.InputError(f'{path} is not a whole tar: {error}') from None
  except FileNotFoundError:
    raise errors.InputError(f'no {archive}; see data/README.md') from None
  except OSError as error:
    raise errors.InputError(
      f'{archive} cannot be read: {error.strerror or error}'
    ) from None


def read(path: str) -> bytes:
  """Return the bytes of a file in an archive.

  Raises:
    OSError: The file does not exist, or the archive is damaged there.
  """
  archive, member = path.split(_INSIDE, 1)
  if archive.lower().endswith('.tar') or _is_of_records(archive):
    return _read_piece(archive, member)
  try:
    opened = _open_zip(archive)
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


def _read_piece(archive, member):
  place = re.fullmatch(r'([0-9]{1,18})[+]([0-9]{1,18})', member, re.ASCII)
  if not place:
    raise FileNotFoundError(f'{member} is no place in {archive}')
  offset, size = map(int, place.groups())
  _check_length(member, archive, size)
  regular_files.check(archive)
  with open(archive, 'rb') as file:
    file.seek(offset)
    return file.read(size)


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
