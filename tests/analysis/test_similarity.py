"""Networks compared: the stream against svcca, and the laws of similarity."""

import functools
import json

import keras
import numpy as np
import processes
import pytest
import tensorflow as tf

from svcca import cca_core
from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.analysis import accumulate
from transfusion_tf.analysis import cca
from transfusion_tf.analysis import cka
from transfusion_tf.analysis import endpoints
from transfusion_tf.analysis import sampling as sampling_lib
from transfusion_tf.analysis import similarity

_EPSILON = cca.Options().epsilon
_UNBIASED = cca.Options(unbiased_cka=True)
_LAYERS = ['low', 'high']  # Of `_net`: 12x12x24 and 6x6x40.


def _net(seed, offset=0.0):
  keras.utils.set_random_seed(seed)
  x = inputs = keras.Input((12, 12, 3))
  x = keras.layers.Conv2D(24, 3, padding='same')(x)
  x = keras.layers.ReLU(name='low')(x)
  x = keras.layers.Conv2D(40, 3, 2, padding='same', name='conv')(x)
  x = keras.layers.ReLU()(x)
  x = keras.layers.Rescaling(1.0, offset, name='high')(x)
  x = keras.layers.GlobalAveragePooling2D(name='pool')(x)
  return keras.Model(inputs, keras.layers.Dense(5, name='head')(x))


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(0).standard_normal((60, 12, 12, 3), np.float32)


@pytest.fixture(scope='module')
def nets():
  return {f'net{seed}': _net(seed) for seed in range(3)}


@pytest.fixture(scope='module')
def alone(nets, images):
  """Similarities of two of `nets` by themselves; each pair is traced once."""

  @functools.cache
  def compare(a, b):
    return similarity.compare(
      nets[a], nets[b], images, _LAYERS, 1_500, 16, 2, options=_UNBIASED
    )

  return compare


def _sample(model, images, layer, index, plan, repeat, whole=False):
  """[d, p] of one repeat, gathered from activations held whole."""
  tapped = keras.Model(model.inputs, model.get_layer(layer).output)
  acts = np.asarray(tapped(images))
  patches = [
    acts[i].reshape(-1, acts.shape[-1])[plan.patches(index, i, 1)]
    for i in range(plan.num_images)
    if whole or plan.fold(i) != plan.left_out(repeat)
  ]
  channels = plan.sampling.channels(repeat, acts.shape[-1])
  return np.concatenate(patches)[:, channels].T.astype(np.float64)


# 16 of 24 and 40 channels are accumulated repeat by repeat, 24 of 24 and 40 in
# one covariance of all.
@pytest.mark.parametrize('num_channels, samples', [(12, 3), (24, 1)])
@pytest.mark.parametrize('offset', [0.0, 1e4])
def test_agrees_with_svcca_on_the_same_sample(
  images, num_channels, samples, offset
):
  sampling = sampling_lib.Sampling(1_500, num_channels, 3, seed=1)
  networks = {'a': _net(1, offset), 'b': _net(2, offset)}
  columns = accumulate.ChannelSamples.draw(sampling, 0, [0, 1], [40, 40])
  assert len(columns.samples) == samples
  result = similarity.compare_all(
    networks, images, _LAYERS, sampling=sampling, options=_UNBIASED
  )
  plan = sampling.plan((144, 36), len(images))
  for index, layer in enumerate(_LAYERS):
    for repeat, got in enumerate(result['a', 'b'][layer].repeats):
      a, b = (
        _sample(model, images, layer, index, plan, repeat)
        for model in networks.values()
      )
      assert a.shape == (num_channels, result['a', 'b'][layer].num_patches)
      want = cca_core.get_cca_similarity(
        a, b, epsilon=_EPSILON, compute_dirns=True
      )
      np.testing.assert_allclose(got.coefficients, want['cca_coef1'], 0, 1e-8)
      assert abs(got.mean - want['mean'][0]) < 1e-8
      assert abs(got.plain_mean - want['plain_mean'][0]) < 1e-8
      assert abs(got.pwcca - _pwcca(a, want)) < 1e-8
      assert abs(got.cka - _cka(a, b)) < 1e-8
      assert abs(got.cka_unbiased - cka.cka(a.T, b.T)) < 1e-8
      widths = [networks['a'].get_layer(layer).output.shape[-1]] * 2
      estimate = cka.cka_of_layers(a.T, b.T, widths, same_channels=True)
      assert abs(got.cka_layer - estimate) < 1e-8
      a, b = (
        _sample(model, images, layer, index, plan, repeat, whole=True)
        for model in networks.values()
      )
      whole = result['a', 'b'][layer].whole[repeat]
      assert abs(whole.cka - _cka(a, b)) < 1e-8
      assert abs(whole.cka_unbiased - cka.cka(a.T, b.T)) < 1e-8
    assert result['a', 'b'][layer].folds == 3


