"""Laws of learning curves: known answers, and simulated coverage.

docs/statistics.md has the figures of the slow tests.
"""

import numpy as np
import pytest

from transfusion_tf.study import curve_points
from transfusion_tf.study import learning_curve
from transfusion_tf.study import power_law
from transfusion_tf.study import statistics

_LEAST = 0.93
_PATIENTS = 150
_SIZES = (50, 100, 200, 400)
# Error by size; the first are of the family of the law.
_LAWS = {
  'without an end': lambda n: 0.9 * n**-0.35,
  'slow': lambda n: 0.5 * n**-0.2,
  'with an end': lambda n: 0.05 + 2 * n**-0.7,
  'with a near end': lambda n: 0.1 + 0.5 * n**-0.4,
  'at its end': lambda n: 0.1 + 0 * n,
  'steep': lambda n: 0.04 + 40 * n**-1.4,
}
_OTHERS = {
  'two powers': lambda n: 0.3 * n**-0.2 + 3 * n**-1.0,
  'logarithm': lambda n: 0.35 - 0.045 * np.log(n),
  'kink': lambda n: np.maximum(0.6 * n**-0.3, 0.11),
  'sigmoid': lambda n: 0.05 + 0.35 / (1 + (n / 120) ** 1.5),
}
# Errors of random weights and of transfer.
_PAIRS = {
  'ends alike': (_LAWS['with an end'], lambda n: 0.05 + 0.7 * n**-0.6),
  'without an end': (lambda n: 1.1 * n**-0.4, lambda n: 0.6 * n**-0.33),
  'steep': (lambda n: 0.06 + 6 / n, lambda n: 0.055 + n**-0.8),
  'always better': (lambda n: 0.1 + n**-0.6, lambda n: 0.07 + n**-0.6),
}
# Standard deviation over seeds, by error.
_SEEDS = {
  '0.01': lambda error: 0.01 + 0 * error,
  '12 % of the error': lambda error: 0.12 * error,
  '0.003': lambda error: 0.003 + 0 * error,
}


class _Study:
  """Scores of curves that share test patients, whose errors go together."""

  def __init__(self, rng, laws, sizes, stddev, seeds=3, drawn=0.0, test=300):
    self.sizes, shape = sizes, (_PATIENTS, len(sizes))
    common = rng.normal(size=(_PATIENTS, 1))
    self.samples, self.effects = [], []
    for law in laws:
      errors = law(np.array(sizes, float))
      own = 0.8 * common + 0.4 * rng.normal(size=(_PATIENTS, 1))
      own = own + np.sqrt(0.2) * rng.normal(size=shape)
      effects = own * np.sqrt(errors * (1 - errors) / test / _PATIENTS)
      chosen = drawn * stddev(errors) * rng.normal(size=len(sizes))
      chosen[-1] = 0
      self.effects.append(effects)
      self.samples.append(
        [
          1 - (error + shift + rng.normal(0, stddev(error), seeds))
          for error, shift in zip(
            errors, effects.sum(axis=0) + chosen, strict=True
          )
        ]
      )

  def points(self):
    """The errors of one curve, or the first less the second."""
    seeds = [curve_points.seed_variances(each) for each in self.samples]
    values = [[1 - np.mean(s) for s in each] for each in self.samples]
    effects, variances, errors = self.effects[0], seeds[0], values[0]
    if len(values) > 1:
      effects = effects - self.effects[1]
      variances = list(map(curve_points.add, *seeds))
      errors = np.subtract(*values)
    return curve_points.make_points(
      self.sizes, errors, variances, effects.T @ effects, _PATIENTS - 1
    )


def _held_out(points, is_error):
  law = power_law.Law(points.first(-1), is_error)
  shared = points.covariance[-1, :-1]
  found = law.predicted(points.sizes[-1], points.covariance[-1, -1], shared)
  return points.values[-1] in found


