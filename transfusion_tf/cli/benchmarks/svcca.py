"""What comparing networks costs, against google/svcca's way on the same data.

Ten networks, all 45 pairs, five layers, p = 20 000 patches, d = 64 channels,
five repeats. The stream reads images, runs the networks, compiles what it
needs and measures; the other way is given all activations ready in memory and
calls `svcca.cca_core.get_cca_similarity` pair by pair. Then 20 pairs of 40
networks against one pair, and single calls. Seconds are the CPU's.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import resource
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from svcca import cca_core
from transfusion_tf.analysis import cca
from transfusion_tf.analysis import endpoints
from transfusion_tf.analysis import sampling as sampling_lib
from transfusion_tf.analysis import similarity
from transfusion_tf.cli.benchmarks import cca_call

_NUM_NETWORKS, _NUM_PAIRS = 10, 20
_LAYERS = [f'layer{i}' for i in range(1, 6)]
_SIDE, _CHANNELS = 40, 64
_SAMPLING = sampling_lib.Sampling(
  num_patches=20_000, num_channels=64, num_images=20
)


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  networks = {f'net{i}': _network(i) for i in range(_NUM_NETWORKS)}
  for _ in range(2):  # What the process keeps of a first pass is not n's.
    _compare(networks)
  yield f'peak memory, {_SAMPLING.num_images} images', _peak(), 'MiB'
  _compare(networks, times=4)
  yield f'peak memory, {4 * _SAMPLING.num_images} images', _peak(), 'MiB'
  first, streamed = _timed(_compare, networks)
  differs, stored = _pair_by_pair(networks, streamed)
  second, _ = _timed(_compare, networks)
  stream = (first + second) / 2
  yield 'get_cca_similarity on stored activations', stored, 's'
  yield 'compare_all, images to results', stream, 's'
  yield 'ratio', stored / stream, 'x'
  yield 'largest difference of a coefficient', differs, ''
  yield from _few_pairs()
  yield from cca_call.suite()


def _few_pairs():
  """Compare the first network with the second, the third with the fourth..."""
  networks = {f'net{i}': _network(i) for i in range(2 * _NUM_PAIRS)}
  names = iter(networks)
  pairs = list(zip(names, names, strict=True))
  first = {name: networks[name] for name in pairs[0]}
  times: dict[str, list[float]] = {'one': [], 'all': []}
  for _ in range(2):
    times['one'].append(_timed(_compare, first)[0])
    times['all'].append(_timed(_compare, networks, pairs=pairs)[0])
  one, many = (statistics.median(seconds) for seconds in times.values())
  yield 'one pair', one, 's'
  yield f'{len(pairs)} pairs of {len(networks)} networks', many, 's'
  yield (
    f'{len(pairs)} pairs / {len(pairs)} x one pair',
    many / len(pairs) / one,
    'x',
  )
  yield f'peak memory, {len(networks)} networks', _peak(), 'MiB'


def _network(seed):
  """Return five layers of one size, none of which takes long to compute."""
  keras.utils.set_random_seed(seed)
  x = inputs = keras.Input((_SIDE, _SIDE, 3))
  for i, name in enumerate(_LAYERS):
    x = keras.layers.Conv2D(
      _CHANNELS, 1 if i else 3, padding='same', activation='relu', name=name
    )(x)
  return keras.Model(inputs, x)


def _images(count):
  """Return images that are made as they are read, so that none is held."""

  def image(i):
    return tf.random.stateless_normal([_SIDE, _SIDE, 3], [i, 0])

  return tf.data.Dataset.range(count).map(image).batch(4)


def _compare(networks, times=1, pairs=None):
  """Compare all pairs, with images and patches multiplied by `times`."""
  sampling = dataclasses.replace(
    _SAMPLING,
    num_patches=times * _SAMPLING.num_patches,
    num_images=times * _SAMPLING.num_images,
  )
  images = _images(sampling.num_images)
  return similarity.compare_all(networks, images, _LAYERS, pairs, sampling)


def _pair_by_pair(networks, streamed):
  """Return (largest difference to the stream's coefficients, seconds)."""
  positions = (_SIDE**2,) * len(_LAYERS)
  plan = _SAMPLING.plan(positions, _SAMPLING.num_images)
  options = cca.Options()
  differs, seconds = 0.0, 0.0
  for layer, repeat in np.ndindex(len(_LAYERS), _SAMPLING.repeats):
    acts = _stored(networks, plan, layer, repeat)
    for pair in itertools.combinations(networks, 2):
      taken, result = _timed(
        cca_core.get_cca_similarity,
        *(acts[network] for network in pair),
        epsilon=options.epsilon,
        threshold=options.threshold,
        verbose=False,
      )
      seconds += taken
      ours = streamed[pair][_LAYERS[layer]].repeats[repeat]
      difference = np.abs(result['cca_coef1'] - ours.coefficients)
      differs = max(differs, np.max(difference))
  return differs, seconds


def _stored(networks, plan, layer, repeat):
  """Return network -> [d, p], the sample of a repeat."""
  images = np.concatenate(list(_images(plan.num_images)))
  acts = {}
  for name, model in networks.items():
    tapped = endpoints.Extractor(model, [_LAYERS[layer]])
    whole = np.asarray(tapped(images)[_LAYERS[layer]])
    rows = [
      whole[i].reshape(-1, _CHANNELS)[plan.patches(layer, i, 1)]
      for i in range(plan.num_images)
      if plan.fold(i) != plan.left_out(repeat)
    ]
    channels = _SAMPLING.channels(repeat, _CHANNELS)
    acts[name] = np.ascontiguousarray(np.concatenate(rows)[:, channels].T)
  return acts


def _timed(function, *args, **kwargs):
  began = time.process_time()
  result = function(*args, **kwargs)
  return time.process_time() - began, result


def _peak():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