def test_unbiased_cka_is_computed_if_asked_for(images, nets):
  result = similarity.compare(
    nets['net0'], nets['net1'], images, ['low'], 1_500, 16, 2
  )['low']
  record = result.to_json()
  assert 'cka' in record and 'cka_unbiased' not in record
  assert set(record['repeats'][0]) >= {'mean', 'cka', 'coefficients'}
  assert 'cka_layer' not in record['repeats'][0]


def _pwcca(acts, result):
  """As arXiv 1806.05759 defines it, over the datapoints themselves."""
  centered = acts - acts.mean(axis=1, keepdims=True)
  directions = result['cca_dirns1'] - result['cca_dirns1'].mean(1)[:, None]
  directions /= np.linalg.norm(directions, axis=1)[:, None]
  weights = np.abs(directions @ centered.T).sum(axis=1)
  return np.average(result['cca_coef1'], weights=weights)


def _cka(a, b):
  """As arXiv 1905.00414 defines it, by the kernels of all pairs of points."""
  a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
  kernel_a, kernel_b = a.T @ a, b.T @ b
  return np.sum(kernel_a * kernel_b) / (
    np.linalg.norm(kernel_a) * np.linalg.norm(kernel_b)
  )


def test_a_model_is_like_itself(alone):
  result = alone('net0', 'net0')
  for layer in _LAYERS:
    for got in result[layer].repeats:
      np.testing.assert_allclose(got.coefficients, 1, 0, 1e-6)
      alike = [got.pwcca, got.cka, got.cka_unbiased, got.cka_layer]
      np.testing.assert_allclose(alike, 1, 0, 1e-6)


def _noise_net(kernel, bias=0.0):
  """A linear map of the image's channels, at every position."""
  kernel = np.asarray(kernel, np.float32)
  conv = keras.layers.Conv2D(kernel.shape[1], 1, name='map')
  model = keras.Sequential([keras.Input((10, 10, kernel.shape[0])), conv])
  conv.set_weights([kernel[None, None], np.full(kernel.shape[1], bias)])
  return model


@pytest.fixture(scope='module')
def noise():
  """Images of 24 channels that have nothing in common."""
  return np.random.default_rng(1).standard_normal((60, 10, 10, 24), np.float32)


_FIRST, _LAST = np.eye(24)[:, :12], np.eye(24)[:, 12:]


def _noise_similarity(noise, kernel_a, kernel_b, bias=0.0, **kwargs):
  return similarity.compare(
    _noise_net(kernel_a),
    _noise_net(kernel_b, bias),
    noise,
    ['map'],
    num_patches=4_000,
    num_channels=12,
    **kwargs,
  )['map']


def test_an_invertible_map_changes_no_canonical_correlation(noise):
  invertible = np.random.default_rng(2).standard_normal((12, 12))
  result = _noise_similarity(noise, _FIRST, _FIRST @ invertible)
  for got in result.repeats:
    np.testing.assert_allclose(got.coefficients, 1, 0, 1e-6)
    assert got.cka < 0.95


def test_a_rotation_changes_no_alignment(noise):
  scaled = _FIRST * np.linspace(1, 3, 12)
  rotation = np.linalg.qr(np.random.default_rng(2).standard_normal((12, 12)))[0]
  result = _noise_similarity(noise, scaled, scaled @ rotation)
  np.testing.assert_allclose([m.cka for m in result.repeats], 1, 0, 1e-5)


