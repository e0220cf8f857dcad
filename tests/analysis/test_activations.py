"""Activations on disk: what is written, resumed, refused and compared."""

import hashlib
import json
import os
import shutil

import keras
import numpy as np
import pytest

from transfusion_tf import errors
from transfusion_tf.analysis import activations
from transfusion_tf.analysis import endpoints
from transfusion_tf.analysis import manifest as manifest_lib
from transfusion_tf.analysis import sampling as sampling_lib
from transfusion_tf.analysis import similarity
from transfusion_tf.models import filters

_LAYERS = ['low', 'block/high']


def _net(seed):
  keras.utils.set_random_seed(seed)
  x = inputs = keras.Input((8, 8, 3))
  x = keras.layers.Conv2D(6, 3, activation='relu', name='low')(x)
  x = keras.layers.Conv2D(9, 3, activation='relu', name='high')(x)
  return keras.Model(inputs, x)


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(0).standard_normal((30, 8, 8, 3), np.float32)


@pytest.fixture(scope='module')
def net():
  return _net(0)


def _forward(net):
  tapped = endpoints.Extractor(net, ['low', 'high'])

  def forward(batch):
    acts = tapped(batch)
    return {'low': acts['low'], 'block/high': acts['high']}

  return forward


def _manifest(images, dtype='float32', **changes):
  ids = tuple(f'image{i}' for i in range(len(images)))
  files = {
    layer: manifest_lib.File.from_layer(layer, (len(ids), *shape), dtype)
    for layer, shape in zip(_LAYERS, [(6, 6, 6), (4, 4, 9)], strict=True)
  }
  fields = {
    'model': 'net', 'checkpoint': 'run@final', 'dataset': 'noise',
    'split': 'test', 'example_ids': ids, 'layers': files,
  }  # fmt: skip
  return manifest_lib.Manifest(**fields | changes)


def _batches(images, size=7):
  return [images[i : i + size] for i in range(0, len(images), size)]


def _write(folder, images, net, **changes):
  manifest = _manifest(images, **changes)
  activations.write(str(folder), manifest, _batches(images), _forward(net))
  return str(folder)


@pytest.mark.parametrize('dtype', manifest_lib.DTYPES)
def test_folder_holds_what_its_manifest_says(tmp_path, images, net, dtype):
  folder = _write(tmp_path / 'acts', images, net, dtype=dtype)
  assert sorted(os.listdir(folder)) == [
    'block.high.npy', 'low.npy', 'manifest.json'
  ]  # fmt: skip
  assert os.listdir(tmp_path) == ['acts']
  with open(f'{folder}/manifest.json') as file:
    saved = json.load(file)
  for layer, acts in _forward(net)(images).items():
    entry = saved['layers'][layer]
    stored = np.load(f'{folder}/{entry["name"]}')
    assert str(stored.dtype) == entry['dtype'] == dtype
    assert list(stored.shape) == entry['shape']
    np.testing.assert_allclose(stored, acts.numpy().astype(dtype), 1e-3, 1e-5)
    with open(f'{folder}/{entry["name"]}', 'rb') as file:
      assert hashlib.sha256(file.read()).hexdigest() == entry['sha256']
    np.testing.assert_array_equal(activations.load(folder, layer), stored)
  assert saved['example_ids'][3] == 'image3'


@pytest.mark.parametrize('stop', [0, 1, 3])
def test_goes_on_where_it_was_stopped(tmp_path, images, net, stop):
  whole = _write(tmp_path / 'whole', images, net)

  def stopping():
    for number, batch in enumerate(_batches(images)):
      if number == stop:
        raise KeyboardInterrupt
      yield batch

  folder = str(tmp_path / 'stopped')
  with pytest.raises(KeyboardInterrupt):
    activations.write(folder, _manifest(images), stopping(), _forward(net))
  assert not os.path.exists(folder)
  # What a kill in the midst of a row leaves.
  with open(f'{folder}.partial/low.npy', 'ab') as file:
    file.write(b'torn')

  seen = []

  def counting(batch):
    seen.append(len(batch))
    return _forward(net)(batch)

  activations.write(folder, _manifest(images), _batches(images, 4), counting)
  assert sum(seen) == len(images) - 7 * stop
  for name in ('low.npy', 'block.high.npy'):
    np.testing.assert_allclose(
      np.load(f'{folder}/{name}'), np.load(f'{whole}/{name}'), 0, 1e-6
    )


