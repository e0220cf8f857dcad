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

import pandas as pd

from data import splits
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from data.image_table import medmnist
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import storage

_EXPECTED = 'docs/studies.md says what is expected in --raw_dir'
# Of so few patients, more are tested than usual: an interval is as wide as the
# test set is small.
_NIH_TEST, _NIH_VALIDATION = 0.4, 0.15


@dataclasses.dataclass(frozen=True)
class PublicSet:
  """A set.

  Attributes:
    read: Returns the images of a raw folder; may unpack it into an empty one.
    image_size: The shorter side to store; 0 leaves it as it is.
  """

  read: Callable[[pathlib.Path, pathlib.Path], layout.Table]
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
      _build(name, public, raw, pathlib.Path(scratch), data_dir)


def _build(name, public, raw, folder, data_dir):
  builder = image_table_dataset_builder.Builder(
    name=name,
    table=public.read(raw, folder),
    image_size=public.image_size,
    data_dir=data_dir,
  )
  checked = builder.check(raw)
  print(checked)
  checked.write(os.path.join(data_dir, 'preflight', checked.name))
  # PneumoniaMNIST repeats images of its validation set in its training set.
  checked.refuse(bad=False)
  builder.build(checked)


def _read_cifar10(raw, folder):
  if os.path.exists(raw / 'labels.csv'):
    folder = raw
  else:
    with _readable(raw / 'cifar10.tar.xz'):
      with tarfile.open(raw / 'cifar10.tar.xz') as archive:
        archive.extractall(folder, filter='data')
  columns = layout.Columns(path='path', split='split')
  return layout.find(folder / 'labels.csv', folder / 'images', columns)


def _read_pneumoniamnist(raw, folder):
  del folder  # Its pictures are read where they are.
  return layout.read(
    medmnist.read(str(raw / 'pneumoniamnist.npz'), layout.Columns())
  )


def _read_nih_pneumonia(raw, folder):
  with _readable(raw / 'labels.csv'):
    table = pd.read_csv(raw / 'labels.csv', dtype=str)
    table['split'] = [_split(patient) for patient in table['patient']]
  table.to_csv(folder / 'labels.csv', index=False)
  columns = layout.Columns(path='path', split='split', patient='patient')
  return layout.find(folder / 'labels.csv', raw / 'images', columns)


def _split(patient):
  if splits.draw(patient, 0, 'test') < _NIH_TEST:
    return 'test'
  is_validation = splits.draw(patient, 0, 'validation') < _NIH_VALIDATION
  return 'validation' if is_validation else 'train'


@contextlib.contextmanager
def _readable(path):
  try:
    yield
  except (OSError, KeyError, ValueError, tarfile.TarError) as error:
    raise errors.InputError(f'{path}: {error!r}; {_EXPECTED}') from None


SETS = {
  'cifar10': PublicSet(_read_cifar10),
  'pneumoniamnist': PublicSet(_read_pneumoniamnist),
  'nih_pneumonia': PublicSet(_read_nih_pneumonia, image_size=80),
}
