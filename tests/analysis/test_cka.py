"""CKA of arrays: its laws, a second route, and what the unbiased ones are for.

`test_similarity` compares what is accumulated with these.
"""

import itertools

import numpy as np
import pytest

from transfusion_tf import errors
from transfusion_tf.analysis import cka


@pytest.fixture
def rng():
  return np.random.default_rng(0)


@pytest.fixture
def related(rng):
  """Activations [60, 12] and [60, 9] that share four signals."""
  z = rng.standard_normal((60, 4))
  return [
    z @ rng.standard_normal((4, d)) + 0.5 * rng.standard_normal((60, d)) + 3
    for d in (12, 9)
  ]


def _rotation(rng, size):
  return np.linalg.qr(rng.standard_normal((size, size)))[0]


@pytest.mark.parametrize('unbiased', [False, True])
def test_rotation_scale_and_shift_change_nothing(rng, related, unbiased):
  x, y = related
  moved = 0.01 * x @ _rotation(rng, 12) - 7
  plain = cka.cka(x, y, unbiased)
  assert 0.2 < plain < 0.95
  assert cka.cka(moved, y, unbiased) == pytest.approx(plain, abs=1e-10)
  assert cka.cka(x, moved, unbiased) == pytest.approx(1, abs=1e-10)
  assert cka.cka(y, x, unbiased) == pytest.approx(plain, abs=1e-12)


@pytest.mark.parametrize('unbiased', [False, True])
def test_an_invertible_map_changes_it(rng, related, unbiased):
  x, _ = related
  assert cka.cka(x, x @ rng.standard_normal((12, 12)), unbiased) < 0.98


def test_the_kernels_give_the_same(rng):
  """Of more channels than datapoints, and of fewer."""
  for channels in (5, 40):
    x, y = rng.standard_normal((2, 20, channels)) + 1
    y += x
    n = len(x)
    kernels = x @ x.T, y @ y.T
    center = np.eye(n) - 1 / n
    a, b = (center @ k @ center for k in kernels)
    expected = np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b))
    assert cka.cka(x, y, unbiased=False) == pytest.approx(expected, abs=1e-12)
    a, b = (k - np.diag(np.diag(k)) for k in kernels)

    def hsic(k, m, n=n):
      """Song et al. 2012, with the kernels' diagonals at 0."""
      both = k.sum() * m.sum() / ((n - 1) * (n - 2))
      return np.sum(k * m) + both - 2 / (n - 2) * k.sum(0) @ m.sum(0)

    expected = hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))
    assert cka.cka(x, y) == pytest.approx(expected, abs=1e-12)


def test_hsic_is_a_mean_over_four_datapoints(rng):
  """The definition of a U-statistic, with no kernel and no centering."""
  x, y = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
  y[:, 0] += x[:, 0]

  def kernel(a, i, j, k, m):
    return (a[i] - a[j]) @ (a[k] - a[m])

  # E (x1 - x2).(x3 - x4) (y1 - y2).(y3 - y4) is 4 HSIC.
  mean = np.mean(
    [
      kernel(x, *four) * kernel(y, *four)
      for four in itertools.permutations(range(7), 4)
    ]
  )
  x, y = x - x.mean(0), y - y.mean(0)
  norms = np.sum(x**2, 1), np.sum(y**2, 1)
  inner = np.sum((x.T @ y) ** 2)
  got = cka.unbiased_hsic(
    inner, norms[0].sum(), norms[1].sum(), norms[0] @ norms[1], 7
  )
  assert got == pytest.approx(mean / 4, abs=1e-12)


def test_independence_is_zero_for_the_unbiased_alone(rng):
  """Gaussians of 100 channels at 50 datapoints, as in docs/analysis.md."""
  pairs = rng.standard_normal((40, 2, 50, 100))
  biased = np.mean([cka.cka(x, y, unbiased=False) for x, y in pairs])
  unbiased = [cka.cka(x, y) for x, y in pairs]
  assert 0.6 < biased < 0.7
  assert abs(np.mean(unbiased)) < 4 * np.std(unbiased) / np.sqrt(40)
  assert np.std(unbiased) < 0.05


