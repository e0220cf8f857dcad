"""The folder layout of CheXpert, in its small and its full size."""

import os
import pathlib
import re

from data import cells
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
  r'(?P<study>(?P<patient>patient\d+)/study\d+)/view\d+_(?P<view>\w+))'
  r'(?P<extension>\.\w+)'
)
# As Stanford AIMI gives the full size: the tables are in the first folder, with
# `valid`, the patients of `train` in the others.
_BATCH = re.compile(r'CheXpert-v1\.0 batch \d.*')


@images.convert_listing_errors()
def find(manual_dir: str | os.PathLike, source: str) -> raw_dataset.RawDataset:
  """List CheXpert in `manual_dir`/`FOLDERS[source]`.

  Raises:
    InputError: A folder or a table is missing, or cannot be read.
  """
  folders = _folders(pathlib.Path(manual_dir), FOLDERS[source])
  dataset = raw_dataset.RawDataset([], published=_PUBLISHED)
  for part, split in _SPLITS.items():
    _add_part(dataset, folders, part, split)
  return dataset


def _folders(manual_dir, name):
  """Return the folder of the set, or those of its batches."""
  root = manual_dir if manual_dir.name == name else manual_dir / name
  if root.is_dir():
    return [root]
  if name == FOLDERS['full'] and manual_dir.is_dir():
    batches = sorted(
      p for p in manual_dir.iterdir() if _BATCH.fullmatch(p.name)
    )
    if batches:
      return batches
  raise errors.InputError(f'no folder {root}; see data/README.md')


def _files(folders, part):
  """Return {`train/patient1/...` without extension: path} of a part."""
  roots = [folder / part for folder in folders]
  # A batch of training patients has them at its top.
  roots += [f for f in folders if part == 'train' and not (f / part).is_dir()]
  files = {}
  for root in roots:
    for path in images.find_images(root):
      below = pathlib.PurePath(path).relative_to(root).as_posix()
      if not below.startswith('valid/'):  # Beside the tables of batch 1.
        files[f'{part}/{os.path.splitext(below)[0]}'] = path
  return files


def _add_part(dataset, folders, part, split):
  csv = next(
    (f / f'{part}.csv' for f in folders if (f / f'{part}.csv').exists()),
    folders[0] / f'{part}.csv',
  )
  columns = ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *OBSERVATIONS)
  table = tables.read(csv, columns)
  files = _files(folders, part)
  named = set()

  def record_of(row):
    match = _PATH.fullmatch(row['Path'])
    if (
      not match
      or match['part'] != part
      or match['extension'].lower() not in images.EXTENSIONS
    ):
      raise raw_dataset.InvalidRecordError('impossible name', row['Path'])
    named.add(match['image'])
    return raw_dataset.Record(
      image_id=match['image'],
      patient_id=match['patient'],
      # One that is not there is reported when it is read.
      path=files.get(match['image'], str(folders[0] / match['image']) + '.jpg'),
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
  dataset.problems += [
    raw_dataset.Problem('image without label', files[image])
    for image in sorted(files.keys() - named)
  ]


def _age(text):
  age = cells.integer(text)
  if age is None or age < 0:
    raise raw_dataset.InvalidRecordError('impossible label', f'age {text!r}')
  return age