def test_scale_and_shift_change_nothing(noise):
  mixed = _FIRST + 0.7 * _LAST
  plain = _noise_similarity(noise, _FIRST, mixed)
  moved = _noise_similarity(noise, _FIRST, 64 * mixed, bias=-256.0)
  for a, b in zip(plain.repeats, moved.repeats, strict=True):
    np.testing.assert_allclose(
      list(a.scalars().values()), list(b.scalars().values()), 0, 1e-4
    )


def test_symmetric(alone):
  forth, back = alone('net0', 'net1'), alone('net1', 'net0')
  for layer in _LAYERS:
    for x, y in zip(forth[layer].repeats, back[layer].repeats, strict=True):
      np.testing.assert_allclose(x.coefficients, y.coefficients, 0, 1e-9)
      assert abs(x.cka - y.cka) < 1e-9


def test_independence_leaves_the_noise_floor():
  noise = np.random.default_rng(4).standard_normal((60, 10, 10, 96), np.float32)
  first, last = np.eye(96)[:, :48], np.eye(96)[:, 48:]
  result = similarity.compare(
    _noise_net(first),
    _noise_net(last),
    noise,
    ['map'],
    4_000,
    48,
    options=_UNBIASED,
  )['map']
  got, floor = map(cca.average, (result.repeats, result.noise_floor))
  for name in ('mean', 'plain_mean', 'pwcca', 'cka'):
    assert got[name] == pytest.approx(floor[name], rel=0.1)
    assert got[name] > 0.01
  for name in ('cka_unbiased', 'cka_layer'):
    assert abs(got[name]) < 1e-3 and abs(floor[name]) < 1e-3


def test_the_floor_is_that_of_gaussian_noise(images, nets):
  result = similarity.compare(
    nets['net0'], nets['net0'], images, ['low'], 2_000, 24, 5
  )['low']
  gauss = np.random.default_rng(3).standard_normal((2, 24, 2_000))
  expected = cca_core.get_cca_similarity(*gauss, epsilon=_EPSILON)
  floor = cca.average(result.noise_floor)
  assert floor['mean'] == pytest.approx(expected['mean'][0], rel=0.1)
  assert floor['plain_mean'] == pytest.approx(
    expected['plain_mean'][0], rel=0.1
  )
  assert result.mean > 0.99


# 8 of 12 and of 20 channels: repeat by repeat, or cut out of all.
@pytest.mark.parametrize('repeats, samples', [(3, 3), (5, 1)])
@pytest.mark.parametrize('bias', [0.0, 300.0])
def test_layers_of_unequal_width(noise, repeats, samples, bias):
  rng = np.random.default_rng(5)
  wide = rng.standard_normal((24, 20))
  networks = {
    'a': _noise_net(_FIRST + 0.5 * _LAST),
    'b': _noise_net(wide, bias),
    'c': _noise_net(wide[:, ::-1]),
  }
  sampling = sampling_lib.Sampling(900, 8, repeats)
  columns = accumulate.ChannelSamples.draw(sampling, 0, [0, 1, 2], [12, 20, 20])
  assert len(columns.samples) == (1 if samples == 1 else repeats)
  result = similarity.compare_all(
    networks, noise, ['map'], sampling=sampling, options=_UNBIASED
  )
  plan = sampling.plan((100,), len(noise))
  for (a, b), layers in result.items():
    widths = [networks[name].output_shape[-1] for name in (a, b)]
    for repeat, got in enumerate(layers['map'].repeats):
      x, y = (
        _sample(networks[name], noise, 'map', 0, plan, repeat).T
        for name in (a, b)
      )
      assert got.cka_unbiased == pytest.approx(cka.cka(x, y), abs=1e-8)
      estimate = cka.cka_of_layers(x, y, widths, widths[0] == widths[1])
      assert got.cka_layer == pytest.approx(estimate, abs=1e-8)


