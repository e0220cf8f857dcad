"""The public sets of `--scale=real`, in the shapes that they come in."""

import tarfile

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from data import public_sets
from transfusion_tf import errors
from transfusion_tf.input_pipeline import tfds_folder


def _pictures(count, side, seed, color=False):
  shape = (count, side, side, 3) if color else (count, side, side)
  return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def _write(raw):
  """A few images of each set."""
  cifar10 = raw / 'cifar10'
  images = cifar10 / 'images'
  images.mkdir(parents=True)
  rows = []
  for n, picture in enumerate(_pictures(40, 32, 0, color=True)):
    Image.fromarray(picture).save(images / f'{n}.png')
    split = ('train', 'train', 'validation', 'test')[n % 4]
    rows.append(
      {'path': f'{n}.png', 'label': ('cat', 'dog')[n // 4 % 2], 'split': split}
    )
  pd.DataFrame(rows).to_csv(cifar10 / 'labels.csv', index=False)

  (raw / 'pneumoniamnist').mkdir()
  arrays = {}
  for seed, (name, count) in enumerate((('train', 9), ('val', 4), ('test', 6))):
    arrays[f'{name}_images'] = _pictures(count, 28, seed + 1)
    arrays[f'{name}_labels'] = np.arange(count)[:, None] % 2
  arrays['train_images'][1] = arrays['val_images'][1]
  np.savez(raw / 'pneumoniamnist' / 'pneumoniamnist.npz', **arrays)

  nih = raw / 'nih_pneumonia'
  (nih / 'images').mkdir(parents=True)
  rows = []
  for n, picture in enumerate(_pictures(60, 100, 9)):
    Image.fromarray(picture).save(nih / 'images' / f'{n:03d}.jpg')
    finding = 'Pneumonia' if n % 4 < 2 else 'No_findings'
    patient = f'{n // 2:08d}'
    rows.append(
      {'path': f'{n:03d}.jpg', 'finding': finding, 'patient': patient}
    )
  pd.DataFrame(rows).to_csv(nih / 'labels.csv', index=False)


def _open(data_dir, name):
  return tfds_folder.open_dataset(str(data_dir), name)


def test_raw_downloads_become_prepared_sets(tmp_path):
  raw, data = tmp_path / 'raw', tmp_path / 'data'
  _write(raw)
  public_sets.prepare(str(raw), str(data))
  cifar10 = _open(data, 'cifar10')
  assert cifar10.label_names == ('cat', 'dog')
  assert cifar10.num_examples('train') == 20
  x_rays = _open(data, 'pneumoniamnist')
  assert x_rays.label_names == ('normal', 'pneumonia')
  # The copy of an image of the validation set is not trained on.
  sizes = [x_rays.num_examples(s) for s in ('train', 'validation', 'test')]
  assert sizes == [8, 4, 6]
  nih = _open(data, 'nih_pneumonia')
  patients = {
    split: set(nih.index(split).patient_ids)
    for split in ('train', 'validation', 'test')
  }
  assert not patients['train'] & patients['test']
  assert 6 <= len(patients['test']) <= 18  # Two fifths of 30.
  before = (data / 'cifar10/1.0.0/dataset_info.json').stat().st_mtime_ns
  public_sets.prepare(str(raw), str(data))  # There is nothing to do.
  after = (data / 'cifar10/1.0.0/dataset_info.json').stat().st_mtime_ns
  assert before == after


def test_a_packed_set_is_the_same(tmp_path):
  _write(tmp_path / 'raw')
  folder = tmp_path / 'raw' / 'cifar10'
  public_sets.prepare(str(tmp_path / 'raw'), str(tmp_path / 'one'))
  with tarfile.open(folder / 'cifar10.tar.xz', 'w:xz') as archive:
    for name in ('labels.csv', 'images'):
      archive.add(folder / name, name)
  (folder / 'labels.csv').unlink()
  public_sets.prepare(str(tmp_path / 'raw'), str(tmp_path / 'two'))
  prints = [_open(tmp_path / n, 'cifar10').fingerprint for n in ('one', 'two')]
  assert prints[0] == prints[1]


def test_what_is_missing_is_named(tmp_path):
  with pytest.raises(errors.InputError, match='cifar10: no such folder'):
    public_sets.prepare(str(tmp_path), str(tmp_path / 'data'))
  _write(tmp_path)
  (tmp_path / 'pneumoniamnist' / 'pneumoniamnist.npz').write_bytes(b'PK')
  with pytest.raises(errors.InputError, match=r'pneumoniamnist\.npz'):
    public_sets.prepare(str(tmp_path), str(tmp_path / 'data'))
