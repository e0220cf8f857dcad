"""Intervals of similarities: they cover what all images would give."""

import json

import numpy as np
import pytest

from transfusion_tf.analysis import alignment
from transfusion_tf.analysis import cca
from transfusion_tf.analysis import image_error

_WIDTH, _CHANNELS, _PATCHES, _FOLDS = 24, 12, 100, 5
_MEASURES = ('mean', 'plain_mean', 'pwcca', 'cka')
_NONE = alignment.NOT_COMPUTED


class _Population:
  """Images whose patches are alike, and two layers that see them."""

  def __init__(self, likeness):
    rng = np.random.default_rng(0)
    self._kernels = rng.standard_normal((2, 30, _WIDTH))
    self._mix = rng.standard_normal((30, 30)) * np.linspace(0.2, 1.5, 30)
    self._likeness = likeness

  def layers(self, rng, num_images):
    """Return activations [2, N, patches, C] of new images."""
    common = rng.standard_normal((num_images, 1, 30))
    own = rng.standard_normal((num_images, _PATCHES, 30))
    patches = common * self._likeness**0.5 + own * (1 - self._likeness) ** 0.5
    return np.maximum(
      np.stack([patches @ self._mix @ k for k in self._kernels]), 0
    )


def _measure(layers, channels):
  a, b = (layer.reshape(-1, _WIDTH)[:, channels] for layer in layers)
  both = np.cov(np.concatenate([a, b], axis=1).T)
  parts = slice(None, _CHANNELS), slice(_CHANNELS, None)
  options = cca.Options()
  x, y = ([cca.whiten(both[part, part], options)] for part in parts)
  (measures,) = cca.compare(x, y, [both[parts]], [_NONE], options)
  return measures


def _draw(rng):
  return np.sort(rng.choice(_WIDTH, _CHANNELS, replace=False))


def _comparison(population, rng, num_images):
  layers = population.layers(rng, num_images)
  fold = np.arange(num_images) * _FOLDS // num_images
  draws = [_draw(rng) for _ in range(_FOLDS)]
  whole = tuple(_measure(layers, draw) for draw in draws)
  kept = tuple(
    _measure(layers[:, fold != number], draw)
    for number, draw in enumerate(draws)
  )
  return cca.Similarity(kept, kept, 0, num_images, whole, _FOLDS)


@pytest.mark.slow
@pytest.mark.parametrize(
  'likeness, num_images', [(0.2, 5), (0.2, 15), (0.7, 30)]
)
def test_covers_what_many_images_give(likeness, num_images):
  """Where the standard deviation of the repeats does not."""
  population, rng = _Population(likeness), np.random.default_rng(1)
  many = population.layers(rng, 4_000)
  draws = [_measure(many, _draw(rng)).scalars() for _ in range(40)]
  true = {name: np.mean([d[name] for d in draws]) for name in _MEASURES}
  del many
  trials = 200
  covered, spread = (dict.fromkeys(_MEASURES, 0) for _ in range(2))
  for _ in range(trials):
    found = _comparison(population, rng, num_images)
    average = cca.average(found.repeats)
    for name, interval in found.intervals().items():
      covered[name] += interval.low <= true[name] <= interval.high
      spread[name] += abs(average[name] - true[name]) <= average[f'{name}_std']
  assert min(covered.values()) >= 0.85 * trials
  assert max(spread.values()) < min(covered.values())


def test_a_mean_has_the_interval_of_its_groups():
  """Of equal groups the jackknife gives a mean's own standard error."""
  groups = np.random.default_rng(0).standard_normal(5)
  left = [np.delete(groups, i).mean() for i in range(5)]
  found = image_error.interval([groups.mean()] * 5, left, 5)
  half = 2.7764451 * groups.std(ddof=1) / 5**0.5
  np.testing.assert_allclose(
    found, [groups.mean(), groups.mean() - half, groups.mean() + half], 1e-6
  )


def test_what_few_images_add_is_taken_off():
  """A variance over N in place of N - 1 is too small by a share of 1 / N."""
  groups = np.random.default_rng(0).standard_normal(5)
  left = [np.delete(groups, i).var() for i in range(5)]
  found = image_error.interval([groups.var()] * 5, left, 5)
  np.testing.assert_allclose(found.estimate, groups.var(ddof=1))


def test_channels_scatter_too():
  wide = image_error.interval([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], 3)
  assert wide.low < 0.1 and wide.high > 0.3
  same = image_error.interval([0.2] * 3, [0.2] * 3, 3)
  assert same.low == pytest.approx(0.2) == same.high


@pytest.mark.parametrize(
  'whole, folds', [([0.5], 1), ([0.5, 0.5], 1), ([0.5, float('nan')], 2)]
)
def test_undefined_is_none(whole, folds):
  assert image_error.interval(whole, whole, folds) is None


def test_json_has_no_nan():
  """Unbiased CKA of few channels may be undefined."""
  nan = float('nan')
  measures = (cca.Measures(0.5, 0.5, 0.5, 0.5, 0.1, nan, np.zeros(2)),) * 2
  found = cca.Similarity(measures, measures, 9, 4, measures, 2)
  record = json.loads(json.dumps(found.to_json(), allow_nan=False))
  assert record['cka_layer'] is record['intervals']['cka_layer'] is None
  assert record['intervals']['mean']['low'] == 0.5
