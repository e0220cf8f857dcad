"""Files of weights that name other files, or claim to be huge, are refused."""

import zipfile

import h5py
import init_cases
import keras
import numpy as np
import pytest

from transfusion_tf import errors
from transfusion_tf.init import weights

_OTHERS = 'this is not a weight'
_HUGE = (2**20, 2**20)  # 4 TiB of float32, of which none is stored.
_CLAIMED = 'claims to hold 4,398,0'


@pytest.fixture
def saved(tmp_path):
  model, _ = init_cases.cached('cbr_tiny')
  path = tmp_path / 'saved.weights.h5'
  model.save_weights(path)
  return path


def _first(file):
  """Return the name of the largest dataset."""
  names = []
  file.visititems(
    lambda name, item: (
      names.append((item.size, name))
      if isinstance(item, h5py.Dataset)
      else None
    )
  )
  return max(names)[1]


def _replaced(edit):
  def spoil(path, folder):
    with h5py.File(path, 'r+') as file:
      name = _first(file)
      shape = file[name].shape
      file.move(name, 'before')
      edit(file, name, shape, folder)

  return spoil


def _external_link(file, name, shape, folder):
  with h5py.File(folder / 'other.h5', 'w') as other:
    other['secret'] = np.ones(shape, np.float32)
  file[name] = h5py.ExternalLink(folder / 'other.h5', 'secret')


def _soft_link(file, name, shape, folder):
  file[name] = h5py.SoftLink('/before')


def _external_storage(file, name, shape, folder):
  size = 4 * int(np.prod(shape))
  (folder / 'other').write_bytes((_OTHERS.encode() * size)[:size])
  file.create_dataset(
    name, shape, np.float32, external=[(str(folder / 'other'), 0, size)]
  )


def _virtual(file, name, shape, folder):
  with h5py.File(folder / 'other.h5', 'w') as other:
    other['secret'] = np.ones(shape, np.float32)
  layout = h5py.VirtualLayout(shape, np.float32)
  layout[...] = h5py.VirtualSource(folder / 'other.h5', 'secret', shape)
  file.create_virtual_dataset(name, layout)


def _huge(file, name, shape, folder):
  file.create_dataset(name, _HUGE, np.float32, chunks=(2**10, 2**10))


def _huge_chunk(file, name, shape, folder):
  rows = 2**29 // int(np.prod(shape[1:]))  # Of 2 GiB, all in one chunk.
  file.create_dataset(
    name,
    shape,
    np.float32,
    chunks=(rows, *shape[1:]),
    maxshape=(None, *shape[1:]),
    compression='gzip',
  )


_LINKS = {
  'external link': _external_link,
  'soft link': _soft_link,
  'external storage': _external_storage,
  'virtual': _virtual,
}


@pytest.mark.parametrize('kind', _LINKS)
def test_weights_of_other_files_are_refused(kind, saved, tmp_path):
  model, _ = init_cases.cached('cbr_tiny')
  weights.load(saved, model)
  _replaced(_LINKS[kind])(saved, tmp_path)
  with pytest.raises(errors.InputError, match='holds them all itself'):
    weights.load(saved, model)


@pytest.mark.parametrize('kind', _LINKS)
def test_those_of_a_keras_file_are_refused(kind, tmp_path):
  model, _ = init_cases.cached('cbr_tiny')
  path = tmp_path / 'saved.keras'
  model.save(path)
  _replace_in_zip(path, tmp_path, _replaced(_LINKS[kind]))
  for like in (model, None):
    with pytest.raises(errors.InputError, match='holds them all itself'):
      weights.load(path, like)


def test_a_whole_model_of_old_keras_is_checked_too(tmp_path):
  model, _ = init_cases.cached('cbr_tiny')
  path = tmp_path / 'saved.h5'
  model.save(path)
  _replaced(_external_storage)(path, tmp_path)
  for like in (model, None):
    with pytest.raises(errors.InputError, match='holds them all itself'):
      weights.load(path, like)


