"""From the path cells of a table to files."""

import collections
import functools
import os
import pathlib
from typing import Any

from data import images
from data import places
from data import raw_dataset
from transfusion_tf import shown_text


class ImageRoot:
  """The images below a folder, found by their path or, if it is bare, name."""

  def __init__(self, folder: str | os.PathLike):
    # Links are resolved on both sides: a table may have been written with the
    # paths of a drive that is mounted here by a link.
    self.folder = os.path.realpath(folder)
    self.shown = os.path.abspath(folder)

  @functools.cached_property
  def paths(self) -> list[str]:
    """The paths of all images in the folder and below it."""
    return list(images.find_images(self.shown))

  @functools.cached_property
  def _by_name(self):
    by_name = collections.defaultdict(list)
    for path in self.paths:
      name = os.path.basename(path)
      by_name[name].append(path)
      by_name[os.path.splitext(name)[0]].append(path)
    return by_name

  def file(self, cell: str) -> str:
    """Return the full path of a cell.

    Raises:
      InvalidRecordError: It cannot be a path, or leads out of the folder.
    """
    if '\0' in cell:
      raise raw_dataset.InvalidRecordError('no such image', repr(cell))
    full = os.path.normpath(os.path.join(self.shown, cell))
    if not cell or not self._inside(full):
      raise raw_dataset.InvalidRecordError(
        'outside the image root', cell or 'a blank path'
      )
    if places.is_inside(full) and not os.path.lexists(full):
      raise raw_dataset.InvalidRecordError(
        'no such image', f'{cell}: a table names files, not parts of archives'
      )
    if os.path.dirname(cell) or os.path.exists(full):
      return full
    among = self._by_name.get(cell, [])
    if len(among) > 1:
      listed = ', '.join(sorted(map(self.relative, among))[:3])
      raise raw_dataset.InvalidRecordError(
        'no such image', f'{cell} is the name of {len(among)}: {listed}'
      )
    return among[0] if among else full

  def locate(self, cell: str) -> tuple[str, str]:
    """Return the id and the full path of the image that a cell names.

    Raises:
      InvalidRecordError: See `file`.
    """
    full = self.file(cell)
    return self.relative(full), full

  def line(self, index: Any) -> Any:
    """Return the line of a row in its table, which is its index."""
    return index

  def relative(self, path: str) -> str:
    """Return a path from the folder, the same on every machine."""
    start = self.shown
    if not path.startswith(start + os.sep):
      path, start = os.path.realpath(path), self.folder
    relative = os.path.relpath(path, start)
    return shown_text.printable(pathlib.PurePath(relative).as_posix())

  def _inside(self, path):
    if path.startswith(self.shown + os.sep):
      return True
    return os.path.realpath(path).startswith(self.folder + os.sep)
