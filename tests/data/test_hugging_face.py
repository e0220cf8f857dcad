"""Hugging Face's sets, as its library writes them, and Parquet of others."""

import json
import os

import datasets
import numpy as np
import pyarrow as pa
from pyarrow import parquet
import pytest
import shapes

from data import arrow_rows
from data import images
from data import preflight
from data.image_table import given as given_lib
from data.image_table import layout
from transfusion_tf import errors

_PICTURES = shapes.rows(8, 4, 4)
_CELLS = [{'bytes': shapes.png(row.pixels), 'path': None} for row in _PICTURES]
_CLASS = datasets.ClassLabel(names=list(shapes.NAMES))


def _read(path, **columns):
  given = given_lib.parse(str(path))
  assert given.kind == 'hf'
  return layout.read(given.read(layout.Columns(**columns)))


def _write(folder, columns, **features):
  """A file of a few rows; columns without a feature are as they are."""
  count = len(next(iter(columns.values())))
  table = {'image': _CELLS[:count]} | columns
  known = {'image': datasets.Image()} | features
  for name, values in table.items():
    if name not in known:
      known[name] = datasets.Value(
        'string' if isinstance(values[0], str) else 'int64'
      )
  path = folder / 'rows.parquet'
  datasets.Dataset.from_dict(table, datasets.Features(known)).to_parquet(path)
  return path


def _bare(folder, **columns):
  """A file that knows nothing of features."""
  parquet.write_table(pa.table(columns), folder / 'rows.parquet')
  return folder / 'rows.parquet'


def test_pictures_are_read_across_row_groups(tmp_path):
  table = pa.table({'image': _CELLS, 'label': list('ab' * 8)})
  path = tmp_path / 'rows.parquet'
  parquet.write_table(table, path, row_group_size=3)
  found = _read(path).dataset.records
  for n in (0, 15, 2, 3, 8, 7):
    picture = np.asarray(images.load(images.read(found[n].path)))
    assert (picture == _PICTURES[n].pixels).all()


def test_a_column_of_bytes_is_of_pictures(tmp_path):
  cells = [cell['bytes'] for cell in _CELLS]
  path = _bare(tmp_path, img=cells, other=cells, label=list('ab' * 8))
  found = _read(path)
  assert found.names == ('a', 'b') and len(found.dataset.records) == 16
  assert [r.image_id for r in found.dataset.records][:2] == [
    'row_0000.png',
    'row_0001.png',
  ]


def test_lists_of_classes_are_findings(tmp_path):
  path = _write(
    tmp_path,
    {'labels': [[], [0], [1], [0, 1]]},
    labels=datasets.List(datasets.ClassLabel(names=['mass', 'edema'])),
  )
  found = _read(path)
  assert (found.kind, found.names) == ('findings', ('mass', 'edema'))
  positive = [record.classes() for record in found.dataset.records]
  assert positive == [[], ['mass'], ['edema'], ['mass', 'edema']]


def test_patients_are_a_column_and_named_if_nobody_says_so(tmp_path):
  columns = {
    'label': [0, 1] * 4,
    'patient_id': [f'p{n // 2}' for n in range(8)],
  }
  path = _write(tmp_path, columns, label=_CLASS)
  found = _read(path)
  (problem,) = found.dataset.problems
  assert (problem.kind, problem.location) == (
    'patients may be known',
    'patient_id',
  )
  found = _read(path, patient='patient_id')
  assert found.dataset.records[3].patient_id == 'p1'


def test_of_several_columns_of_classes_one_is_asked_for(tmp_path):
  other = datasets.ClassLabel(names=['m', 'f', 'x'])
  columns = {'label': [0, 1] * 4, 'sex': [0, 1, 2, 2] * 2}
  path = _write(tmp_path, columns, label=_CLASS, sex=other)
  with pytest.raises(errors.InputError, match='which column is learned: label'):
    _read(path)
  assert _read(path, labels=('sex',)).names == ('m', 'f', 'x')
  found = _read(path, labels=('label',), subgroups=('sex',))
  assert found.names == shapes.NAMES
  assert found.dataset.records[1].groups == {'sex': 'f'}


