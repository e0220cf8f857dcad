"""Prepared sets as Parquet and Croissant, read back by others' libraries."""

import hashlib
import io
import json

import numpy as np
import pandas as pd
from PIL import Image
import prepared_sets
import pytest
import tensorflow_datasets as tfds

from data import findings
from data.image_table import given as given_lib
from data.image_table import layout
from transfusion_tf import data_export
from transfusion_tf import errors
from transfusion_tf.data_export import writing
from transfusion_tf.input_pipeline import tfds_folder

_SIGNS = ('Pleural Effusion', 'Edema')
_CITATION = '@article{us,\n title = {Ours},\n}'
_ABOUT = data_export.About(
  license='https://creativecommons.org/licenses/by/4.0/', citation=_CITATION
)


@pytest.fixture(scope='module')
def retina(data_dir, tmp_path_factory):
  """A set of grades, and its export."""
  opened = tfds_folder.open_dataset(str(data_dir), 'retina')
  folder = tmp_path_factory.mktemp('exported') / 'retina'
  counts = data_export.write(opened, str(folder), _ABOUT)
  assert counts == {'train': 96, 'validation': 33, 'test': 35}
  return opened, folder


@pytest.fixture(scope='module')
def chest(tmp_path_factory):
  """A set of findings, in two splits, and its export."""
  folder = tmp_path_factory.mktemp('chest')
  states = tfds.features.ClassLabel(names=findings.STATES)

  def examples(count, start):
    for n in range(start, start + count):
      yield {
        'image': np.full((8, 8, 3), n, np.uint8),
        'image_id': f'{n}.png',
        'patient_id': f'p{n // 2}',
        'findings': {'Edema': n % 4, 'Pleural Effusion': (n + 1) % 4},
      }

  prepared_sets.write(
    folder,
    'chest',
    {'findings': tfds.features.FeaturesDict(dict.fromkeys(_SIGNS, states))},
    {'train': list(examples(6, 0)), 'test': list(examples(3, 10))},
  )
  opened = tfds_folder.open_dataset(str(folder), 'chest')
  data_export.write(opened, str(folder / 'out'), data_export.About())
  return opened, folder / 'out'


def _stored(opened, split):
  """The pictures of a split, as they are stored."""
  return [
    opened.parse(record)['image'].numpy() for record in opened.records(split)
  ]


def test_hugging_faces_library_shows_pictures_and_classes(retina, tmp_path):
  import datasets

  opened, folder = retina
  loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
  assert set(loaded) == {'train', 'validation', 'test'}
  for split, rows in loaded.items():
    assert rows.features == datasets.Features(
      {
        'image': datasets.Image(),
        'grade': datasets.ClassLabel(names=list('01234')),
        'image_id': datasets.Value('string'),
        'patient_id': datasets.Value('string'),
      }
    )
    index = opened.index(split)
    assert rows['grade'][:] == list(index.labels['grade'])
    assert rows['image_id'][:] == list(index.image_ids)
    assert rows['patient_id'][:] == list(index.patient_ids)
  stored = Image.open(io.BytesIO(_stored(opened, 'test')[3]))
  assert loaded['test'][3]['image'].tobytes() == stored.tobytes()


def test_pandas_reads_the_bytes_as_they_are_stored(retina):
  opened, folder = retina
  rows = pd.read_parquet(folder / 'data/train-00000-of-00001.parquet')
  assert [row['bytes'] for row in rows['image']] == _stored(opened, 'train')
  assert [row['path'] for row in rows['image']] == list(rows['image_id'])
  assert Image.open(io.BytesIO(rows['image'][0]['bytes'])).size == (32, 32)


def test_each_finding_is_a_column_with_its_states(chest, tmp_path):
  import datasets

  opened, folder = chest
  rows = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))['train']
  for name in _SIGNS:
    assert rows.features[name].names == list(findings.STATES)
    assert rows[name][:] == list(opened.index('train').labels['findings'][name])


def test_findings_come_in_again_as_they_went_out(chest):
  opened, folder = chest
  given = given_lib.parse(str(folder))
  columns = layout.Columns(patient='patient_id')
  table = layout.read(given.read(columns))
  assert (table.kind, table.names) == ('findings', opened.label_names)
  found = {r.image_id: r for r in table.dataset.records}
  for split in opened.splits:
    index = opened.index(split)
    for n, name in enumerate(index.image_ids):
      assert (found[name].split, found[name].patient_id) == (
        split,
        index.patient_ids[n],
      )
      assert found[name].labels['findings'] == {
        k: findings.STATES[v[n]] for k, v in index.labels['findings'].items()
      }


