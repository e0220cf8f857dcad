"""The images of a study are checked and prepared once."""

import io
import json
import os
import shutil

from absl import flags
from absl.testing import flagsaver
from PIL import Image
import pytest
import raw_sets
import shapes

from data import manifest
from transfusion_tf import errors
from transfusion_tf.cli import own_images
from transfusion_tf.cli import table_flags  # noqa: F401  # Has the flags.
from transfusion_tf.input_pipeline import tfds_folder


@pytest.fixture(autouse=True)
def _parsed():
  flags.FLAGS(['study.py'])


@pytest.fixture
def raw(tmp_path):
  return raw_sets.table(tmp_path / 'raw', count=20)


def _prepare(raw, tmp_path, csv='labels.csv', image_size=24, seed=0):
  return own_images.prepare(
    str(tmp_path / 'data'),
    own_images.given('', str(raw / csv) if csv else None, str(raw), ''),
    image_size,
    refuse_bad=True,
    seed=seed,
  )


def _was_checked(capsys):
  output = capsys.readouterr().out
  assert ('no check' in output) != ('images' in output)
  return 'no check' not in output


def test_the_same_raw_files_are_checked_once(raw, tmp_path, capsys):
  assert _prepare(raw, tmp_path) == 'own_raw'
  assert _was_checked(capsys)
  assert _prepare(raw, tmp_path) == 'own_raw'
  assert not _was_checked(capsys)
  # Another time, the same contents: as after a copy.
  os.utime(raw / 'images/000.png', (1, 1))
  _prepare(raw, tmp_path)
  assert not _was_checked(capsys)


def test_changed_files_and_tables_are_seen(raw, tmp_path, capsys):
  _prepare(raw, tmp_path)
  raw_sets.save(raw_sets.photograph(77), raw / 'images/000.png')
  with pytest.raises(errors.InputError, match='other raw data') as caught:
    _prepare(raw, tmp_path)
  # Of the flags that the command has.
  assert 'give another --output_dir' in str(caught.value)
  assert '--overwrite' not in str(caught.value)
  shutil.rmtree(tmp_path / 'data')
  _prepare(raw, tmp_path)
  csv = raw / 'labels.csv'
  csv.write_text(csv.read_text().replace('000.png,benign', '000.png,malignant'))
  with pytest.raises(errors.InputError, match='other raw data'):
    _prepare(raw, tmp_path)


def test_what_is_prepared_needs_no_raw_files(raw, tmp_path, capsys):
  _prepare(raw, tmp_path)
  capsys.readouterr()
  shutil.rmtree(raw)
  _prepare(raw, tmp_path)
  assert not _was_checked(capsys)


def test_other_settings_are_refused_by_name(raw, tmp_path):
  _prepare(raw, tmp_path)
  with pytest.raises(errors.InputError, match='image_size=24, not 32'):
    _prepare(raw, tmp_path, image_size=32)


def test_the_split_is_drawn_by_its_seed(raw, tmp_path):
  texts = []
  for seed in (0, 0, 5):
    folder = tmp_path / f'{len(texts)}'
    _prepare(raw, folder, seed=seed)
    (path,) = (folder / 'data/own_raw').rglob('splits.csv')
    texts.append(path.read_text())
  assert texts[0] == texts[1] != texts[2]
  # A set of an earlier version has the usual seed, and does not say so.
  path = tmp_path / '0/data' / own_images.MANIFEST
  content = json.loads(path.read_text())
  del content['settings']['split_seed']
  path.write_text(json.dumps(content))
  _prepare(raw, tmp_path / '0')
  with pytest.raises(errors.InputError, match='split_seed=0, not 5'):
    _prepare(raw, tmp_path / '0', seed=5)


def test_without_a_manifest_the_files_are_checked(raw, tmp_path, capsys):
  """A study that an earlier version began."""
  _prepare(raw, tmp_path)
  path = tmp_path / 'data' / own_images.MANIFEST
  for text in ('', '{}', '[1]', '{"settings": 1, "images": 2, "tables": 3}'):
    path.write_text(text)
    capsys.readouterr()
    _prepare(raw, tmp_path)
    assert _was_checked(capsys)


