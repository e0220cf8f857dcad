"""Folders of versions, MODEL/1, MODEL/2, as TF Serving finds them.

It lists MODEL again and again, takes each folder whose name is a number for a
version, and serves the highest.
"""

import os

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.export import export_folder

NEXT = 'next'
_MOST = 2**63 - 1  # TF Serving reads the names as int64.
_LONGEST = 255  # Of a folder's name.


def folder(model_dir: str, version: str) -> str:
  """Return the folder of a version that is to be made.

  Args:
    model_dir: The folder of all versions; it need not exist.
    version: A number from 1, or `NEXT`, one more than the highest.

  Raises:
    InputError: That is no version, it exists, or `model_dir` is an export.
  """
  existing = storage.listdir(model_dir)
  if export_folder.CARD in existing:
    raise errors.InputError(
      f'{model_dir} is an export, and cannot hold versions; choose another '
      '--export_dir'
    )
  numbers = {number for number in map(_parse, existing) if number}
  if version == NEXT:
    number = max(numbers, default=0) + 1
  else:
    number = _parse(version)
  if not 1 <= number <= _MOST:
    raise errors.InputError(
      f'--version={version}: a version is a number from 1 to {_MOST}, or {NEXT}'
    )
  if number in numbers:
    raise errors.InputError(
      f'{model_dir} has a version {number}, and servers do not load a version '
      f'twice; --version={NEXT} adds one'
    )
  return os.path.join(model_dir, str(number))


def newest(export_dir: str) -> str:
  """Return the folder of the highest version, or an export that has none.

  Versions without a graph are left out: in a bucket they are not complete.

  Args:
    export_dir: An export, or a folder of versions.
  """
  existing = storage.listdir(export_dir)
  if export_folder.GRAPH in existing:
    return export_dir
  names = [name for name in existing if _parse(name)]
  for name in sorted(names, key=_parse, reverse=True):
    version = os.path.join(export_dir, name)
    if export_folder.GRAPH in storage.listdir(version):
      return version
  return export_dir


def _parse(name: str) -> int:
  """Return the number that a name is to TF Serving, 0 if it is none."""
  if not name.isascii() or not name.isdecimal() or len(name) > _LONGEST:
    return 0
  number = int(name)
  return number if number <= _MOST else 0