@pytest.mark.parametrize('suffix', ['.weights.h5', '.h5', '.keras'])
def test_huge_shapes_are_refused_before_they_are_read(suffix, tmp_path):
  model, _ = init_cases.cached('cbr_tiny')
  path = tmp_path / f'saved{suffix}'
  if suffix == '.weights.h5':
    model.save_weights(path)
  else:
    model.save(path)
  if suffix == '.keras':
    _replace_in_zip(path, tmp_path, _replaced(_huge))
  else:
    _replaced(_huge)(path, tmp_path)
  with pytest.raises(errors.InputError, match=_CLAIMED):
    weights.load(path, model)


@pytest.mark.parametrize(
  ('small', 'large', 'message'),
  [
    (b'"units": 2', b'"units": 99000000', 'claims to hold'),
    (b'"size": [3, 3]', b'"size": [99000, 99000]', 'puts out'),
  ],
)
def test_a_description_of_a_huge_layer_is_refused(
  small, large, message, tmp_path
):
  model = keras.Sequential(
    [
      keras.Input((8, 8, 3)),
      keras.layers.UpSampling2D(3),
      keras.layers.GlobalMaxPooling2D(),
      keras.layers.Dense(2),
    ]
  )
  path = tmp_path / 'saved.keras'
  model.save(path)
  weights.load(path, model)
  with zipfile.ZipFile(path) as archive:
    files = {name: archive.read(name) for name in archive.namelist()}
  huge = files['config.json'].replace(small, large)
  assert huge != files['config.json']
  with zipfile.ZipFile(path, 'w') as archive:
    for name, content in (files | {'config.json': huge}).items():
      archive.writestr(name, content)
  for like in (model, None):
    with pytest.raises(errors.InputError, match=message):
      weights.load(path, like)


def test_a_small_weight_in_a_huge_chunk_is_refused(saved, tmp_path):
  model, _ = init_cases.cached('cbr_tiny')
  _replaced(_huge_chunk)(saved, tmp_path)
  with pytest.raises(errors.InputError, match='claims to hold 2,'):
    weights.load(saved, model)


def test_huge_arrays_of_a_npz_are_refused_before_they_are_read(tmp_path):
  path = tmp_path / 'saved.npz'
  with zipfile.ZipFile(path, 'w') as archive:
    with archive.open('kernel.npy', 'w') as file:
      header = {'descr': '<f4', 'fortran_order': False, 'shape': _HUGE}
      np.lib.format.write_array_header_1_0(file, header)
  for like in (init_cases.cached('cbr_tiny')[0], None):
    with pytest.raises(errors.InputError, match=_CLAIMED):
      weights.load(path, like)


def test_a_zip_that_unpacks_to_much_is_refused(tmp_path):
  path = tmp_path / 'saved.keras'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('config.json', b'{}')
  content = bytearray(path.read_bytes())
  size = content.rindex(b'PK\1\2') + 24  # In the archive's directory.
  content[size : size + 4] = (20 * 2**26).to_bytes(4, 'little')
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match='claims to hold 1,342,177,280'):
    weights.load(path)


def test_a_group_that_holds_itself_is_no_endless_walk(saved):
  with h5py.File(saved, 'r+') as file:
    file['again'] = file['/']
  model, _ = init_cases.cached('cbr_tiny')
  assert set(weights.load(saved, model)) >= {w.path for w in model.weights}


def _replace_in_zip(path, folder, spoil):
  inner = folder / 'model.weights.h5'
  with zipfile.ZipFile(path) as archive:
    files = {name: archive.read(name) for name in archive.namelist()}
  inner.write_bytes(files[inner.name])
  spoil(inner, folder)
  files[inner.name] = inner.read_bytes()
  with zipfile.ZipFile(path, 'w') as archive:
    for name, content in files.items():
      archive.writestr(name, content)


def test_files_with_an_optimizer_are_within_the_bound(tmp_path):
  model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
  model.compile('adam', 'mse')
  model.fit(np.zeros((2, 4)), np.zeros((2, 3)), verbose=0)
  for suffix in ('.keras', '.h5'):
    model.save(tmp_path / f'saved{suffix}')
    weights.load(tmp_path / f'saved{suffix}', model)
