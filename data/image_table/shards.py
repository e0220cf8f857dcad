"""The files that a set is cut into, and the split that each is of."""

from collections.abc import Sequence
import os
import re

from data import cells
from transfusion_tf import errors

_WORDS = re.compile(r'[^a-z0-9]+')


def find(path: str, ending: str) -> list[str]:
  """Return a file, or the files of an ending in a folder and below it, sorted.

  Hidden ones are left out.

  Raises:
    OSError: A folder cannot be read.
  """
  path = os.path.abspath(path)
  if not os.path.isdir(path):
    return [path]

  def refuse(error):
    raise error

  found = []
  for parent, folders, names in os.walk(path, onerror=refuse):
    folders[:] = sorted(name for name in folders if name[0] not in '._')
    found += [
      os.path.join(parent, name)
      for name in sorted(names)
      if name.lower().endswith(ending) and name[0] not in '._'
    ]
  return found


def splits(root: str, files: Sequence[str]) -> list[str]:
  """Return the split of each file, by a word of its name or of its folders.

  Args:
    root: The folder, or the one file, that was asked for.
    files: The result of `find`.

  Returns:
    `train`, `validation` or `test` each; or nothing of any, if no name has it.

  Raises:
    InputError: Some names have it and others do not.
  """
  top = root if os.path.isdir(root) else os.path.dirname(root)
  found = [_split(os.path.relpath(file, top)) for file in files]
  lacking = [
    file for file, split in zip(files, found, strict=True) if not split
  ]
  if lacking and len(lacking) < len(files):
    raise errors.InputError(
      f'{lacking[0]} says no split in its name, and other files of {root} do'
    )
  return found


def _split(name):
  words = [w for w in _WORDS.split(name.lower()) if w in cells.SPLITS]
  return cells.SPLITS[words[-1]] if words else ''