def _records(folder, name):
  import mlcroissant

  described = mlcroissant.Dataset(jsonld=str(folder / 'croissant.json'))
  assert not described.metadata.issues.errors
  return described.metadata, list(described.records(name))


@pytest.mark.parametrize('which', ['retina', 'chest'])
def test_croissant_is_valid_and_loads_the_rows(which, request):
  opened, folder = request.getfixturevalue(which)
  metadata, rows = _records(folder, 'rows')
  assert metadata.name == which and metadata.version == '1.0.0'
  by_split = {}
  for row in rows:
    by_split.setdefault(row['rows/split'].decode(), []).append(row)
  assert set(by_split) == set(opened.splits)
  for split, own in by_split.items():
    index = opened.index(split)
    ids = [row['rows/image_id'].decode() for row in own]
    assert ids == list(index.image_ids)
    if which == 'retina':
      assert [r['rows/grade'] for r in own] == list(index.labels['grade'])
    else:
      states = index.labels['findings']
      assert [r['rows/Edema'] for r in own] == list(states['Edema'])
      # Its name holds what an address cannot.
      column = [f.id for f in metadata.record_sets[-1].fields if ' ' in f.name]
      assert [r[column[0]] for r in own] == list(states['Pleural Effusion'])
    assert (
      own[0]['rows/image'].size == (32, 32) if which == 'retina' else (8, 8)
    )
  _, classes = _records(folder, 'classes')
  names = list('01234') if which == 'retina' else list(findings.STATES)
  assert [row['classes/name'] for row in classes] == names


def test_croissant_has_what_its_owner_says_and_the_files(retina, chest):
  said = json.loads((retina[1] / 'croissant.json').read_text())
  assert said['license'] == _ABOUT.license and said['citeAs'] == _CITATION
  assert said['identifier'] == retina[0].fingerprint
  files = [f for f in said['distribution'] if f['@type'] == 'cr:FileObject']
  assert len(files) == 3
  for file in files:
    data = (retina[1] / file['contentUrl']).read_bytes()
    assert file['sha256'] == hashlib.sha256(data).hexdigest()
    assert file['contentSize'] == f'{len(data)} B'
  silent = json.loads((chest[1] / 'croissant.json').read_text())
  assert not {'license', 'citeAs', 'url'} & silent.keys()
  assert '6 of train, 3 of test' in silent['description']


def test_large_splits_are_cut_into_files(retina, tmp_path, monkeypatch):
  opened, _ = retina
  size = opened.num_stored_bytes('train')
  monkeypatch.setattr(writing, '_SHARD_BYTES', size // 3 + 1)
  monkeypatch.setattr(writing, '_ROWS', 7)
  data_export.write(opened, str(tmp_path / 'out'), data_export.About())
  files = sorted((tmp_path / 'out/data').glob('train-*'))
  assert [f.name[5:] for f in files] == [
    f'-{n:05d}-of-00003.parquet' for n in range(3)
  ]
  rows = pd.concat(map(pd.read_parquet, files))
  assert list(rows['image_id']) == list(opened.index('train').image_ids)


def test_a_folder_of_other_things_is_left_alone(retina, tmp_path):
  opened, folder = retina
  (tmp_path / 'notes.txt').write_text('mine')
  with pytest.raises(errors.InputError, match='no exported data set'):
    data_export.write(opened, str(tmp_path), _ABOUT, overwrite=True)
  assert [path.name for path in tmp_path.iterdir()] == ['notes.txt']
  with pytest.raises(errors.InputError, match='replace it with --overwrite'):
    data_export.write(opened, str(folder), _ABOUT)


def test_what_fails_leaves_nothing(retina, tmp_path, monkeypatch):
  opened, _ = retina

  def fail(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(writing, '_described', fail)
  with pytest.raises(OSError, match='No space'):
    data_export.write(opened, str(tmp_path / 'out'), _ABOUT)
  assert not list(tmp_path.iterdir())


def test_the_command(call, data_dir, tmp_path):
  flags = (
    f'--data_dir={data_dir}',
    '--dataset=retina',
    f'--output_dir={tmp_path / "out"}',
  )
  done = call('export_data.py', *flags)
  assert done.returncode == 0, done.stderr
  assert 'train: 96 rows' in done.stdout and 'no --license' in done.stdout
  before = (tmp_path / 'out/croissant.json').read_bytes()
  done = call('export_data.py', *flags, '--license=mit')
  assert done.returncode == 2 and done.stderr.count('\n') == 1
  assert (tmp_path / 'out/croissant.json').read_bytes() == before
  done = call('export_data.py', *flags, '--license=mit', '--overwrite')
  assert done.returncode == 0 and 'note' not in done.stdout
  assert json.loads((tmp_path / 'out/croissant.json').read_text())['license']
