"""The demo's raw sets: real layouts, same bytes, and nothing but lesions."""

import hashlib
import socket

import numpy as np
import pandas as pd
from PIL import Image
import pytest
from sklearn import linear_model
from sklearn import metrics

from data.demo import chexpert
from data.demo import files
from data.demo import fundus
from data.demo import natural
from data.demo import radiograph
from data.demo import retina
from transfusion_tf import errors

_WRITERS = {
  'retina': (retina.write, dict(num_patients=4)),
  'chexpert': (chexpert.write, dict(num_patients=4)),
  'natural': (natural.write, dict(num_images=16)),
}
_FINDINGS = (
  'Atelectasis',
  'Cardiomegaly',
  'Consolidation',
  'Edema',
  'Pleural Effusion',
)


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
  """Folders of two sets, with enough patients for statistics."""
  folder = tmp_path_factory.mktemp('raw')
  sets = {}
  for name, write in (('retina', retina.write), ('chexpert', chexpert.write)):
    sets[name] = folder / name
    files.make(sets[name], write, image_size=24, num_patients=300, seed=0)
  return sets


def _digests(folder):
  return {
    str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
  }


@pytest.mark.parametrize('name', _WRITERS)
def test_same_seed_same_bytes(name, tmp_path):
  write, amount = _WRITERS[name]
  for folder, seed in (('a', 0), ('b', 0), ('c', 1)):
    files.make(tmp_path / folder, write, image_size=24, seed=seed, **amount)
  first = _digests(tmp_path / 'a')
  assert first == _digests(tmp_path / 'b')
  assert first != _digests(tmp_path / 'c')


def test_retina_has_the_layout_of_kaggle(raw):
  files = {}
  for split, csv, columns in (
    ('train', 'trainLabels.csv', ['image', 'level']),
    ('test', 'retinopathy_solution.csv', ['image', 'level', 'Usage']),
  ):
    labels = pd.read_csv(raw['retina'] / csv)
    assert list(labels.columns) == columns
    files[split] = set(labels['image'])
    on_disk = (raw['retina'] / split).iterdir()
    assert files[split] == {path.name.removesuffix('.jpeg') for path in on_disk}
  patients = {
    split: {name.split('_')[0] for name in names}
    for split, names in files.items()
  }
  assert not patients['train'] & patients['test']
  for split, names in files.items():
    expected = {
      f'{p}_{eye}' for p in patients[split] for eye in 'left right'.split()
    }
    assert names == expected


def test_grades_are_imbalanced_and_go_together_in_a_patient(raw):
  labels = pd.read_csv(raw['retina'] / 'trainLabels.csv').set_index('image')
  share = labels['level'].value_counts(normalize=True)
  assert share[0] > 0.45 and share[2] > share[1] > 0.05 and share[4] > 0.02
  left = labels[labels.index.str.endswith('left')]['level'].to_numpy()
  right = labels[labels.index.str.endswith('right')]['level'].to_numpy()
  assert 0.5 < np.corrcoef(left, right)[0, 1] < 0.95


def test_color_does_not_tell_the_grade(raw):
  labels = pd.read_csv(raw['retina'] / 'trainLabels.csv')
  pictures = np.stack(
    [
      np.asarray(Image.open(raw['retina'] / f'train/{name}.jpeg'))
      for name in labels['image']
    ]
  ).reshape(len(labels), -1, 3)
  color = np.concatenate([pictures.mean(1), pictures.std(1)], axis=1) / 255
  referable = labels['level'].to_numpy() >= 2
  half = len(labels) // 2
  model = linear_model.LogisticRegression(C=100, max_iter=5000)
  model.fit(color[:half], referable[:half])
  scores = model.decision_function(color[half:])
  assert abs(metrics.roc_auc_score(referable[half:], scores) - 0.5) < 0.12


@pytest.mark.parametrize('eye', ['left', 'right'])
def test_a_grade_changes_lesions_only(eye):
  pictures = [
    fundus.photograph(64, eye, grade, [0, 7]).astype(int) for grade in range(5)
  ]
  changed = [
    (np.abs(picture - pictures[0]).max(axis=-1) > 12).mean()
    for picture in pictures
  ]
  assert 0 < changed[1] < 0.02
  assert changed[1] < changed[2] < changed[3] < 0.2
  assert changed[2] < changed[4] < 0.25


def test_a_patient_does_not_depend_on_the_number_of_patients(tmp_path):
  for number in (2, 5):
    files.make(
      tmp_path / str(number),
      retina.write,
      image_size=24,
      num_patients=number,
      seed=0,
    )
  few, many = _digests(tmp_path / '2'), _digests(tmp_path / '5')
  pictures = {path for path in few if path.endswith('.jpeg')}
  assert pictures and all(few[path] == many[path] for path in pictures)


