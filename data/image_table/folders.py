"""A folder for each class, maybe in a folder for each split, as a table."""

from collections.abc import Iterator
import dataclasses
import os
import pathlib

import pandas as pd

from data import cells
from data import raw_dataset
from data.image_table import paths
from data.image_table import source as source_lib
from transfusion_tf import errors

_PATH, _LABEL, _SPLIT = 'path', 'label', 'split'
# What macOS leaves in archives has the names of the images, and holds none.
_OF_SYSTEMS = ('__macosx', '$recycle.bin', 'system volume information')


def read(
  image_root: str | os.PathLike, columns: source_lib.Columns
) -> source_lib.Source:
  """Return a row for each image: FOLDER/CLASS/..., or FOLDER/SPLIT/CLASS/...

  Raises:
    InputError: There are no such folders, one cannot be read, or they are both
      of splits and of classes.
  """
  if columns.subgroups:
    raise errors.InputError(
      '--subgroup_columns are columns of a table; folders of classes have none'
    )
  root = paths.ImageRoot(image_root)
  usable = images(root)
  rows = [_parts(root, path) for path in usable]
  rows = [parts for parts in rows if len(parts) > 1]
  if not rows:
    raise errors.InputError(
      f'{root.shown}: no table of labels is given, and no folders of images '
      'with the names of classes are there'
    )
  has_splits = _has_splits(root, rows)
  # An image beside the folders of classes has no label.
  labeled = [parts for parts in rows if len(parts) > 1 + has_splits]
  table = _table(root, labeled, has_splits)
  columns = dataclasses.replace(
    columns,
    path=_PATH,
    labels=(_LABEL,),
    patient='',
    split=_SPLIT if has_splits else '',
    # Folders called 0 and 1 are classes, not states of a finding.
    kind=columns.kind or _kind(table),
  )
  return source_lib.Source(
    os.fspath(image_root),
    table,
    _Labeled(root, usable),
    columns,
    [*_left_out(root), *_lacking(root, rows, has_splits)],
    completes_splits=True,
  )


def images(root: paths.ImageRoot) -> list[str]:
  """Return the images of a folder that no system has left there."""
  return [p for p in root.paths if not _is_of_system(_parts(root, p))]


@dataclasses.dataclass(frozen=True)
class _Labeled:
  """The images of a folder, without what is a system's."""

  root: paths.ImageRoot
  paths: list[str]

  def line(self, index: str) -> str:
    return index

  def relative(self, path: str) -> str:
    return self.root.relative(path)

  def locate(self, cell: str) -> tuple[str, str]:
    return self.root.locate(cell)


def _parts(root, path):
  return os.path.relpath(path, root.shown).split(os.sep)


def _is_of_system(parts):
  return any(p.startswith('.') or p.lower() in _OF_SYSTEMS for p in parts)


def _has_splits(root, rows):
  """Return whether the uppermost folders are splits."""
  tops = sorted({parts[0] for parts in rows})
  named = [top for top in tops if top.lower() in cells.SPLITS]
  if len(named) < len(tops):
    if len({cells.SPLITS[top.lower()] for top in named}) > 1:
      others = errors.listed([top for top in tops if top not in named], 3)
      raise errors.InputError(
        f'{root.shown} has folders of splits ({", ".join(named)}) and others '
        f'({others}): take one of these away'
      )
    return False
  if any(len(parts) > 2 for parts in rows):
    return True
  if len({cells.SPLITS[top.lower()] for top in named}) > 1:
    raise errors.InputError(
      f'{root.shown} has folders of splits ({", ".join(named)}), but no folder '
      'of a class in them; give a table of labels'
    )
  return False


def _table(root, rows, has_splits):
  names = [_PATH, _LABEL, *([_SPLIT] if has_splits else [])]
  cells_ = [
    [os.path.join(*parts), parts[has_splits], *parts[:has_splits]]
    for parts in rows
  ]
  index = [row[0] for row in cells_]
  table = pd.DataFrame(cells_, columns=names, index=index, dtype=object)
  table[source_lib.CELL] = table[_PATH]
  table[source_lib.TABLE] = os.path.basename(root.shown)
  return table


def _kind(table):
  integers = all(cells.integer(name) is not None for name in table[_LABEL])
  return 'grade' if integers else 'label'


def _left_out(root) -> Iterator[raw_dataset.Problem]:
  for path in root.paths:
    parts = _parts(root, path)
    if _is_of_system(parts):
      yield raw_dataset.Problem('left out, of a system', '/'.join(parts))


def _lacking(root, rows, has_splits) -> Iterator[raw_dataset.Problem]:
  """Yield a note for each folder of a class, or of a split, without images."""
  top = pathlib.Path(root.shown)
  used = {tuple(parts[:depth]) for parts in rows for depth in (1, 2)}
  for path in sorted(
    [*top.iterdir(), *(top.glob('*/*') if has_splits else ())]
  ):
    parts = path.relative_to(top).parts
    if parts in used or _is_of_system(parts) or not path.is_dir():
      continue
    if path.is_symlink():
      yield raw_dataset.Problem(
        'link to another folder', '/'.join(parts), 'its images are left out'
      )
    else:
      yield raw_dataset.Problem('folder without images', '/'.join(parts))