def test_a_class_that_is_not_given_is_a_bad_row(tmp_path):
  path = _write(tmp_path, {'label': [0, -1, 1, None]}, label=_CLASS)
  found = _read(path)
  bad = [p for p in found.dataset.problems if p.bad]
  assert len(bad) == 2 and len(found.dataset.records) == 2


def test_names_of_files_are_names(tmp_path):
  cells = [
    {'bytes': _CELLS[n]['bytes'], 'path': path}
    for n, path in enumerate(
      ('/etc/passwd', '../x.png', 'https://example.org/x.png', 'a/x.png')
    )
  ]
  path = _bare(tmp_path, image=cells, label=list('abab'))
  found = _read(path).dataset
  ids = [record.image_id for record in found.records]
  assert len(set(ids)) == 4 and not any('/' in name for name in ids)
  assert len(preflight.check(found, num_processes=1).records) == 4


def test_a_picture_elsewhere_is_not_fetched(tmp_path):
  """A name alone may lead to any file of this machine, or of another one."""
  secret = tmp_path / 'secret.png'
  secret.write_bytes(_CELLS[0]['bytes'])
  cells = [{'bytes': None, 'path': os.fspath(secret)}, *_CELLS[1:4]]
  kind = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
  path = _bare(tmp_path, image=pa.array(cells, kind), label=list('abab'))
  checked = preflight.check(_read(path).dataset, num_processes=1)
  (bad,) = [p for p in checked.problems if p.bad]
  assert bad.kind == 'no such image' and 'secret.png' in bad.location


_NOTHING = {
  'no pictures': ({'label': list('ab')}, 'no column of pictures'),
  'pictures alone': ({'image': _CELLS[:2]}, 'say with --label_columns'),
  'two of pictures': (
    {'one': _CELLS[:2], 'two': _CELLS[:2], 'label': list('ab')},
    r'several columns \(one, two\)',
  ),
  'no rows': (
    {
      'image': pa.array([], pa.binary()),
      'label': pa.array([], pa.string()),
    },
    'no row with a picture',
  ),
}


@pytest.mark.parametrize('what', _NOTHING)
def test_what_is_no_set_of_pictures_is_one_line(what, tmp_path):
  columns, message = _NOTHING[what]
  with pytest.raises(errors.InputError, match=message):
    _read(_bare(tmp_path, **columns))


def test_shards_that_differ_are_one_line(tmp_path):
  for n, names in enumerate((['a', 'b'], ['b', 'a'])):
    (tmp_path / str(n)).mkdir()
    feature = datasets.ClassLabel(names=names)
    _write(tmp_path / str(n), {'label': [0, 1]}, label=feature)
  with pytest.raises(errors.InputError, match='or other classes, than'):
    _read(tmp_path)


@pytest.mark.parametrize('text', [b'', b'[]', b'{"info": 1}', b'[' * 99_999])
def test_damaged_features_are_one_line(text, tmp_path):
  table = pa.table({'image': _CELLS, 'label': [0, 1] * 8})
  table = table.replace_schema_metadata({'huggingface': text})
  parquet.write_table(table, tmp_path / 'rows.parquet')
  with pytest.raises(errors.InputError, match='features is damaged'):
    _read(tmp_path / 'rows.parquet')


def test_a_row_group_of_too_many_bytes_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(arrow_rows, '_MOST', 1000)
  found = _read(_bare(tmp_path, image=_CELLS, label=list('ab' * 8)))
  checked = preflight.check(found.dataset, num_processes=1)
  assert not checked.records
  assert 'smaller row groups' in checked.problems[0].detail


