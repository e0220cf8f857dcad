"""The three public sets of `reproduce.py --scale=real`, from raw downloads.

RAW/cifar10/          cifar10.tar.xz, or what is in it: labels.csv (path, label,
                      split) and images/. 60,000 photographs.
RAW/pneumoniamnist/   pneumoniamnist.npz, of MedMNIST. X-rays of children.
RAW/nih_pneumonia/    labels.csv (path, finding, patient) and images/: frontal
                      x-rays of ChestX-ray14, with pneumonia or no finding.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import os
import pathlib
import tarfile

import numpy as np
import pandas as pd
from PIL import Image

from data import splits
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import storage

_EXPECTED = 'docs/studies.md says what is expected in --raw_dir'
_MEDMNIST_SPLITS = {'train': 'train', 'validation': 'val', 'test': 'test'}
# Of so few patients, more are tested than usual: an interval is as wide as the
# test set is small.
_NIH_TEST, _NIH_VALIDATION = 0.4, 0.15


@dataclasses.dataclass(frozen=True)
class PublicSet:
  """A set.

  Attributes:
    unpack: Writes labels.csv and images/ of a raw folder into an empty one.
    columns: What the columns of labels.csv are.
    image_size: The shorter side to store; 0 leaves it as it is.
  """

  unpack: Callable[[pathlib.Path, pathlib.Path], None]
  columns: layout.Columns
  image_size: int = 0


def prepare(raw_dir: str, data_dir: str) -> None:
  """Build the sets that DATA_DIR lacks.

  Raises:
    InputError: A raw folder is missing or not as expected.
  """
  for name, public in SETS.items():
    if datasets.info_files(os.path.join(data_dir, name)):
      continue
    raw = pathlib.Path(raw_dir, name)
    if not os.path.isdir(raw):
      raise errors.InputError(f'{raw}: no such folder; {_EXPECTED}')
    print(f'== Preparing {name}', flush=True)
    with storage.local_folder() as scratch:
      folder = pathlib.Path(scratch)
      public.unpack(raw, folder)
      _build(name, public, folder, data_dir)


def _build(name, public, folder, data_dir):
  images = folder / 'images'
  builder = image_table_dataset_builder.Builder(
    name=name,
    table=layout.find(folder / 'labels.csv', images, public.columns),
    image_size=public.image_size,
    data_dir=data_dir,
  )
  checked = builder.check(images)
  print(checked)
  checked.write(os.path.join(data_dir, 'preflight', checked.name))
  # PneumoniaMNIST repeats images of its validation set in its training set.
  checked.refuse(bad=False)
  builder.build(checked)


def _unpack_cifar10(raw, folder):
  if os.path.exists(raw / 'labels.csv'):
    _link(raw, folder)
    return
  with _readable(raw / 'cifar10.tar.xz'):
    with tarfile.open(raw / 'cifar10.tar.xz') as archive:
      archive.extractall(folder, filter='data')


def _unpack_pneumoniamnist(raw, folder):
  path = raw / 'pneumoniamnist.npz'
  (folder / 'images').mkdir()
  rows = []
  with _readable(path), np.load(path) as file:
    for split, short in _MEDMNIST_SPLITS.items():
      labels = file[f'{short}_labels'].ravel()
      for number, image in enumerate(file[f'{short}_images']):
        name = f'{split}_{number:04d}.png'
        Image.fromarray(image).save(folder / 'images' / name)
        label = 'pneumonia' if labels[number] else 'normal'
        rows.append({'path': name, 'label': label, 'split': split})
  pd.DataFrame(rows).to_csv(folder / 'labels.csv', index=False)


def _unpack_nih_pneumonia(raw, folder):
  with _readable(raw / 'labels.csv'):
    table = pd.read_csv(raw / 'labels.csv', dtype=str)
    table['split'] = [_split(patient) for patient in table['patient']]
  (folder / 'images').symlink_to((raw / 'images').resolve())
  table.to_csv(folder / 'labels.csv', index=False)


def _split(patient):
  if splits.draw(patient, 0, 'test') < _NIH_TEST:
    return 'test'
  is_validation = splits.draw(patient, 0, 'validation') < _NIH_VALIDATION
  return 'validation' if is_validation else 'train'


def _link(raw, folder):
  for name in ('labels.csv', 'images'):
    (folder / name).symlink_to((raw / name).resolve())


@contextlib.contextmanager
def _readable(path):
  try:
    yield
  except (OSError, KeyError, ValueError, tarfile.TarError) as error:
    raise errors.InputError(f'{path}: {error!r}; {_EXPECTED}') from None


SETS = {
  'cifar10': PublicSet(
    _unpack_cifar10, layout.Columns(path='path', split='split')
  ),
  'pneumoniamnist': PublicSet(
    _unpack_pneumoniamnist, layout.Columns(path='path', split='split')
  ),
  'nih_pneumonia': PublicSet(
    _unpack_nih_pneumonia,
    layout.Columns(path='path', split='split', patient='patient'),
    image_size=80,
  ),
}
