"""Opens TFDS folders whose files may have come to harm, or be a stranger's."""

import os
from typing import Literal, NotRequired, TypedDict

import tensorflow_datasets as tfds

from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import json_file

# TFDS imports the module of a feature's class, whichever the file names.
_PACKAGE = 'tensorflow_datasets.'
_CLASS_KEYS = ('pythonClassName', 'python_class_name', 'type')


class _Counts(TypedDict):
  images: NotRequired[int]
  patients: NotRequired[int]
  labels: NotRequired[dict[str, int | dict[str, int]]]


class _Square(TypedDict):
  kind: Literal['fundus', 'squeezed']
  side: int


class _Metadata(TypedDict):
  """What prepare_data.py records; data sets of others have none of it."""

  findings: NotRequired[list[str]]
  published: NotRequired[dict[str, int]]
  problems: NotRequired[dict[str, int]]
  pixels_sha256: NotRequired[str]
  records_sha256: NotRequired[str]
  splits: NotRequired[dict[str, _Counts]]
  square: NotRequired[_Square]


def open_folder(directory: str) -> tfds.core.DatasetBuilder:
  """Return TFDS's reader of a folder.

  Raises:
    InputError: A file of it is missing or damaged.
  """
  for name, schema, is_needed in (
    ('dataset_info.json', datasets.Info, True),
    ('features.json', dict[str, object], True),
    ('metadata.json', _Metadata, False),
  ):
    path = os.path.join(directory, name)
    try:
      content = json_file.read(path, schema, datasets.REMEDY)
    except FileNotFoundError:
      if is_needed:
        raise errors.InputError(
          f'{path}: no such file; {datasets.REMEDY}'
        ) from None
      continue
    if name == 'features.json':
      _check_classes(content, path)
  try:
    builder = tfds.builder_from_directory(directory)
    for split in builder.info.splits.values():
      list(split.filepaths)  # Their names follow from a template.
  except Exception as error:  # What TFDS and protobuf make of damage.
    raise errors.DamagedFileError(
      directory, errors.describe(error), datasets.REMEDY
    ) from None
  if 'image' not in (builder.info.features or ()):
    raise errors.DamagedFileError(
      os.path.join(directory, 'features.json'), 'no image', datasets.REMEDY
    )
  return builder


def _check_classes(value, path):
  """Refuse features of classes that TFDS would import from anywhere."""
  if isinstance(value, list):
    value = dict(enumerate(value))
  if not isinstance(value, dict):
    return
  for key in _CLASS_KEYS:
    name = value.get(key)
    if isinstance(name, str) and '.' in name and not name.startswith(_PACKAGE):
      raise errors.InputError(
        f'{path} names the class {name!r}, whose module would be imported; '
        'only those of TensorFlow Datasets are'
      )
  for part in value.values():
    _check_classes(part, path)