def _coverage(law, stddev, count, sizes=_SIZES, **world):
  """How often a forecast, what doubling adds and a held-out test are right."""
  rng = np.random.default_rng(0)
  end = float(sizes[-1])
  held = []
  for _ in range(count):
    points = _Study(rng, [law], sizes, stddev, **world).points()
    fitted = power_law.Law(points, is_error=True)
    held.append(
      [
        law(2 * end) in fitted.at(2 * end),
        law(4 * end) in fitted.at(4 * end),
        law(2 * end) - law(end) in fitted.change(end, 2 * end),
        len(sizes) < 4 or _held_out(points, is_error=True),
      ]
    )
  return np.mean(held, axis=0)


def _crossings(laws, stddev, count, sizes=_SIZES, margin=0.02, **world):
  """How often a crossing, a forecast of it and a held-out test are right."""
  rng = np.random.default_rng(1)

  def difference(n):
    return laws[0](n) - laws[1](n)

  places = np.geomspace(sizes[0], 100 * sizes[-1], 20_000)
  below = np.flatnonzero(difference(places) < margin)
  truth = places[below[0]] if len(below) else np.inf
  held, closed = [], []
  for _ in range(count):
    points = _Study(rng, laws, sizes, stddev, **world).points()
    law = power_law.Law(points, is_error=False)
    found = learning_curve.crossing(law, points.sizes, margin)
    end = 2.0 * sizes[-1]
    held.append(
      [
        (found.open_low or found.low <= truth)
        and (found.open_high or truth <= found.high),
        difference(end) in law.at(end),
        len(sizes) < 4 or _held_out(points, is_error=False),
      ]
    )
    closed += [held[-1][0]] * found.closed
  return np.mean(held, axis=0), closed


@pytest.mark.parametrize('name', ['with an end', 'without an end', 'steep'])
def test_a_forecast_holds_the_truth(name):
  held = _coverage(_LAWS[name], _SEEDS['0.01'], 300)
  assert (held >= _LEAST).all(), held


def test_a_crossing_holds_the_truth():
  held, closed = _crossings(
    _PAIRS['ends alike'], _SEEDS['0.003'], 250, test=3_000
  )
  assert (held >= _LEAST).all(), held
  assert len(closed) > 100
  assert np.mean(closed) >= _LEAST


@pytest.mark.slow
@pytest.mark.parametrize('sizes', [_SIZES, _SIZES[1:], (25, *_SIZES)], ids=len)
@pytest.mark.parametrize('stddev', _SEEDS)
@pytest.mark.parametrize('name', _LAWS)
def test_every_law_of_the_family(name, stddev, sizes):
  held = _coverage(_LAWS[name], _SEEDS[stddev], 400, sizes)
  print(f'{name}, {stddev}, {len(sizes)} sizes: {held}')
  assert (held >= _LEAST).all(), held


@pytest.mark.slow
@pytest.mark.parametrize('seeds', [2, 5])
def test_two_seeds_and_five(seeds):
  for name, law in _LAWS.items():
    held = _coverage(law, _SEEDS['0.01'], 400, seeds=seeds)
    print(f'{name}, {seeds} seeds: {held}')
    assert (held >= _LEAST).all(), held


@pytest.mark.slow
@pytest.mark.parametrize('test', [300, 3_000])
@pytest.mark.parametrize('stddev', _SEEDS)
@pytest.mark.parametrize('name', _PAIRS)
def test_where_transfer_stops_paying(name, stddev, test):
  held, closed = _crossings(_PAIRS[name], _SEEDS[stddev], 200, test=test)
  print(
    f'{name}, {stddev}, {test}: {held}, both ends in {len(closed)}, '
    f'which hold it in {sum(closed)}'
  )
  assert (held >= _LEAST).all(), held


@pytest.mark.slow
@pytest.mark.parametrize('name', _OTHERS)
def test_what_other_laws_do_to_a_forecast(name):
  """No level is claimed; the statistics page has the figures."""
  held = _coverage(_OTHERS[name], _SEEDS['0.01'], 400)
  print(f'{name}: {held}')
  if name == 'two powers':
    assert (held >= _LEAST).all(), held
  else:
    assert held.min() < _LEAST  # Or the page may claim more.