def test_svd_step_keeps_the_variance_asked_for(noise):
  # Three strong directions, alike; nine weak ones, unlike.
  strong = np.diag([10.0] * 3 + [0.1] * 9)
  options = cca.Options(svd_variance=0.99)
  kernels = np.zeros((2, 24, 12))
  kernels[0, :12] = strong
  kernels[1, :3], kernels[1, 15:] = strong[:3], strong[3:]
  whole = _noise_similarity(noise, *kernels)
  cut = _noise_similarity(noise, *kernels, options=options)
  assert [len(m.coefficients) for m in cut.repeats] == [3] * 5
  np.testing.assert_allclose([m.mean for m in cut.repeats], 1, 0, 1e-6)
  assert whole.mean < 0.5


def test_dead_channels_are_dropped(noise):
  dead = _FIRST.copy()
  dead[:, [1, 4, 9]] = 0
  for got in _noise_similarity(noise, dead, _FIRST).repeats:
    assert len(got.coefficients) == 9
    np.testing.assert_allclose(got.coefficients, 1, 0, 1e-6)
  dead[:] = 0
  for got in _noise_similarity(noise, dead, _FIRST).repeats:
    assert set(got.scalars().values()) == {0.0}


def test_many_models_share_one_pass(images, nets, alone):
  sampling = sampling_lib.Sampling(1_500, 16, 2)
  together = similarity.compare_all(nets, images, _LAYERS, sampling=sampling)
  assert set(together) == {
    ('net0', 'net1'), ('net0', 'net2'), ('net1', 'net2')
  }  # fmt: skip
  for (a, b), of_pair in together.items():
    for layer in _LAYERS:
      for x, y in zip(
        of_pair[layer].repeats, alone(a, b)[layer].repeats, strict=True
      ):
        np.testing.assert_allclose(x.coefficients, y.coefficients, 0, 1e-9)


def test_few_pairs_are_as_alone(images, nets, alone):
  """Two groups; what is not compared may hold NaN."""
  sampling = sampling_lib.Sampling(1_500, 16, 2)
  nan = _net(4)
  nan.set_weights([w * np.nan for w in nan.get_weights()])
  pairs = [('net1', 'net0'), ('net1', 'net2')]
  found = similarity.compare_all(
    {'nan': nan, **nets}, images, _LAYERS, pairs, sampling, options=_UNBIASED
  )
  assert list(found) == pairs
  for a, b in pairs:
    for layer in _LAYERS:
      got, want = found[a, b][layer], alone(a, b)[layer]
      for x, y in zip(got.repeats, want.repeats, strict=True):
        assert x.scalars() == pytest.approx(y.scalars(), abs=1e-9)
      assert len(got.noise_floor) == len(want.noise_floor)


def test_networks_of_one_model_are_like_models_of_their_own(images, nets):
  """And are traced once, whatever the sizes of the batches."""
  sizes, shared = [], _net(9)

  def prepare(batch):
    sizes.append(batch.shape[0])
    return batch

  networks = {
    name: endpoints.PreparedModel(
      shared, prepare, list(map(tf.constant, net.weights))
    )
    for name, net in nets.items()
  }
  source = endpoints.make_source(
    networks, endpoints.ImageBatches(images), _LAYERS
  )
  sampling = sampling_lib.Sampling(1_000, 12, 2)
  found = similarity.from_source(source, None, sampling)
  want = similarity.compare_all(nets, images, _LAYERS, sampling=sampling)
  assert found.keys() == want.keys()
  for pair, layers in want.items():
    for layer, result in layers.items():
      for a, b in zip(found[pair][layer].repeats, result.repeats, strict=True):
        np.testing.assert_allclose(a.coefficients, b.coefficients, 0, 1e-6)
  # One image tells the shape.
  assert sizes == [1, *[None] * len(nets)]


def test_reads_no_more_images_than_the_sample_needs(nets):
  read = []

  def batches():
    for i in range(1_000):
      read.append(i)
      yield np.zeros((4, 12, 12, 3), np.float32)

  dataset = tf.data.Dataset.from_generator(
    batches, output_signature=tf.TensorSpec((4, 12, 12, 3))
  )
  similarity.compare(
    nets['net0'], nets['net1'], dataset, ['high'], 360, 16, repeats=1
  )
  # 10 images are counted and then read; tf.data looks a little ahead.
  assert len(read) < 20