class _Layers:
  """Two layers, each a random linear map of 30 of 40 Gaussian signals.

  They share 20. Their CKA is that of all channels at 20 000 datapoints.
  """

  def __init__(self, width):
    self.rng = np.random.default_rng(3)
    self.maps = self.rng.standard_normal((2, 40, width))
    self.maps[0, 30:] = self.maps[1, :10] = 0
    # Channels of equal number are alike, as those of a network and itself.
    self.maps[1, 10:30] += self.maps[0, 10:30]
    self.width = width
    self.cka = cka.cka(*self.sample(20_000))

  def sample(self, n):
    z = self.rng.standard_normal((n, 40))
    return [z @ m for m in self.maps]

  def channels(self, d):
    return self.rng.choice(self.width, d, replace=False)


@pytest.mark.parametrize('same_channels', [True, False])
@pytest.mark.parametrize(
  'width', [24, pytest.param(1_000, marks=pytest.mark.slow)]
)
def test_few_channels_estimate_the_whole_layer(width, same_channels):
  layers, figures = _Layers(width), []
  for _ in range(100):
    x, y = layers.sample(200)
    a = layers.channels(16)
    b = a if same_channels else layers.channels(16)
    x, y = x[:, a], y[:, b]
    figures.append(
      [cka.cka(x, y), cka.cka_of_layers(x, y, (width, width), same_channels)]
    )
  sample, layer = np.mean(figures, axis=0)
  print(f'{layers.cka:.3f}: of the sample {sample:.3f}, estimate {layer:.3f}')
  # The ratio of unbiased estimates is itself a little off.
  assert layer == pytest.approx(layers.cka, abs=0.04)
  assert sample < layers.cka - (0.15 if width == 1_000 else 0.03)


def test_all_channels_are_no_sample(related):
  x, y = related
  assert cka.cka_of_layers(x, y, (12, 9)) == pytest.approx(
    cka.cka(x, y), abs=1e-12
  )
  assert cka.cka_of_layers(x, x, (12, 12), True) == pytest.approx(1, abs=1e-12)


def test_a_layer_of_the_same_channels_is_like_itself(related):
  x, _ = related
  for widths in ((40, 40), (np.inf, np.inf)):
    got = cka.cka_of_layers(x, 2 * x + 1, widths, same_channels=True)
    assert got == pytest.approx(1, abs=1e-10)


def test_what_does_not_vary_is_unlike_anything(related):
  x, y = related
  still = np.ones((60, 3))
  assert cka.cka(x, still) == cka.cka(still, y, unbiased=False) == 0
  assert cka.cka_of_layers(still, y) == 0


def test_noise_of_few_channels_is_nan_at_times():
  """Its variation is within noise of 0, so that the root may not exist."""
  draws = np.random.default_rng(1).standard_normal((50, 2, 6, 2))
  figures = np.array([cka.cka_of_layers(*pair) for pair in draws])
  assert 0 < np.isnan(figures).sum() < 50


@pytest.mark.parametrize(
  'shapes, kwargs, message',
  [
    (((9, 3), (8, 3)), {}, 'same N'),
    (((9, 3, 1), (9, 3)), {}, 'must be'),
    (((3, 3), (3, 3)), {}, '3 datapoints; give at least 4'),
    (((1, 3), (1, 3)), {'unbiased': False}, 'give at least 2'),
  ],
)
def test_refuses(shapes, kwargs, message):
  x, y = map(np.ones, shapes)
  with pytest.raises(errors.InputError, match=message) as caught:
    cka.cka(x, y, **kwargs)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'columns, kwargs, message',
  [
    ((1, 3), {}, 'at least 2 of its channels, or all'),
    ((4, 4), {'widths': (4, 3)}, 'a layer of 3 channels'),
    ((4, 3), {'same_channels': True}, 'not of the same channels'),
    (
      (4, 4),
      {'widths': (8, 9), 'same_channels': True},
      'not of the same channels',
    ),
  ],
)
def test_refuses_samples_that_cannot_be(rng, columns, kwargs, message):
  x, y = (rng.standard_normal((9, d)) for d in columns)
  with pytest.raises(errors.InputError, match=message):
    cka.cka_of_layers(x, y, **kwargs)


def test_refuses_nan(rng):
  x = rng.standard_normal((9, 3))
  x[2, 1] = np.nan
  with pytest.raises(errors.InputError, match='NaN or infinity'):
    cka.cka(x, x)