@pytest.mark.parametrize('shape', [shapes.parquet, shapes.saved_to_disk])
def test_harmed_files_are_one_line_or_bad_images(shape, tmp_path):
  folder = shape(tmp_path / 'set', _PICTURES)
  files = [*folder.rglob('*.parquet'), *folder.rglob('*.arrow')]
  sound = files[0].read_bytes()
  rng = np.random.default_rng(0)
  harmed = [sound[:n] for n in range(0, len(sound), len(sound) // 9)]
  for _ in range(60):
    data = bytearray(sound)
    for place in rng.integers(0, len(data), 8):
      data[place] = rng.integers(256)
    harmed.append(bytes(data))
  for data in harmed:
    # Another file: one that is mapped into memory must not change.
    files[0].unlink()
    files[0].write_bytes(data)
    try:
      found = _read(folder)
    except errors.InputError as error:
      assert '\n' not in str(error)
      continue
    preflight.check(found.dataset, num_processes=1)


def test_metadata_beside_images(tmp_path):
  """As `imagefolder` has it: of lines of JSON, or a CSV."""
  folder = shapes.image_folder(tmp_path / 'set', _PICTURES)
  for name in ('val', 'test'):
    (folder / name / 'metadata.jsonl').unlink()
    names = sorted(p.name for p in (folder / name).iterdir())[:3]
    lines = ','.join(['file_name', 'label', 'patient_id'])
    rows = [f'{n},{shapes.NAMES[k % 2]},p{k}' for k, n in enumerate(names)]
    (folder / name / 'metadata.csv').write_text('\n'.join([lines, *rows]))
  path = folder / 'train/metadata.jsonl'
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  text = '\n'.join(json.dumps({**r, 'patient_id': 'p'}) for r in rows)
  path.write_text(text + '\n\n')
  given = given_lib.parse(str(folder))
  assert given.kind == 'imagefolder' and given.root == str(folder)
  assert [os.path.basename(os.path.dirname(f)) for f in given.files] == [
    *('test', 'train', 'val'),
  ]
  found = layout.read(given.read(layout.Columns(patient='patient_id')))
  records = {r.image_id: r for r in found.dataset.records}
  assert len(records) == 8 + 3 + 3
  assert records['val/validation_0001.png'].labels == {'label': 'pneumonia'}
  assert records['val/validation_0001.png'].split == 'validation'
  assert records['train/train_0003.png'].patient_id == 'p'
  notes = {p.location for p in found.dataset.problems}
  assert notes == {'val/validation_0003.png', 'test/test_0003.png'}


def test_names_of_metadata_stay_below_the_folder(tmp_path):
  (tmp_path / 'secret.png').write_bytes(_CELLS[0]['bytes'])
  folder = shapes.image_folder(tmp_path / 'set', _PICTURES)
  for name in ('../../secret.png', '/etc/passwd', '', 'gone.png'):
    line = json.dumps({'file_name': name, 'label': 'normal'})
    with open(folder / 'train/metadata.jsonl', 'a') as file:
      file.write(line + '\n')
  found = layout.read(given_lib.parse(str(folder)).read(layout.Columns()))
  checked = preflight.check(found.dataset, num_processes=1)
  assert len(checked.records) == 16
  kinds = sorted(p.kind for p in checked.problems if p.bad)
  assert kinds.count('outside the image root') == 2 and len(kinds) == 4


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{"file_name": "a.png"}\n[1]\n', 'jsonl:2 is no object'),
    ('{"file_name": "a.png"}\n', 'say with --label_columns'),
    ('{"label": "a"}\n', "no column 'file_name'"),
    ('', "no column 'file_name'"),
    ('[' * 99_999, 'jsonl:1 is no object'),
  ],
)
def test_damaged_metadata_are_one_line(text, message, tmp_path):
  (tmp_path / 'a.png').write_bytes(_CELLS[0]['bytes'])
  (tmp_path / 'metadata.jsonl').write_text(text)
  with pytest.raises(errors.InputError, match=message) as caught:
    given_lib.parse(str(tmp_path)).read(layout.Columns())
  assert '\n' not in str(caught.value)


def test_nothing_of_a_set_is_run(tmp_path):
  """A script beside the rows is of no interest."""
  folder = shapes.parquet(tmp_path / 'set', _PICTURES)
  (folder / 'set.py').write_text('raise SystemExit("run")')
  (folder / 'README.md').write_text(
    '---\nconfigs:\n- config_name: x\n  data_files: https://example.org/x\n---\n'
  )
  assert len(_read(folder).dataset.records) == 16