@pytest.mark.slow
def test_what_the_draw_of_the_subset_does():
  """Subsets that are as lucky as a seed is, the same for all seeds.

  The page and the docs say that this is not in the intervals.
  """
  least = 1.0
  for name in ('with an end', 'without an end'):
    for test in (300, 3_000):
      held = _coverage(_LAWS[name], _SEEDS['0.01'], 400, drawn=1.0, test=test)
      print(f'{name}, {test} to test on, a draw of the subset: {held}')
      least = min(least, held.min())
  assert least < _LEAST  # Or the page may claim more.


def _exact(values, sizes=_SIZES, stddev=1e-5):
  return curve_points.Points(
    np.array(sizes, float), values, np.eye(len(sizes)) * stddev**2
  )


def test_a_law_without_noise_is_found():
  law = power_law.Law(_exact(_LAWS['with an end'](np.array(_SIZES, float))), 1)
  truth = _LAWS['with an end'](800.0)
  found = law.at(800)
  assert truth in found
  assert found.value == pytest.approx(truth, abs=2e-3)
  assert found.high - found.low < 6e-3


def test_a_crossing_between_two_sizes_is_found():
  points = _exact(1 / np.array(_SIZES, float), stddev=1e-4)
  found = learning_curve.crossing(
    power_law.Law(points, is_error=False), points.sizes, 1 / 150
  )
  assert found.closed
  assert found.low <= 150 <= found.high
  assert found.value == pytest.approx(150, rel=0.05)
  assert found.high / found.low < 1.2


@pytest.mark.parametrize(
  ('level', 'open_low', 'open_high'), [(1.0, True, False), (1e-9, False, True)]
)
def test_a_crossing_outside_is_open(level, open_low, open_high):
  points = _exact(1 / np.array(_SIZES, float), stddev=1e-7)
  law = power_law.Law(points, is_error=False)
  found = learning_curve.crossing(law, points.sizes, level)
  assert (found.open_low, found.open_high) == (open_low, open_high)
  assert not found.closed


def test_errors_never_fall_below_zero_nor_rise():
  rng = np.random.default_rng(0)
  for _ in range(50):
    points = _exact(np.abs(rng.normal(0.02, 0.02, 4)), stddev=0.02)
    law = power_law.Law(points, is_error=True)
    assert law.at(1600).low >= 0
    assert law.change(400, 800).high <= 1e-12


def test_a_curve_stays_among_points_that_share_their_error():
  """Least squares alone would draw it below all of them."""
  values = np.array([0.0078, 0.0089, 0.0081, 0.0097])
  stddevs = np.array([0.0085, 0.0093, 0.0089, 0.0099])
  shared = 0.97 + 0.03 * np.eye(4)
  covariance = shared * np.outer(stddevs, stddevs)
  points = curve_points.Points(np.array(_SIZES, float), values, covariance)
  law = power_law.Law(points, is_error=True)
  for size in _SIZES:
    assert values.min() < law.at(size).value < values.max()
    assert law.at(size).value in law.at(size)


def test_misfit_widens_a_forecast():
  smooth = _LAWS['with an end'](np.array([25.0, *_SIZES]))
  rough = smooth + 0.01 * np.array([1, -1, 1, -1, 1])
  widths = []
  for values in (smooth, rough):
    law = power_law.Law(_exact(values, (25, *_SIZES), 0.001), is_error=True)
    found = law.at(800)
    widths.append(found.high - found.low)
  assert widths[1] > 3 * widths[0]


def test_seeds_of_all_sizes_tell_how_they_vary():
  samples = [[0.7, 0.72], [0.8, 0.8], [0.9, 0.9]]
  variances = curve_points.seed_variances(samples)
  assert all(0 < each.value < np.inf for each in variances)
  assert [each.freedom for each in variances] == [3, 3, 3]
  # A start whose seeds vary more has the larger variance.
  assert variances[0].value > variances[1].value > variances[2].value
  alone = curve_points.seed_variances([[0.7], [0.8], [0.9]])
  assert all(np.isnan(each.value) for each in alone)


def test_a_sum_of_variances_has_the_freedom_of_its_larger_part():
  small, large = statistics.Variance(1e-9, 2), statistics.Variance(1.0, 6)
  found = curve_points.add(small, large)
  assert found.value == pytest.approx(1)
  assert found.freedom == pytest.approx(6, rel=1e-3)
