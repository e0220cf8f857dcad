"""What --pretrain_on takes: whatever --data does, and prepared sets."""

import json
import os
import shutil

from absl import flags
import pytest
import shapes

from transfusion_tf import errors
from transfusion_tf.cli import pretraining_data
from transfusion_tf.cli import table_flags  # noqa: F401  # Has the flags.
from transfusion_tf.input_pipeline import tfds_folder

_PICTURES = shapes.rows(16, 6, 6)


@pytest.fixture(autouse=True)
def _parsed():
  flags.FLAGS(['study.py'])


def _prepare(value, root):
  return pretraining_data.prepare(str(value), str(root), refuse_bad=True)


def _counts(data_dir, name):
  opened = tfds_folder.open_dataset(data_dir, name)
  return {split: opened.num_examples(split) for split in opened.splits}


_WRITERS = {
  'table': shapes.table,
  'folder': shapes.classes,
  'medmnist': shapes.medmnist,
  'hf': shapes.parquet,
}


@pytest.mark.parametrize('kind', _WRITERS)
def test_raw_data_are_prepared_once_in_the_study(kind, tmp_path, capsys):
  path = _WRITERS[kind](tmp_path / 'raw', _PICTURES)
  if kind == 'table':  # Beside its images, as --data has it.
    path = path.rename(tmp_path / 'raw/images/table.csv')
  made = _prepare(path, tmp_path / 'study')
  assert made[0] == str(tmp_path / 'study/pretraining_data')
  assert _counts(*made) == {'train': 16, 'validation': 6, 'test': 6}
  assert tfds_folder.open_dataset(*made).label_names == shapes.NAMES
  capsys.readouterr()
  assert _prepare(path, tmp_path / 'study') == made
  assert 'no check' in capsys.readouterr().out
  shutil.rmtree(tmp_path / 'raw')
  assert _prepare(path, tmp_path / 'study') == made


def test_a_set_of_tfds_is_known_by_its_name(tmp_path, monkeypatch):
  shapes.tfds_set(tmp_path / 'tfds', _PICTURES)
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  made = _prepare('tfds:shapes', tmp_path / 'study')
  assert made == (str(tmp_path / 'tfds'), 'shapes')
  assert not os.path.exists(tmp_path / 'study')


def test_one_without_a_test_split_is_used_as_it_is(tmp_path):
  """As ImageNet, of which no other split has labels."""
  pictures = [row for row in _PICTURES if row.split != 'test']
  path = shapes.tfds_set(tmp_path / 'tfds', pictures)
  made = _prepare(path, tmp_path / 'study')
  assert made == (str(tmp_path / 'tfds'), 'shapes')
  assert _counts(*made) == {'train': 16, 'validation': 6}


def test_one_without_validation_is_prepared_with_one_drawn(tmp_path, capsys):
  """As CIFAR-10."""
  pictures = [row for row in _PICTURES if row.split != 'validation']
  path = shapes.tfds_set(tmp_path / 'tfds', pictures)
  data_dir, name = _prepare(path, tmp_path / 'study')
  assert data_dir == str(tmp_path / 'study/pretraining_data')
  counts = _counts(data_dir, name)
  assert counts['test'] == 6 and counts['train'] + counts['validation'] == 16
  assert counts['validation'] > 0 and 'split drawn' in capsys.readouterr().out


def test_what_is_prepared_is_used_where_it_is(data_dir, tmp_path):
  made = _prepare(data_dir / 'retina', tmp_path)
  assert made == (str(data_dir), 'retina')
  assert not os.listdir(tmp_path)


def test_what_is_not_there_is_one_line(tmp_path):
  with pytest.raises(errors.InputError, match=r'--pretrain_on=.*no such file'):
    _prepare(tmp_path / 'gone', tmp_path / 'study')


@pytest.mark.slow
def test_a_study_pretrains_on_a_file_of_medmnist(call, data_dir, tmp_path):
  path = shapes.medmnist(tmp_path / 'raw', _PICTURES)
  done = call(
    'study.py',
    *('--dataset=retina', f'--data_dir={data_dir}', f'--pretrain_on={path}'),
    *('--models=cbr_tiny', '--inits=transfer', '--seeds=1', '--epochs=1'),
    *('--pretrain_epochs=1', '--image_size=16', '--batch_size=8'),
    *('--noprobes', '--nolocate_benefit', f'--output_dir={tmp_path / "study"}'),
  )
  assert done.returncode == 0, done.stderr
  config = tmp_path / 'study/cbr_tiny/pretrained/config.json'
  assert json.loads(config.read_text())['data']['dataset'] == (
    'own_pneumoniamnist'
  )
