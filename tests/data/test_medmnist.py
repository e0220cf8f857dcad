"""Files of MedMNIST: what their labels mean, and what is no such file."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import shapes

from data import arrays
from data import images
from data import preflight
from data.image_table import layout
from data.image_table import medmnist
from data.image_table import medmnist_sets
from transfusion_tf import errors

_PICTURES = shapes.rows(6, 4, 4)


def _save(folder, name='pneumoniamnist', **changes):
  path = folder / f'{name}.npz'
  held = shapes.arrays(_PICTURES) | changes
  np.savez(path, **{n: v for n, v in held.items() if v is not None})
  return str(path)


def _read(path, **columns):
  return layout.read(medmnist.read(path, layout.Columns(**columns)))


@pytest.mark.parametrize('size', ['', '_64', '_224', ' (1)'])
@pytest.mark.parametrize('name', medmnist_sets.KNOWN)
def test_the_twelve_sets_have_their_names(name, size, tmp_path):
  known = medmnist_sets.KNOWN[name]
  rng = np.random.default_rng(0)
  held = {}
  for short, count in (('train', 30), ('val', 20), ('test', 20)):
    held[f'{short}_images'] = rng.integers(0, 256, (count, 28, 28), np.uint8)
    labels = rng.integers(0, len(known.names), (count, 1))
    if known.kind == 'findings':
      labels = rng.integers(0, 2, (count, len(known.names)))
    held[f'{short}_labels'] = labels.astype(np.uint8)
  np.savez(tmp_path / f'{name}{size}.npz', **held)
  found = _read(str(tmp_path / f'{name}{size}.npz'))
  assert (found.kind, found.names) == (known.kind, known.names)
  assert not found.dataset.problems
  assert len(found.dataset.records) == 70
  for record in found.dataset.records:
    split, number = record.image_id.removesuffix('.png').split('_')
    short = {'validation': 'val'}.get(split, split)
    label = held[f'{short}_labels'][int(number)]
    assert record.split == split
    if known.kind == 'findings':
      positive = [known.names[k] for k in np.flatnonzero(label)]
      assert record.classes() == positive
    else:
      assert record.labels[known.kind] == known.names[label[0]]


def test_retinamnist_has_grades_and_breastmnist_a_name_with_a_comma():
  assert medmnist_sets.KNOWN['retinamnist'].kind == 'grade'
  assert 'normal, benign' in medmnist_sets.KNOWN['breastmnist'].names


def test_of_an_unknown_name_the_classes_are_numbers_and_that_is_said(tmp_path):
  found = _read(_save(tmp_path, 'mymnist'))
  assert (found.kind, found.names) == ('label', ('0', '1'))
  (problem,) = found.dataset.problems
  assert problem.kind == 'classes without names' and not problem.bad
  found = _read(_save(tmp_path, 'mymnist'), kind='grade')
  assert found.kind == 'grade'


def test_what_flags_say_comes_first(tmp_path):
  found = _read(_save(tmp_path), classes=('pneumonia', 'normal'))
  assert found.names == ('pneumonia', 'normal')
  with pytest.raises(errors.InputError, match="has no column 'who'"):
    _read(_save(tmp_path), patient='who')


def test_a_split_that_is_not_there_is_drawn_and_said(tmp_path):
  pictures = {
    'train_images': np.random.default_rng(0).integers(
      0, 256, (60, 28, 28), np.uint8
    ),
    'train_labels': np.arange(60, dtype=np.uint8)[:, None] % 2,
  }
  none = dict.fromkeys(
    f'{short}_{what}'
    for short in ('val', 'test')
    for what in ('images', 'labels')
  )
  path = _save(tmp_path, **none, **pictures)
  checked = preflight.check(_read(path).dataset, seed=3, num_processes=1)
  notes = {
    p.location: p.detail for p in checked.problems if p.kind == 'split drawn'
  }
  assert set(notes) == {'validation', 'test'}
  assert '20% of the patients' in notes['test'] and 'seed 3' in notes['test']
  sizes = {split: len(rows) for split, rows in checked.splits().items()}
  assert sum(sizes.values()) == 60 and min(sizes.values()) >= 2


@pytest.mark.parametrize('shape', [(28, 28), (28, 28, 1), (28, 28, 3), (9, 40)])
@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
@pytest.mark.parametrize('order', 'CF')
def test_rows_are_the_arrays_own(shape, save, order, tmp_path):
  values = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
  labels = np.zeros((5, 1), np.uint8)
  path = tmp_path / 'a.npz'
  save(path, train_images=np.asarray(values, order=order), train_labels=labels)
  found = _read(str(path)).dataset.records
  for row, record in enumerate(found):
    picture = images.load(images.read(record.path))
    assert (np.asarray(picture) == values[row].squeeze()).all()


def test_gray_of_16_bits_is_stretched_as_that_of_files(tmp_path):
  values = np.arange(4 * 81).reshape(4, 9, 9).astype(np.uint16) * 3
  path = tmp_path / 'a.npz'
  labels = np.zeros(4, np.int64)
  np.savez(path, train_images=values, train_labels=labels)
  first, *_ = _read(str(path)).dataset.records
  picture = np.asarray(images.load(images.read(first.path)))
  assert (picture.min(), picture.max()) == (0, 255)


_IMAGES = shapes.arrays(_PICTURES)['train_images']
_LABELS = shapes.arrays(_PICTURES)['train_labels']


# What is wrong -> arrays in place of sound ones, and a part of the message.
_UNSOUND = {
  'no labels': ({'train_labels': None}, 'no array train_labels'),
  'no pictures': ({'val_images': None}, 'no array val_images'),
  'no training': (
    {'train_images': None, 'train_labels': None},
    'no arrays train_images and train_labels',
  ),
  'objects': (
    {'train_images': np.array([{}] * 6, object)},
    'Python objects',
  ),
  'labels that are objects': (
    {'train_labels': np.array([0] * 6, object)},
    'Python objects',
  ),
  'fractions': ({'train_images': _IMAGES / 255}, 'float64'),
  'wide color': (
    {'train_images': np.stack([_IMAGES.astype(np.uint16)] * 3, -1)},
    'uint16',
  ),
  'volumes': ({'train_images': np.zeros((6, 28, 28, 28), np.uint8)}, 'volumes'),
  'one picture': ({'train_images': _IMAGES[0]}, r'\[28, 28\]'),
  'nothing': (
    {'train_images': _IMAGES[:0], 'train_labels': _LABELS[:0]},
    'no pi',
  ),
  'too few labels': ({'train_labels': _LABELS[:5]}, 'a row for each of 6'),
  'labels of no column': ({'train_labels': _LABELS[:, :0]}, 'a row for each'),
  'labels that are texts': (
    {'train_labels': _LABELS.astype(str)},
    'whole numb',
  ),
  'fractional labels': ({'train_labels': _LABELS / 2}, 'whole numbers'),
  'a label too high': ({'train_labels': _LABELS + 1}, 'a label is 2'),
  'a negative label': (
    {'train_labels': _LABELS.astype(int) - 1},
    'label is -1',
  ),
  'several labels': (
    {'train_labels': np.hstack([_LABELS] * 2)},
    '1 and 2 labels a picture',
  ),
}


@pytest.mark.parametrize('what', _UNSOUND)
def test_an_unsound_file_is_one_line(what, tmp_path):
  changes, message = _UNSOUND[what]
  with pytest.raises(errors.InputError, match=message) as caught:
    _read(_save(tmp_path, **changes))
  assert '\n' not in str(caught.value)
  assert 'pneumoniamnist.npz' in str(caught.value)


def _header(shape, descr='|u1'):
  buffer = io.BytesIO()
  fields = {'descr': descr, 'fortran_order': False, 'shape': shape}
  np.lib.format.write_array_header_1_0(buffer, fields)
  return buffer.getvalue()


def _forged(folder, member, method=zipfile.ZIP_STORED):
  """A sound file but for the bytes of train_images."""
  path = folder / 'pneumoniamnist.npz'
  with zipfile.ZipFile(path, 'w', method) as archive:
    for name, values in shapes.arrays(_PICTURES).items():
      buffer = io.BytesIO()
      np.save(buffer, values)
      data = member if name == 'train_images' else buffer.getvalue()
      archive.writestr(f'{name}.npy', data)
  return str(path)


class _Harm:
  def __reduce__(self):
    return (exec, ('raise SystemExit("loaded")',))


_FORGED = {
  'a pickle': pickle.dumps(_Harm()),
  'a pickled array': _header((6,), '|O') + pickle.dumps(_Harm()),
  'no array': b'hello',
  'too short': _header((6, 28, 28)) + bytes(100),
  'too long': _header((6, 28, 28)) + bytes(6 * 28 * 28 + 1),
  'beyond all numbers': _header((2**62, 2**62, 4)),
  'of negative shape': _header((-6, 28, -28)) + bytes(6 * 28 * 28),
}


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize('what', _FORGED)
def test_a_forged_array_is_one_line(what, method, tmp_path):
  path = _forged(tmp_path, _FORGED[what], method)
  with pytest.raises(errors.InputError, match=r'pneumoniamnist|train_images'):
    _read(path)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
  monkeypatch.setattr(arrays, '_MOST_UNPACKED', 2**20)
  header = _header((2**16, 28, 28))
  path = _forged(
    tmp_path, header + bytes(2**16 * 28 * 28), zipfile.ZIP_DEFLATED
  )
  with pytest.raises(errors.InputError, match='would unpack from'):
    _read(path)


@pytest.mark.parametrize('name', ['train_images', 'test_labels'])
def test_one_changed_byte_is_noticed(name, tmp_path):
  path = tmp_path / 'pneumoniamnist.npz'
  _save(tmp_path)
  data = bytearray(path.read_bytes())
  values = shapes.arrays(_PICTURES)[name].tobytes()
  data[data.index(values) + len(values) // 2] ^= 1
  path.write_bytes(data)
  with pytest.raises(errors.InputError, match='is not whole'):
    _read(str(path))


def test_half_a_file_and_none_are_one_line(tmp_path):
  path = tmp_path / 'pneumoniamnist.npz'
  _save(tmp_path)
  data = path.read_bytes()
  for part in (b'', data[: len(data) // 2], b'PK', data[7:]):
    path.write_bytes(part)
    with pytest.raises(errors.InputError, match=r'pneumoniamnist\.npz'):
      _read(str(path))
  path.unlink()
  with pytest.raises(errors.InputError, match=r'no .*pneumoniamnist'):
    _read(str(path))


def test_bytes_that_change_at_random_are_read_or_refused(tmp_path):
  _save(tmp_path)
  path = tmp_path / 'pneumoniamnist.npz'
  sound = path.read_bytes()
  rng = np.random.default_rng(0)
  for _ in range(150):
    data = bytearray(sound)
    for place in rng.integers(0, len(data), 3):
      data[place] = rng.integers(256)
    for place in rng.integers(0, 200, 2):  # A header.
      data[place] = rng.integers(256)
    path.write_bytes(data)
    try:
      found = _read(str(path))
    except errors.InputError as error:
      assert '\n' not in str(error)
      continue
    preflight.check(found.dataset, num_processes=1)


def test_a_table_cannot_name_rows_of_arrays(tmp_path):
  _save(tmp_path)
  csv = tmp_path / 'labels.csv'
  csv.write_text('path,label\npneumoniamnist.npz::train_images[0],a\n')
  found = layout.find(csv, tmp_path, layout.Columns())
  (problem,) = found.dataset.problems
  assert problem.bad and 'not parts of archives' in problem.detail
