"""WebDataset's archives: shards, columns, and what is no such archive."""

import io
import tarfile

import pytest
import shapes

from data import preflight
from data.image_table import given as given_lib
from data.image_table import layout
from transfusion_tf import errors

_PICTURES = shapes.rows(8, 4, 4)


def _png(number):
  import PIL.Image

  buffer = io.BytesIO()
  PIL.Image.fromarray(_PICTURES[number].pixels).save(buffer, 'PNG')
  return buffer.getvalue()


def _write(path, *files):
  path.parent.mkdir(parents=True, exist_ok=True)
  with tarfile.open(path, 'w') as archive:
    for name, data in files:
      shapes.add(archive, name, data)
  return path


def _read(path, **columns):
  given = given_lib.parse(str(path))
  assert given.kind == 'webdataset'
  return layout.read(given.read(layout.Columns(**columns)))


def _sample(number, label, name=''):
  name = name or f'{number:03d}'
  return (f'{name}.png', _png(number)), (f'{name}.cls', label.encode())


def test_shards_of_splits(tmp_path):
  for split, shards in (('train', 2), ('val', 1), ('test', 1)):
    for shard in range(shards):
      name = f'{split}-{shard:04d}.tar'
      # The same keys in each of them, as writers that count from 0 do.
      _write(tmp_path / name, *_sample(shard, 'a'), *_sample(shard + 2, 'b'))
  found = _read(tmp_path)
  assert found.names == ('a', 'b')
  splits = [record.split for record in found.dataset.records]
  assert splits.count('train') == 4 and splits.count('validation') == 2
  ids = [record.image_id for record in found.dataset.records]
  assert len(set(ids)) == 8 and 'train-0001.tar/001.png' in ids


def test_folders_inside_of_one_archive_are_splits(tmp_path):
  samples = [
    part
    for n, top in enumerate(('train', 'train', 'test'))
    for part in _sample(n, 'ab'[n % 2], f'{top}/{n}')
  ]
  found = _read(_write(tmp_path / 'all.tar', *samples))
  assert [r.split for r in found.dataset.records] == ['train', 'train', 'test']


def test_columns_are_those_of_json(tmp_path):
  files = [
    (f'{n}.{end}', data)
    for n in range(4)
    for end, data in (
      ('png', _png(n)),
      (
        'json',
        b'{"who": "p%d", "Mass": %d, "Edema": true, "box": [1, 2]}'
        % (n // 2, n % 2),
      ),
    )
  ]
  path = _write(tmp_path / 'x.tar', *files)
  with pytest.raises(errors.InputError, match=r'--label_columns .*Edema'):
    _read(path)
  found = _read(path, labels=('Mass', 'Edema'), patient='who')
  assert (found.kind, found.names) == ('findings', ('Mass', 'Edema'))
  assert [r.patient_id for r in found.dataset.records] == ['p0'] * 2 + [
    'p1'
  ] * 2
  assert found.dataset.records[0].classes() == ['Edema']


def test_numbers_have_no_names_and_that_is_said(tmp_path):
  samples = [part for n in range(4) for part in _sample(n, str(n % 2))]
  found = _read(_write(tmp_path / 'x.tar', *samples))
  assert (found.kind, found.names) == ('label', ('0', '1'))
  assert 'classes without names' in {p.kind for p in found.dataset.problems}


_ODD = {
  'json that is none': ('1.json', b'{"a"', 'is no JSON'),
  'json of a list': ('1.json', b'[1]', 'no object'),
  'json without end': ('1.json', b'[' * 100_000, 'is no JSON'),
  'a class in bytes': ('1.cls', b'\xff\xfe', 'is no text'),
  'a class of megabytes': ('1.cls', b'x' * (2**20 + 1), 'bytes'),
  'two pictures': ('1.jpg', b'', '2 pictures'),
}


@pytest.mark.parametrize('what', _ODD)
def test_an_odd_sample_is_a_bad_row(what, tmp_path):
  name, data, message = _ODD[what]
  sound = [part for n in (0, 2) for part in _sample(n, 'ab'[n // 2])]
  path = _write(tmp_path / 'x.tar', ('1.png', _png(1)), (name, data), *sound)
  found = _read(path)
  (problem,) = [p for p in found.dataset.problems if p.bad]
  assert message in problem.detail and len(found.dataset.records) == 2


def test_a_picture_that_is_none_is_a_bad_image(tmp_path):
  sound = [part for n in (0, 2) for part in _sample(n, 'ab'[n // 2])]
  more = (('1.png', b'no picture'), ('1.cls', b'a'))
  found = _read(_write(tmp_path / 'x.tar', *more, *sound))
  checked = preflight.check(found.dataset, num_processes=1)
  bad = [p for p in checked.problems if p.bad]
  assert [(p.kind, p.location) for p in bad] == [('not an image', '1.png')]


def test_names_that_lead_elsewhere_are_names(tmp_path):
  samples = _sample(0, 'a', '../../etc/x'), _sample(1, 'b', '/root/y')
  left_out = ('._2.png', b'x'), ('__MACOSX/2.png', b'x'), ('.DS_Store', b'x')
  path = _write(tmp_path / 'x.tar', *samples[0], *samples[1], *left_out)
  found = _read(path)
  assert not [p for p in found.dataset.problems if p.bad]
  checked = preflight.check(found.dataset, num_processes=1)
  assert len(checked.records) == 2


@pytest.mark.parametrize('data', [b'', b'PK', b'x' * 2000])
def test_what_is_no_archive_is_one_line(data, tmp_path):
  (tmp_path / 'x.tar').write_bytes(data)
  with pytest.raises(errors.InputError) as caught:
    _read(tmp_path / 'x.tar')
  assert '\n' not in str(caught.value) and 'x.tar' in str(caught.value)


def test_an_archive_without_pictures_is_one_line(tmp_path):
  path = _write(tmp_path / 'x.tar', ('1.cls', b'a'), ('README', b''))
  with pytest.raises(errors.InputError, match='no row with a picture'):
    _read(path)


def test_half_an_archive_is_one_line_or_a_bad_image(tmp_path):
  path = shapes.tar(tmp_path / 'a', _PICTURES)
  data = path.read_bytes()
  for length in range(1, len(data), 3001):
    path.write_bytes(data[:length])
    try:
      found = _read(path)
    except errors.InputError as error:
      assert '\n' not in str(error)
      continue
    preflight.check(found.dataset, num_processes=1)


def test_some_shards_without_a_split_are_one_line(tmp_path):
  for name in ('train-0.tar', 'more-0.tar'):
    _write(tmp_path / name, *_sample(0, 'a'))
  with pytest.raises(errors.InputError, match=r'more-0\.tar says no split'):
    _read(tmp_path)
