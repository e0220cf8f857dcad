"""The raw files that a set was prepared from: are they still the same?

A study that continues asks this instead of reading every image again. Files
that are gone are not missed: what was prepared from them is there.
"""

from collections.abc import Iterable, Mapping
import hashlib
import json
import os
from typing import Any, TypedDict

from data import raw_dataset
from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage

_BEFORE = {'split_seed': 0}


class _Manifest(TypedDict):
  settings: dict[str, object]
  tables: list[tuple[int, int, str] | None]
  images: dict[str, tuple[int, int, str] | None]


def write(
  path: str | os.PathLike,
  settings: Mapping[str, Any],
  tables: Iterable[str],
  listed: Iterable[raw_dataset.Record],
  checked: Iterable[raw_dataset.Record],
  root: str,
) -> None:
  """Record what a set was prepared from.

  Args:
    path: The file to write.
    settings: Whatever else decides about the set, as JSON can hold it.
    tables: Paths of the tables.
    listed: All records of the tables, with the files that they name.
    checked: Those that were read, with the hash of the file.
    root: The folder that images are below of.
  """
  hashes = {record.path: record.sha256 for record in checked}
  images = sorted({record.path for record in listed})
  content = {
    'settings': settings,
    'tables': [_facts(table, _sha256(table)) for table in tables],
    'images': {
      os.path.relpath(image, root): _facts(image, hashes.get(image, ''))
      for image in images
    },
  }
  storage.write_json(os.fspath(path), content)


def settings(path: str | os.PathLike) -> dict[str, Any]:
  """Return the settings of a manifest; none if there is none to be read."""
  try:
    return dict(json_file.read(path, _Manifest, 'it is made again')['settings'])
  except (OSError, errors.InputError):
    return {}


def is_unchanged(
  path: str | os.PathLike,
  settings: Mapping[str, Any],
  tables: Iterable[str],
  root: str,
  found: Iterable[str] = (),
  is_gone: bool = False,
) -> bool:
  """Return whether the raw files are those of the manifest at `path`.

  A file of the same size and time is taken for the same; one of another time
  is, if its hash is.

  Args:
    path: The manifest; False if there is none that can be read.
    settings: As they are now.
    tables: As they are now.
    root: As it is now.
    found: Images that have to be in the manifest.
    is_gone: Whether nothing of the raw files is there any more.

  Raises:
    InputError: The settings have changed.
  """
  try:
    content = json_file.read(path, _Manifest, 'it is made again')
    before, images = content['settings'], content['images']
    earlier = content['tables']
  except (OSError, errors.InputError):
    return False
  for name, value in json.loads(json.dumps(settings)).items():
    # What earlier versions did not record they had as it is, or so.
    if before.get(name, _BEFORE.get(name, value)) != value:
      raise errors.InputError(
        f'{os.path.dirname(path)} was prepared with '
        f'{name}={before.get(name, _BEFORE.get(name))!r}, '
        f'not {value!r}: give another --output_dir or the earlier value'
      )
  if is_gone:
    return True
  current = list(tables)
  return (
    len(current) == len(earlier)
    and all(map(_is_same, current, earlier))
    and all(
      _is_same(os.path.join(root, image), facts)
      for image, facts in images.items()
    )
    and {os.path.relpath(image, root) for image in found} <= images.keys()
  )


def _facts(path, sha256):
  """Return [size, time, hash] of a file; None of one that is not there."""
  try:
    status = os.stat(path)
  except (OSError, ValueError):
    return None
  return [status.st_size, status.st_mtime_ns, sha256]


def _is_same(path, facts):
  now = _facts(path, '')
  if now is None:  # Gone, or not there before either.
    return True
  if facts is None or now[0] != facts[0]:
    return False
  return now[1] == facts[1] or (facts[2] != '' and _sha256(path) == facts[2])


def _sha256(path):
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()
