"""Sets that TensorFlow Datasets has prepared, under the names it gives them."""

import numpy as np
import pytest
import shapes
import tensorflow_datasets as tfds

from data import images
from data import preflight
from data.chexpert import layout as chexpert
from data.image_table import given as given_lib
from data.image_table import layout
from data.image_table import tfds_sets
from transfusion_tf import errors
from transfusion_tf import run_folder

_PICTURES = shapes.rows(8, 8, 8)
_STATES = ('uncertain', 'positive', 'negative', 'unmentioned')


def _write(folder, name, features, splits):
  """A set of as many rows as there are labels: {split: list of features}."""
  pictures = iter(_PICTURES)
  tfds.dataset_builders.store_as_tfds_dataset(
    name=name,
    version='3.0.0',
    features=tfds.features.FeaturesDict(
      {'image': tfds.features.Image(shape=(None, None, 1)), **features}
    ),
    split_datasets={
      split: [
        (n, {'image': next(pictures).pixels[..., None], **row})
        for n, row in enumerate(rows)
      ]
      for split, rows in splits.items()
    },
    data_dir=folder,
  )
  return folder / name


def _read(path, **columns):
  given = given_lib.parse(str(path))
  assert given.kind == 'tfds'
  return layout.read(given.read(layout.Columns(**columns)))


def _retina(folder):
  """The columns of Kaggle's photographs, as TFDS has them."""
  return _write(
    folder,
    'diabetic_retinopathy_detection',
    {
      'name': tfds.features.Text(),
      'label': tfds.features.ClassLabel(num_classes=5),
    },
    {
      'sample': [{'name': '9_left', 'label': 0}],
      'train': [
        {'name': f'{n // 2}_{("left", "right")[n % 2]}', 'label': n % 5}
        for n in range(8)
      ],
      'validation': [
        {'name': f'1{n}_left', 'label': -1 if n == 2 else n} for n in range(3)
      ],
      'test': [{'name': f'2{n}_left', 'label': n} for n in range(5)],
    },
  )


def test_kaggles_photographs_have_grades_and_patients(tmp_path):
  path = _retina(tmp_path)
  found = _read(path)
  assert (found.kind, found.names) == ('grade', tuple('01234'))
  records = found.dataset.records
  assert len(records) == 15  # Without `sample`, and the one without a grade.
  of_1 = [r for r in records if r.patient_id == '1']
  assert sorted(r.image_id for r in of_1) == ['1_left', '1_right']
  assert {r.labels['grade'] for r in of_1} == {'2', '3'}
  (bad,) = found.dataset.problems
  assert bad.kind == 'impossible label'
  assert tfds_sets.ready(str(path)) is None


def test_chexpert_has_findings_and_patients_and_a_test_set_is_drawn(tmp_path):
  rng = np.random.default_rng(0)
  states = rng.integers(0, 4, (12, 14))

  def row(number, split):
    path = f'CheXpert-v1.0-small/{split}/patient{number:05d}/study1/view1.jpg'
    return {'name': path, 'label': states[number]}

  features = {
    'name': tfds.features.Text(),
    'label': tfds.features.Sequence(tfds.features.ClassLabel(names=_STATES)),
  }
  splits = {
    'train': [row(n, 'train') for n in range(9)],
    'validation': [row(n, 'valid') for n in range(9, 12)],
  }
  path = _write(tmp_path, 'chexpert', features, splits)
  found = _read(path)
  assert (found.kind, found.names) == ('findings', chexpert.OBSERVATIONS)
  for record in found.dataset.records:
    number = int(record.patient_id.removeprefix('patient'))
    expected = [_STATES[state] for state in states[number]]
    assert list(record.labels['findings'].values()) == expected
  checked = preflight.check(found.dataset, num_processes=1)
  assert {r.patient_id for r in checked.splits()['validation']} == {
    f'patient{n:05d}' for n in range(9, 12)
  }
  assert checked.splits()['test']


_CLASSES = {
  'colorectal_histology': ('train',),
  'malaria': ('train',),
  'deep_weeds': ('train',),
  'cifar10': ('train', 'test'),
  'imagenette': ('train', 'validation'),
  'patch_camelyon': ('train', 'validation', 'test'),
}


@pytest.mark.parametrize('name', _CLASSES)
def test_sets_of_classes_get_the_splits_that_they_lack(name, tmp_path):
  features = {'label': tfds.features.ClassLabel(names=['b', 'a'])}
  splits = {s: [{'label': n % 2} for n in range(8)] for s in _CLASSES[name]}
  path = _write(tmp_path, name, features, splits)
  found = _read(path)
  assert (found.kind, found.names) == ('label', ('b', 'a'))
  checked = preflight.check(found.dataset, num_processes=1)
  assert set(checked.splits()) == {'train', 'validation', 'test'}
  drawn = {p.location for p in checked.problems if p.kind == 'split drawn'}
  assert drawn == {'train', 'validation', 'test'} - set(_CLASSES[name])
  ready = tfds_sets.ready(str(path))
  is_ready = name == 'patch_camelyon'
  assert ready == ((str(tmp_path), f'{name}/3.0.0') if is_ready else None)