@pytest.mark.parametrize(
  'wrap',
  [
    lambda x: [(x[:7], None), (x[7:30], None), (x[30:], None)],
    lambda x: tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(9),
  ],
)
def test_batching_and_labels_do_not_matter(images, nets, alone, wrap):
  plain = alone('net0', 'net1')
  wrapped = similarity.compare(
    nets['net0'], nets['net1'], wrap(images), _LAYERS, 1_500, 16, 2
  )
  for layer in _LAYERS:
    for x, y in zip(plain[layer].repeats, wrapped[layer].repeats, strict=True):
      np.testing.assert_allclose(x.coefficients, y.coefficients, 0, 1e-6)


def test_stages_of_the_papers_networks_are_layers(images):
  nets = [models.build('cbr_tiny', 5, (12, 12, 3)) for _ in range(2)]
  result = similarity.compare(*nets, images, ['conv1', 'pool1'], 500, 16, 2)
  by_stage, by_layer = result['conv1'].to_json(), result['pool1'].to_json()
  assert by_stage == by_layer


def test_result_is_json(alone):
  result = alone('net0', 'net1')['low']
  saved = json.loads(json.dumps(result.to_json()))
  means = [repeat['mean'] for repeat in saved['repeats']]
  assert saved['mean'] == pytest.approx(np.mean(means))
  assert saved['mean_std'] == pytest.approx(np.std(means, ddof=1))
  assert len(saved['repeats'][0]['coefficients']) == 16
  assert saved['noise_floor']['mean'] > 0
  assert saved['num_patches'] == 1_500


@pytest.mark.parametrize(
  'kwargs, message',
  [
    ({'layers': ['lwo']}, "unknown layer 'lwo'; did you mean 'low'.*head"),
    ({'num_patches': 16, 'repeats': 1}, 'low: 16 patches .* 16 channels'),
    ({'layers': ['pool'], 'num_images': 5}, 'pool: 4 patches of 5 images'),
    ({'num_images': 65}, 'ends after 60 images; the sample takes 65'),
    ({'repeats': 0}, 'repeats is 0'),
  ],
)
def test_refuses(images, nets, kwargs, message):
  kwargs = {'layers': ['low'], 'num_channels': 16} | kwargs
  with pytest.raises(errors.InputError, match=message):
    similarity.compare(nets['net0'], nets['net1'], images, **kwargs)


def test_refuses_nan(noise):
  with pytest.raises(errors.InputError, match='map of model_b gives NaN'):
    _noise_similarity(noise, _FIRST, _LAST, bias=np.nan)


def test_refuses_maps_of_different_size(images, nets):
  x = inputs = keras.Input((12, 12, 3))
  other = keras.Model(inputs, keras.layers.Conv2D(8, 3, name='low')(x))
  with pytest.raises(errors.InputError, match=r'low is 12x12 .* and 10x10'):
    similarity.compare(nets['net0'], other, images, ['low'])


def test_refuses_images_of_another_size(nets):
  with pytest.raises(errors.InputError, match='takes images of shape'):
    similarity.compare(
      nets['net0'], nets['net1'], np.zeros((9, 12, 12, 1)), ['low']
    )


@pytest.mark.parametrize(
  'dataset, message',
  [([], 'no image'), (iter([np.zeros((1, 12, 12, 3))]), 'only once')],
)
def test_refuses_what_cannot_be_read(nets, dataset, message):
  with pytest.raises(errors.InputError, match=message):
    similarity.compare(nets['net0'], nets['net1'], dataset, ['low'])


def test_refuses_a_model_without_reachable_layers(images):
  class Opaque(keras.Model):
    def call(self, x):
      return x

  with pytest.raises(errors.InputError, match='cannot be read'):
    endpoints.Extractor(Opaque(), ['low'])