def test_a_folder_for_each_class_and_a_new_image_in_it(tmp_path, capsys):
  raw = tmp_path / 'raw'
  for n in range(20):
    name = ('benign', 'malignant')[n % 2]
    raw_sets.save(raw_sets.photograph(n), raw / f'{name}/{n}.png')
  _prepare(raw, tmp_path, csv=None)
  assert _was_checked(capsys)
  _prepare(raw, tmp_path, csv=None)
  assert not _was_checked(capsys)
  raw_sets.save(raw_sets.photograph(50), raw / 'benign/50.png')
  with pytest.raises(errors.InputError, match='other raw data'):
    _prepare(raw, tmp_path, csv=None)


@pytest.mark.parametrize('fundus, size', [(True, (24, 24)), (False, (30, 24))])
def test_discs_are_cut_out_of_the_photographs_of_a_study(
  fundus, size, raw, tmp_path
):
  with flagsaver.flagsaver(fundus=fundus):
    name = _prepare(raw, tmp_path)
  prepared = tfds_folder.open_dataset(str(tmp_path / 'data'), name)
  sizes = set()
  for record in prepared.records('train'):
    data = prepared.parse(record)['image'].numpy()
    sizes.add(Image.open(io.BytesIO(data)).size)
  assert sizes == {size}
  assert prepared.square == ('fundus' if fundus else '')


def test_no_manifest_is_no_match(tmp_path):
  assert not manifest.is_unchanged(tmp_path / 'none', {}, [], str(tmp_path))


def test_sizes_are_in_the_check(raw, tmp_path, capsys):
  _prepare(raw, tmp_path, image_size=224)
  output = capsys.readouterr().out
  assert 'sizes: all 60 x 48' in output
  assert '--image_size=224: 22 times the work for no more detail' in output
  assert 'note: images are squeezed: 1' not in output  # 5:4 is near a square.


def test_a_wide_photograph_is_noted_as_squeezed(tmp_path, capsys):
  raw = raw_sets.table(tmp_path / 'raw', count=20)
  for n, path in enumerate(sorted((raw / 'images').iterdir())):
    raw_sets.save(raw_sets.photograph(n, 48, 72), path)
  _prepare(raw, tmp_path)
  output = capsys.readouterr().out
  assert '20 of 20 images: the longer side is typically 1.50 times' in output
  assert 'enlarged' not in output


def test_a_set_that_cannot_be_scored_is_refused_before_it_is_built(tmp_path):
  raw = raw_sets.table(tmp_path / 'raw', count=2)
  with pytest.raises(errors.InputError, match='empty split: validation'):
    _prepare(raw, tmp_path)
  assert not (tmp_path / 'data' / 'own_raw').exists()


@pytest.mark.parametrize(
  'shape',
  [
    shapes.medmnist,
    shapes.tar,
    shapes.parquet,
    shapes.classes,
    shapes.image_folder,
    shapes.tfds_set,
  ],
)
def test_what_is_prepared_of_any_shape_needs_no_raw_files(
  shape, tmp_path, capsys
):
  path = shape(tmp_path / 'raw', shapes.rows(16, 8, 8))
  data_dir = str(tmp_path / 'data')

  def prepare():
    given = own_images.given(str(path), None, None, data_dir)
    own_images.prepare(data_dir, given, 24, refuse_bad=True)
    return _was_checked(capsys)

  assert prepare()
  assert not prepare()
  shutil.rmtree(tmp_path / 'raw')
  assert not prepare()
  shutil.rmtree(tmp_path / 'data')
  with pytest.raises(errors.InputError, match='no such file or folder'):
    prepare()


@pytest.mark.parametrize(
  'shape', [shapes.medmnist, shapes.tar, shapes.parquet, shapes.tfds_set]
)
def test_changed_rows_are_seen(shape, tmp_path):
  data_dir = str(tmp_path / 'data')
  shape(tmp_path / 'raw', shapes.rows(16, 8, 8))
  others = shape(tmp_path / 'other', shapes.rows(16, 8, 7))
  path = tmp_path / 'raw' / others.relative_to(tmp_path / 'other')

  def prepare():
    given = own_images.given(str(path), None, None, data_dir)
    own_images.prepare(data_dir, given, 24, refuse_bad=True)

  prepare()
  shutil.rmtree(tmp_path / 'raw')
  (tmp_path / 'other').rename(tmp_path / 'raw')
  with pytest.raises(errors.InputError, match='other raw data'):
    prepare()