def test_rows_are_the_pictures_of_the_set(tmp_path):
  found = _read(_retina(tmp_path)).dataset.records
  by_id = {record.image_id: record for record in found}
  picture = np.asarray(images.load(images.read(by_id['0_right'].path)))
  assert (picture == _PICTURES[2].pixels).all()


def test_a_damaged_file_is_one_line(tmp_path):
  path = _retina(tmp_path)
  (file,) = path.rglob('*-train.tfrecord*')
  sound = file.read_bytes()
  for at in (3, 200, len(sound) - 2):
    data = bytearray(sound)
    data[at] ^= 255
    file.write_bytes(data)
    with pytest.raises(errors.InputError, match='is damaged') as caught:
      _read(path)
    assert '\n' not in str(caught.value)
  file.unlink()
  with pytest.raises(errors.InputError, match='train'):
    _read(path)


def test_a_name_is_looked_for_where_tfds_keeps_its_sets(tmp_path, monkeypatch):
  _retina(tmp_path / 'own')
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'own'))
  name = 'diabetic_retinopathy_detection'
  given = given_lib.parse(f'tfds:{name}')
  assert given.path == str(tmp_path / 'own' / name)
  assert given.name == f'own_{name}'
  for text in ('tfds:other', name):  # Without its kind it is a path alone.
    with pytest.raises(errors.InputError, match='no such file or folder'):
      given_lib.parse(text)


def test_a_set_without_labels_is_one_line(tmp_path):
  features = {'name': tfds.features.Text()}
  splits = {'train': [{'name': 'a'}, {'name': 'b'}]}
  path = _write(tmp_path, 'faces', features, splits)
  with pytest.raises(errors.InputError, match='which feature is learned'):
    _read(path)


def _hidden(folder, splits):
  """A set whose test labels nobody knows."""
  classes = tfds.features.ClassLabel(names=shapes.NAMES)
  counts = {
    split: [{'label': -1 if split == 'test' else n % 2} for n in range(6)]
    for split in splits
  }
  return _write(folder, 'hidden', {'label': classes}, counts)


def test_a_test_split_whose_labels_are_hidden_counts_as_lacking(tmp_path):
  found = _read(_hidden(tmp_path, ('train', 'test')))
  (note,) = found.dataset.problems
  assert (note.kind, note.location) == ('split without labels', 'test')
  assert {r.split for r in found.dataset.records} == {'train'}
  checked = preflight.check(found.dataset, num_processes=1)
  assert set(checked.splits()) == {'train', 'validation', 'test'}
  assert not [p for p in checked.problems if p.bad]


def test_networks_are_scored_on_validation_where_test_labels_are_hidden(
  call, tmp_path
):
  """Of a set that is used as it is."""
  path = _hidden(tmp_path / 'sets', ('train', 'validation', 'test'))
  study = tmp_path / 'study'
  done = call(
    'study.py',
    *(f'--data={path}', f'--output_dir={study}', '--epochs=1', '--seeds=1'),
    *('--models=cbr_tiny', '--inits=random', '--noprobes'),
    *('--image_size=48', '--batch_size=2', '--nolocate_benefit'),
  )
  assert done.returncode == 0, done.stderr
  said = 'hidden has no labels in its test split: runs are scored on validation'
  assert f'note: {said}' in done.stdout
  assert 'a shorter side of 28 pixels, typically, --image_size=48' in (
    done.stdout
  )
  run = study / 'cbr_tiny/random/seed0'
  assert run_folder.result(str(run))['judged_split'] == 'validation'
  done = call('evaluate.py', f'--run_dir={run}')
  assert done.returncode == 0, done.stderr
  assert f'note: {said}' in done.stdout and 'validation top1' in done.stdout
  done = call('evaluate.py', f'--run_dir={run}', '--split=test')
  assert done.returncode == 2 and said in done.stderr


def test_a_study_trains_on_a_set_that_is_ready_where_it_is(call, tmp_path):
  path = shapes.tfds_set(tmp_path / 'sets', shapes.rows(24, 12, 12))
  done = call(
    'study.py',
    *(f'--data={path}', f'--output_dir={tmp_path / "study"}'),
    *('--models=cbr_tiny', '--inits=random', '--seeds=1', '--epochs=1'),
    *('--image_size=16', '--batch_size=8', '--noprobes', '--nolocate_benefit'),
  )
  assert done.returncode == 0, done.stderr
  assert 'used as it is' in done.stdout
  assert not (tmp_path / 'study/data').exists()
