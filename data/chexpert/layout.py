"""The folder layout of CheXpert, in its small and its full size."""

import os
import pathlib
import re

from data import findings
from data import images
from data import raw_dataset
from data import tables
from transfusion_tf import errors

FOLDERS = {'small': 'CheXpert-v1.0-small', 'full': 'CheXpert-v1.0'}
OBSERVATIONS = (
  'No Finding',
  'Enlarged Cardiomediastinum',
  'Cardiomegaly',
  'Lung Opacity',
  'Lung Lesion',
  'Edema',
  'Consolidation',
  'Pneumonia',
  'Atelectasis',
  'Pneumothorax',
  'Pleural Effusion',
  'Pleural Other',
  'Fracture',
  'Support Devices',
)
# Irvin et al., AAAI 2019: the official `valid` is our test set.
_SPLITS = {'train': 'train', 'valid': 'test'}
_PUBLISHED = {'train': 223_414, 'test': 234}
_PATH = re.compile(
  r'[^/]+/(?P<image>(?P<part>train|valid)/'
  r'(?P<study>(?P<patient>patient\d+)/study\d+)/view\d+_(?P<view>\w+))\.jpg'
)


def find(manual_dir: str | os.PathLike, source: str) -> raw_dataset.RawDataset:
  """List CheXpert in `manual_dir`/`FOLDERS[source]`.

  Raises:
    InputError: The folder or one of its tables is missing.
  """
  root = pathlib.Path(manual_dir)
  if root.name != FOLDERS[source]:
    root = root / FOLDERS[source]
  if not root.is_dir():
    raise errors.InputError(f'no folder {root}; see data/README.md')
  dataset = raw_dataset.RawDataset([], published=_PUBLISHED)
  for part, split in _SPLITS.items():
    _add_part(dataset, root, part, split)
  return dataset


def _add_part(dataset, root, part, split):
  csv = root / f'{part}.csv'
  columns = ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *OBSERVATIONS)
  table = tables.read(csv, columns)

  def record_of(row):
    match = _PATH.fullmatch(row['Path'])
    if not match or match['part'] != part:
      raise raw_dataset.InvalidRecordError('impossible name', row['Path'])
    return raw_dataset.Record(
      image_id=match['image'],
      patient_id=match['patient'],
      path=str(root / f'{match["image"]}.jpg'),
      split=split,
      labels={
        'findings': findings.states(row, OBSERVATIONS),
        'view': match['view'],
        'projection': row['AP/PA'],
        'sex': row['Sex'],
        'age': _age(row['Age']),
        'study_id': match['study'],
      },
    )

  dataset.add_table(csv.name, tables.rows(table), record_of)
  named = {path.partition('/')[2] for path in table['Path']}
  dataset.problems += [
    raw_dataset.Problem('image without label', path)
    for path in images.find_images(root / part)
    if os.path.relpath(path, root) not in named
  ]


def _age(text):
  if not text.isdecimal():
    raise raw_dataset.InvalidRecordError('impossible label', f'age {text!r}')
  return int(text)