def test_a_finished_folder_is_left_alone(tmp_path, images, net):
  folder = _write(tmp_path / 'acts', images, net)

  def forbidden(_):
    raise AssertionError

  activations.write(folder, _manifest(images), _batches(images), forbidden)


def test_stored_activations_compare_like_the_models(tmp_path, images, net):
  nets = {'a': net, 'b': _net(1)}
  folders = {
    name: _write(tmp_path / name, images, model) for name, model in nets.items()
  }
  sampling = sampling_lib.Sampling(300, 6, 3)
  direct = similarity.compare_all(nets, images, ['low'], sampling=sampling)
  stored = similarity.from_source(
    activations.make_source(folders, ['low']), None, sampling
  )
  for x, y in zip(
    direct['a', 'b']['low'].repeats,
    stored['a', 'b']['low'].repeats,
    strict=True,
  ):
    np.testing.assert_allclose(x.coefficients, y.coefficients, 0, 1e-5)


def _flip_a_byte(folder):
  with open(f'{folder}/low.npy', 'r+b') as file:
    file.seek(-100, os.SEEK_END)
    byte = file.read(1)[0]
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))


def _cut(folder):
  os.truncate(f'{folder}/low.npy', 5_000)


def _delete(folder):
  os.remove(f'{folder}/low.npy')


def _garble(folder):
  with open(f'{folder}/manifest.json', 'w') as file:
    file.write('{"model": ')


def _forget_an_example(folder):
  with open(f'{folder}/manifest.json') as file:
    manifest = json.load(file)
  del manifest['example_ids'][-1]
  with open(f'{folder}/manifest.json', 'w') as file:
    json.dump(manifest, file)


@pytest.mark.parametrize(
  'damage', [_flip_a_byte, _cut, _delete, _garble, _forget_an_example]
)
def test_refuses_damage(tmp_path, images, net, damage):
  folder = _write(tmp_path / 'acts', images, net)
  damage(folder)
  with pytest.raises(errors.InputError, match='damaged'):
    activations.load(folder, 'low')


def test_refuses_other_images(tmp_path, images, net):
  a = _write(tmp_path / 'a', images, net)
  b = _write(tmp_path / 'b', images, net, dataset='other')
  c = _write(tmp_path / 'c', images[:20], net)
  for folder, field in ((b, 'dataset'), (c, 'example_ids')):
    with pytest.raises(errors.InputError, match=f'differ in {field}'):
      activations.make_source({'a': a, 'b': folder}, ['low'])


def test_refuses_what_is_not_there(tmp_path, images, net):
  folder = _write(tmp_path / 'acts', images, net)
  with pytest.raises(errors.InputError, match="'lwo'; did you mean 'low'"):
    activations.load(folder, 'lwo')
  with pytest.raises(errors.InputError, match='no such file'):
    activations.load(str(tmp_path / 'nowhere'), 'low')


def test_refuses_a_folder_of_something_else(tmp_path, images, net):
  folder = _write(tmp_path / 'acts', images, net)
  with pytest.raises(errors.InputError, match='another checkpoint'):
    _write(folder, images, net, checkpoint='run@init')
  (tmp_path / 'full').mkdir()
  (tmp_path / 'full' / 'thesis.txt').touch()
  with pytest.raises(errors.InputError, match='not empty'):
    _write(tmp_path / 'full', images, net)


def test_refuses_values_too_large_for_float16(tmp_path, images, net):
  with pytest.raises(errors.InputError, match='do not fit float16'):
    _write(tmp_path / 'acts', 1e6 * images, net, dtype='float16')


def test_refuses_an_unknown_type(images):
  with pytest.raises(errors.InputError, match='float32'):
    _manifest(images, dtype='float23')