@pytest.mark.parametrize('repeats', [1, 2, 4, 5])
@pytest.mark.parametrize('available', [1, 3, 80])
def test_every_repeat_has_the_same_number_of_distinct_patches(
  repeats, available
):
  sampling = sampling_lib.Sampling(3_000, 8, repeats)
  plan = sampling.plan((400, 100), available)
  for layer, positions in enumerate(plan.positions):
    per_image = [plan.patches(layer, i, 1) for i in range(plan.num_images)]
    assert all(len(set(p)) == len(p) for p in per_image)
    assert max(map(max, per_image)) < positions
    counts = list(map(len, per_image))
    assert max(counts) - min(counts) <= 1
    for repeat in range(repeats):
      left = [
        n for i, n in enumerate(counts)
        if plan.fold(i) != plan.left_out(repeat)
      ]  # fmt: skip
      assert sum(left) == plan.num_patches(layer)
  assert plan.num_patches(0) <= 3_000
  if available == 80:
    assert plan.num_patches(0) == plan.num_patches(1) == 3_000
    assert plan.num_images <= sampling.max_images(plan.positions)


def test_patches_do_not_depend_on_batches():
  plan = sampling_lib.Sampling(3_000, 8, 3, seed=4).plan((400,), 40)
  together = plan.patches(0, 0, 2)
  apart = [plan.patches(0, 0, 1), 400 + plan.patches(0, 1, 1)]
  assert set(together) == set(np.concatenate(apart))
  assert not np.array_equal(together, np.sort(together))


def test_samples_follow_the_seed():
  draws = [
    sampling_lib.Sampling(seed=seed).channels(repeat, 256).tolist()
    for seed in (0, 1)
    for repeat in (0, 1)
  ]
  assert len(set(map(tuple, draws))) == 4
  assert draws[0] == sampling_lib.Sampling().channels(0, 256).tolist()
  assert sampling_lib.Sampling().channels(0, 32).tolist() == list(range(32))


_OWN_PROCESS = """
import json, resource
import keras, numpy as np, tensorflow as tf

cpu = tf.config.list_physical_devices('CPU')[0]
tf.config.set_logical_device_configuration(
  cpu, [tf.config.LogicalDeviceConfiguration()] * 3
)
from transfusion_tf.analysis import similarity

def net(seed):
  keras.utils.set_random_seed(seed)
  x = inputs = keras.Input((64, 64, 3))
  x = keras.layers.Conv2D(16, 3, activation='relu', name='low')(x)
  return keras.Model(inputs, x)

def image(i):
  return tf.random.stateless_normal([64, 64, 3], [i, 0])

def compare(a, b, images, strategy=None):
  return similarity.compare(
    a, b, tf.data.Dataset.range(1_000).map(image).batch(7), ['low'],
    num_patches=1_000 * images, num_images=images, repeats=2,
    strategy=strategy,
  )['low']

plain = compare(net(0), net(1), 64)
peaks = []
for images in (64, 64, 256):
  compare(net(0), net(1), images)
  peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
strategy = tf.distribute.MirroredStrategy([f'cpu:{i}' for i in range(3)])
with strategy.scope():
  nets = net(0), net(1)
mirrored = compare(*nets, 64, strategy)
print(json.dumps({
  'grown': peaks[2] - peaks[1],
  'differs': max(
    np.max(np.abs(x.coefficients - y.coefficients))
    for x, y in zip(plain.repeats, mirrored.repeats)
  ),
}))
"""


@pytest.fixture(scope='module')
def own_process(server, tmp_path_factory):
  """What needs devices or a memory of its own."""
  script = tmp_path_factory.mktemp('own') / 'script.py'
  script.write_text(_OWN_PROCESS)
  found = processes.call_script(server, script)
  assert found.returncode == 0, found.stderr
  return json.loads(found.stdout.splitlines()[-1])


def test_replicas_agree_with_one_device(own_process):
  assert own_process['differs'] < 1e-9


def test_memory_does_not_grow_with_the_images(own_process):
  # The activations of the further images take 90 MiB.
  assert own_process['grown'] < 30