def test_chexpert_has_its_columns_states_and_folders(raw):
  columns = (
    'Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,'
    'Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,'
    'Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,'
    'Support Devices'
  ).split(',')
  states = {'train': {'', '1.0', '0.0', '-1.0'}, 'valid': {'1.0', '0.0'}}
  for split, allowed in states.items():
    labels = pd.read_csv(
      raw['chexpert'] / f'{split}.csv', dtype=str, keep_default_na=False
    )
    assert list(labels.columns) == columns
    assert set(labels[list(_FINDINGS)].to_numpy().ravel()) == allowed
    named = set(labels['Path'])
    prefix = 'CheXpert-v1.0-small/'
    assert named == {
      prefix + str(path.relative_to(raw['chexpert']))
      for path in (raw['chexpert'] / split).rglob('*.jpg')
    }
    assert set(labels['Frontal/Lateral']) == {'Frontal', 'Lateral'}
    assert all(labels[labels['Frontal/Lateral'] == 'Lateral']['AP/PA'] == '')
  studies = _train_studies(raw['chexpert'])
  assert studies.max() > 1 and (studies == 1).any()


def _train_studies(folder):
  paths = pd.read_csv(folder / 'train.csv')['Path'].str.split('/', expand=True)
  return paths.groupby(2)[3].nunique()


@pytest.mark.parametrize('view', ['Frontal', 'Lateral'])
@pytest.mark.parametrize('finding', _FINDINGS)
def test_findings_are_drawn_and_local(finding, view):
  changed = []
  for patient in range(10):
    healthy = radiograph.render(64, view, (), [0, patient], 1).astype(int)
    again = radiograph.render(64, view, (), [0, patient], 1)
    ill = radiograph.render(64, view, (finding,), [0, patient], 1).astype(int)
    assert (again == healthy).all()
    changed.append((np.abs(ill - healthy) > 4).mean())
  assert min(changed) > 0 and np.median(changed) > 0.01 and max(changed) < 0.5


def test_findings_can_be_learned(raw):
  pixels, labels = {}, {}
  for split in ('train', 'valid'):
    table = pd.read_csv(raw['chexpert'] / f'{split}.csv')
    table = table[table['Frontal/Lateral'] == 'Frontal']
    paths = raw['chexpert'] / table['Path'].str.partition('/')[2]
    pictures = [np.asarray(Image.open(path)).ravel() for path in paths]
    pixels[split] = np.stack(pictures) / 255
    labels[split] = table[list(_FINDINGS)] == 1
  for finding in _FINDINGS:
    model = linear_model.LogisticRegression(C=0.01, max_iter=5000)
    model.fit(pixels['train'], labels['train'][finding])
    scores = model.decision_function(pixels['valid'])
    assert metrics.roc_auc_score(labels['valid'][finding], scores) > 0.6


def test_natural_classes_take_turns_and_are_square(tmp_path):
  write, amount = _WRITERS['natural']
  files.make(tmp_path / 'natural', write, image_size=24, seed=0, **amount)
  labels = pd.read_csv(tmp_path / 'natural/labels.csv')
  counts = labels['label'].value_counts()
  assert len(counts) == len(natural.CLASSES) >= 10 and counts.nunique() == 1
  for path in labels['path']:
    with Image.open(tmp_path / 'natural' / path) as image:
      assert image.size == (24, 24) and image.mode == 'RGB'


def test_pictures_come_without_a_network(monkeypatch):
  def refuse(*_, **__):
    raise AssertionError('a download was tried')

  monkeypatch.setattr(socket, 'socket', refuse)
  natural._photograph.cache_clear()
  for label in natural.CLASSES:
    assert min(natural._photograph(label).size) > 150


def test_a_set_is_written_whole_or_not_at_all(tmp_path):
  def fail(folder, **_):
    (folder / 'half').write_text('')
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    files.make(tmp_path / 'retina', fail, seed=0)
  assert not (tmp_path / 'retina').exists()

  def write(folder, **_):
    (folder / 'whole').write_text('')

  assert files.make(tmp_path / 'retina', write, seed=0)
  assert not files.make(tmp_path / 'retina', fail, seed=0)
  with pytest.raises(errors.InputError, match='other data'):
    files.make(tmp_path / 'retina', write, seed=1)


def test_real_data_are_never_overwritten(call, tmp_path):
  (tmp_path / 'retina').mkdir()
  (tmp_path / 'retina/trainLabels.csv').write_text('image,level\n')
  result = call(
    'make_demo_data.py', f'--raw_dir={tmp_path}', '--num_patients=3'
  )
  assert result.returncode == 2
  assert result.stderr.startswith('make_demo_data.py: ')
  assert result.stderr.count('\n') == 1
  assert (tmp_path / 'retina/trainLabels.csv').read_text() == 'image,level\n'