def test_refuses_a_disk_too_small(tmp_path, images, net, monkeypatch):
  usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
  monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage)
  with pytest.raises(errors.InputError, match='MB free'):
    _write(tmp_path / 'acts', images, net)


def test_refuses_a_folder_that_is_being_written(tmp_path, images, net):
  folder = tmp_path / 'acts'

  def forward(batch):
    with pytest.raises(errors.InputError, match='another process'):
      _write(folder, images, net)
    return _forward(net)(batch)

  activations.write(str(folder), _manifest(images), _batches(images), forward)


def test_refuses_too_few_images(tmp_path, images, net):
  with pytest.raises(errors.InputError, match='ends after 28 images, 30'):
    activations.write(
      str(tmp_path / 'acts'),
      _manifest(images),
      _batches(images)[:4],
      _forward(net),
    )


def test_filters_are_scaled_by_themselves_around_gray():
  kernel = np.random.default_rng(0).standard_normal((5, 7, 3, 6))
  kernel[..., 1] *= 1e-3
  kernel[..., 2] = 0
  image = filters.grid(kernel, columns=4, zoom=2)
  assert image.shape == (2 * (10 + 1) + 1, 4 * (14 + 1) + 1, 3)
  assert image.dtype == np.uint8
  tiles = [
    image[1 + y * 11 : 11 + y * 11, 1 + x * 15 : 15 + x * 15]
    for y, x in [(0, 0), (0, 1), (0, 2), (1, 1)]
  ]
  for tile, filter_ in zip(tiles, (0, 1, 2, 5), strict=True):
    weights = kernel[..., filter_]
    shown = tile[::2, ::2]
    if filter_ == 2:
      assert np.all(shown == 128)
      continue
    largest = np.abs(weights).max()
    np.testing.assert_allclose(shown, 127.5 * (1 + weights / largest), 0, 0.51)
  assert np.all(image[::11] == 255) and np.all(image[12:, 31:] == 255)


def test_filters_are_the_first_convolutions(net):
  kernel = filters.conv1(net)
  np.testing.assert_array_equal(kernel, net.get_layer('low').get_weights()[0])
  assert filters.grid(kernel).shape == (2 * 4 + 1, 3 * 4 + 1, 3)
  with pytest.raises(errors.InputError, match='no image'):
    filters.grid(net.get_layer('high').get_weights()[0])
  dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
  with pytest.raises(errors.InputError, match='no convolution'):
    filters.conv1(dense)


@pytest.mark.parametrize(
  'dtype, tolerance',
  [('float16', 1e-2), ('float64', 1e-8), ('>f4', 1e-6), ('int32', 2e-2)],
)
def test_activations_of_two_types_compare(
  tmp_path, images, net, dtype, tolerance
):
  """As folders have them that others made: the types need not agree."""
  plain = {n: _write(tmp_path / n, images, _net(i)) for i, n in enumerate('ab')}
  a, b = plain.values()
  other = shutil.copytree(b, tmp_path / 'other')
  acts = np.load(other / 'low.npy')
  scale = 1_000 if dtype == 'int32' else 1  # CCA knows no scale.
  np.save(other / 'low.npy', (scale * acts).astype(dtype))
  record = json.loads((other / 'manifest.json').read_text())
  record['layers']['low'] |= {
    'dtype': dtype,
    'sha256': hashlib.sha256((other / 'low.npy').read_bytes()).hexdigest(),
  }
  (other / 'manifest.json').write_text(json.dumps(record))
  sampling = sampling_lib.Sampling(300, 6, 3)

  def coefficients(one, two):
    folders = {'one': str(one), 'two': str(two)}
    source = activations.make_source(folders, ['low'])
    (found,) = similarity.from_source(source, None, sampling).values()
    return [m.coefficients for m in found['low'].repeats]

  want = coefficients(a, b)
  np.testing.assert_allclose(coefficients(a, other), want, 0, tolerance)
  np.testing.assert_allclose(coefficients(other, a), want, 0, tolerance)
  np.testing.assert_allclose(coefficients(other, b), 1, 0, tolerance)
