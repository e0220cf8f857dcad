"""MedMNIST's files: NAME.npz or NAME_SIZE.npz, of pictures and their labels.

Each holds `train_images`, `train_labels`, and the same of `val` and `test`. The
labels are numbers; what they mean is published for each set, which is known by
the name of the file.
"""

import dataclasses
import os
import re

import numpy as np
import pandas as pd

from data import arrays
from data import raw_dataset
from data import row_places
from data import texts
from data.image_table import medmnist_sets
from data.image_table import row_columns
from data.image_table import source as source_lib
from transfusion_tf import errors
from transfusion_tf import storage

_SPLITS = {'train': 'train', 'validation': 'val', 'test': 'test'}
_LABEL, _SPLIT = 'label', source_lib.SPLIT


def files(path: str) -> list[str]:
  """Return the file itself; a folder may hold others."""
  return [] if os.path.isdir(path) else [path]


def read(path: str, columns: source_lib.Columns) -> source_lib.Source:
  """Return a row for each picture, in the order and the splits of the file.

  A picture is called as in the folders that MedMNIST's files are often written
  to, `train_0000.png`.

  Args:
    path: The file.
    columns: What the flags say; `label` or the findings, and `split`, are the
      columns that there are.

  Raises:
    InputError: It is no such file, or its arrays do not fit together.
  """
  path = os.path.abspath(path)
  name = os.path.basename(path)
  existing = set(arrays.names(path))
  parts = [
    (split, short)
    for split, short in _SPLITS.items()
    if {f'{short}_images', f'{short}_labels'} & existing
  ]
  if not parts or parts[0][0] != 'train':
    raise errors.InputError(
      f'{path} has no arrays train_images and train_labels, as files of '
      f'MedMNIST do (it has: {errors.listed(sorted(existing), 6) or "none"})'
    )
  known = medmnist_sets.KNOWN.get(_set_name(path))
  ids, places = texts.Texts(), row_columns.Places()
  labels, splits = [], []
  for split, short in parts:
    file, array, count = _images(path, f'{short}_images')
    labels.append(_labels(path, f'{short}_labels', count))
    splits += [split] * count
    for number in range(count):
      ids.append(f'{split}_{number:04d}.png')
      places.append(row_places.make(file, array, number))
  table, meaning = _table(path, labels, known)
  table[_SPLIT] = pd.Series(splits, dtype=object)
  table[source_lib.CELL] = range(len(ids))
  table[source_lib.TABLE] = source_lib.shared(name, table)
  meaning = dataclasses.replace(meaning, split=_SPLIT)
  return source_lib.Source(
    path,
    table,
    source_lib.Rows(ids, places),
    source_lib.complete(path, table, columns, meaning),
    [] if known else [_nameless(path)],
    files=(path,),
    completes_splits=True,
  )


def _set_name(path):
  """Return the name of the set that a file is called after, or ''."""
  file = os.path.basename(path).lower()
  match = re.match('([a-z]+mnist)(?![a-z0-9])', file)
  return match[1] if match else ''


def _images(path, name):
  """Return the file and the name of an array of pictures, and their number."""
  file, array = path, name
  if arrays.is_compressed(path, name):
    file, array = arrays.unpack(path, name, storage.process_folder()), ''
  else:
    arrays.check_whole(path, name)
  images = arrays.open_array(file, array)
  _check_images(path, name, images)
  return file, array, len(images)


def _check_images(path, name, images):
  is_gray = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 1)
  is_color = images.ndim == 4 and images.shape[-1] == 3
  if images.ndim == 4 and not (is_gray or is_color):
    raise errors.InputError(
      f'{path}: {name} is {list(images.shape)}: pictures of two dimensions are '
      'read, gray or of 3 colors, and no volumes'
    )
  if not (is_gray or is_color):
    raise errors.InputError(
      f'{path}: {name} is {list(images.shape)}; pictures are [N, H, W] or '
      '[N, H, W, 3]'
    )
  if images.dtype != np.uint8 and not (is_gray and images.dtype == np.uint16):
    raise errors.InputError(
      f'{path}: {name} is of {images.dtype}; pictures are uint8, or uint16 if '
      'gray'
    )
  if not images.size:
    raise errors.InputError(f'{path}: {name} holds no picture')


def _labels(path, name, count):
  """Return the labels of a split, [N, K]."""
  labels = arrays.load(path, name)
  if labels.dtype.kind not in 'iub':
    raise errors.InputError(
      f'{path}: {name} is of {labels.dtype}; labels are whole numbers'
    )
  if labels.ndim not in (1, 2) or len(labels) != count or 0 in labels.shape[1:]:
    raise errors.InputError(
      f'{path}: {name} is {list(labels.shape)}; it should have a row for each '
      f'of {count:,} pictures'
    )
  return labels.reshape(count, -1).astype(np.int64)


def _table(path, labels, known):
  """Return the columns of labels, and what they are."""
  widths = sorted({part.shape[1] for part in labels})
  if len(widths) > 1:
    raise errors.InputError(
      f'{path}: the splits have {" and ".join(map(str, widths))} labels a '
      'picture'
    )
  values = np.concatenate(labels)
  expected = len(known.names) if known and known.kind == 'findings' else 1
  if known and values.shape[1] != expected:
    raise errors.InputError(
      f'{path}: {values.shape[1]} labels a picture, but '
      f'{_set_name(path)} has {expected}; rename the file if it is another set'
    )
  make = _classes if values.shape[1] == 1 else _findings
  return make(path, values, known)


def _findings(path, values, known):
  _check_range(path, values, 1, 'several labels a picture are 0 or 1 each')
  names = (
    known.names if known else [f'label {k}' for k in range(values.shape[1])]
  )
  table = pd.DataFrame(_texts(values), columns=names, dtype=object)
  return table, source_lib.Columns(labels=tuple(names), kind='findings')


def _classes(path, values, known):
  if known:
    most, reason = len(known.names) - 1, f'{_set_name(path)} has no such'
    names, kind = known.names, known.kind
  else:
    most, reason = values.max(), 'classes are numbered from 0'
    names, kind = tuple(map(str, np.unique(values))), 'label'
  _check_range(path, values, most, reason)
  cells = np.array(known.names, object)[values] if known else _texts(values)
  table = pd.DataFrame(cells, columns=[_LABEL], dtype=object)
  return table, source_lib.Columns(labels=(_LABEL,), kind=kind, classes=names)


def _texts(values):
  """Return whole numbers as texts, of which equal ones are one object."""
  numbers, places = np.unique(values, return_inverse=True)
  return np.array(list(map(str, numbers)), object)[places].reshape(values.shape)


def _check_range(path, values, most, reason):
  for odd in (values.min(), values.max()):
    if not 0 <= odd <= most:
      raise errors.InputError(f'{path}: a label is {odd}; {reason}')


def _nameless(path):
  return raw_dataset.Problem(
    'classes without names',
    os.path.basename(path),
    'called by their numbers: the sets of MedMNIST are known by the name of '
    f'their file ({", ".join(sorted(medmnist_sets.KNOWN))})',
  )
