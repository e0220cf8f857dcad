"""What --data names: a table, a folder, or files of pictures and labels.

`KIND:PATH` says so; of a path alone, the kind follows from what is there.
"""

from collections.abc import Callable
import dataclasses
import os
import pathlib
import re

from data import images as images_lib
from data import tables
from data.image_table import folders
from data.image_table import hugging_face
from data.image_table import image_folder
from data.image_table import medmnist
from data.image_table import source as source_lib
from data.image_table import tables_of_files
from data.image_table import tfds_sets
from data.image_table import webdataset
from transfusion_tf import errors

_TABLES = ('.csv', '.tsv', '.txt')
_PACKED = ('.gz', '.zip', '.bz2', '.xz')
_DEFAULT = 'labels.csv'  # The table of a folder.


@dataclasses.dataclass(frozen=True)
class _Kind:
  """Files that hold pictures and labels.

  Attributes:
    read: A path and the columns by flags -> the source.
    files: A path -> the files of rows at or below it.
    endings: Of the names of files.
  """

  read: Callable[[str, source_lib.Columns], source_lib.Source]
  files: Callable[[str], list[str]]
  endings: tuple[str, ...]


_FILES = {
  'medmnist': _Kind(medmnist.read, medmnist.files, ('.npz',)),
  'webdataset': _Kind(webdataset.read, webdataset.files, ('.tar',)),
  'imagefolder': _Kind(
    image_folder.read, image_folder.files, image_folder.NAMES
  ),
  'tfds': _Kind(tfds_sets.read, tfds_sets.files, ('dataset_info.json',)),
  'hf': _Kind(hugging_face.read, hugging_face.files, ('.parquet', '.arrow')),
}
TABLE, FOLDER = 'table', 'folder'
KINDS = (TABLE, FOLDER, *_FILES)


@dataclasses.dataclass(frozen=True)
class Given:
  """Raw data.

  Attributes:
    kind: One of KINDS.
    path: The table, or several, the folder or the file.
    images: Of a table, where its paths start.
  """

  kind: str
  path: str
  images: str = ''

  @property
  def files(self) -> list[str]:
    """The files that say what there is, beside files of images."""
    if self.kind == FOLDER:
      return []
    if self.kind == TABLE:
      return tables.several(self.path)
    return _FILES[self.kind].files(self.path)

  @property
  def has_image_files(self) -> bool:
    """Whether the pictures are files of their own."""
    return self.kind in (TABLE, FOLDER, 'imagefolder')

  @property
  def is_gone(self) -> bool:
    """Whether nothing is there."""
    return not os.path.exists(tables.several(self.path)[0])

  @property
  def ready(self) -> tuple[str, str] | None:
    """The data_dir and the name, if it is a set that needs no preparing."""
    if self.kind != 'tfds' or self.is_gone:
      return None
    return tfds_sets.ready(self.path)

  @property
  def root(self) -> str:
    """The folder that all files of images are below of."""
    if self.kind == TABLE:
      return self.images
    if self.kind == FOLDER or _is_folder(self.path):
      return self.path
    return os.path.dirname(self.path) or '.'

  @property
  def name(self) -> str:
    """What the data set is called, if nobody says so."""
    path = pathlib.Path(
      self.root if self.has_image_files else self.path
    ).resolve()
    stem = path.name if self.has_image_files else path.stem
    return re.sub('[^a-z0-9]+', '_', f'own {stem}'.lower()).strip('_')

  @images_lib.convert_listing_errors()
  def read(self, columns: source_lib.Columns) -> source_lib.Source:
    """Return the rows.

    Raises:
      InputError: They cannot be read, or make no sense.
    """
    if self.kind == TABLE:
      return tables_of_files.read(self.path, self.images, columns)
    if self.kind == FOLDER:
      return folders.read(self.path, columns)
    return _FILES[self.kind].read(self.path, columns)


@images_lib.convert_listing_errors()
def parse(
  data: str, images: str = '', prepared_as: str = '', flag: str = 'data'
) -> Given:
  """Return what a value of --data names.

  Args:
    data: `KIND:PATH` or a path; of TFDS also `tfds:NAME`.
    images: Of a table, where its paths start; its own folder if not given.
    prepared_as: The kind of what was prepared of it before, if anything was: it
      may be gone since then.
    flag: Whose value it is.

  Raises:
    InputError: There is no such file, or none of a kind that is known.
  """
  kind, colon, path = data.partition(':')
  if not colon or kind not in KINDS:
    kind, path = '', data
  if kind == 'tfds':
    path = tfds_sets.named(path)
  is_there = os.path.exists(tables.several(path)[0])
  if not is_there and not prepared_as:
    raise errors.InputError(f'--{flag}={data}: no such file or folder')
  kind = kind or (_kind(path, flag) if is_there else prepared_as)
  if kind == TABLE and _is_folder(path):
    images, path = images or path, os.path.join(path, _DEFAULT)
  if images and kind != TABLE:
    raise errors.InputError(
      f'--{flag}={data}: --images is where the paths of a table start, and '
      f'this is of the kind {kind}'
    )
  if kind == TABLE:
    return Given(kind, path, images or os.path.dirname(path) or '.')
  return Given(kind, path)


def _is_folder(path):
  """Return whether a path is of a folder, or was, if it is gone."""
  if os.path.exists(path):
    return os.path.isdir(path)
  return not pathlib.Path(path).suffix


def _kind(path, flag):
  """Return the kind of what is there.

  Raises:
    InputError: It is of none.
  """
  is_folder = os.path.isdir(path)
  if is_folder and os.path.exists(os.path.join(path, _DEFAULT)):
    return TABLE
  for name, kind in _FILES.items():
    if any(file.lower().endswith(kind.endings) for file in kind.files(path)):
      return name
  if is_folder:
    return FOLDER
  name = tables.several(path)[0].lower()
  for ending in _PACKED:
    name = name.removesuffix(ending)
  if name.endswith(_TABLES):
    return TABLE
  raise errors.InputError(
    f'--{flag}={path} is neither a table ({", ".join(_TABLES)}) nor a folder '
    f'or a file of a known kind; say which it is: {":, ".join(KINDS)}:'
  )
