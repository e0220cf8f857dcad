"""Figures of anatome, ckatorch and netrep, and the laws that netrep tests."""

import json

import numpy as np
import paths
import pytest

from svcca import cca_core
from transfusion_tf.analysis import alignment
from transfusion_tf.analysis import cca
from transfusion_tf.analysis import cka

_CASES = json.loads((paths.TESTS / 'vectors/peers.json').read_text())['cases']
_TOLERANCE = 1e-6


def _inputs(case):
  """The recipe that the vectors' `inputs` states."""
  rng = np.random.RandomState(case['seed'])
  z = rng.randn(case['n'], case['k'])
  x, y = (
    z @ rng.randn(case['k'], d) + case['noise'] * rng.randn(case['n'], d)
    for d in (case['d1'], case['d2'])
  )
  return x, y


def _measures(x, y):
  covariance, d = np.cov(x.T, y.T), x.shape[1]
  options = cca.Options(epsilon=0.0)
  (measures,) = cca.compare(
    [cca.whiten(covariance[:d, :d], options)],
    [cca.whiten(covariance[d:, d:], options)],
    [covariance[:d, d:]],
    [alignment.Alignment(0.0, 0.0)],
    options,
  )
  return measures


def _case_id(case):
  return f'seed{case["seed"]}-{case["n"]}x{case["d1"]}x{case["d2"]}'


@pytest.mark.parametrize('case', _CASES, ids=_case_id)
def test_figures_of_other_packages(case):
  x, y = _inputs(case)
  got = _measures(x, y)
  np.testing.assert_allclose(got.coefficients, case['cca'], 0, _TOLERANCE)
  figures = {
    'pwcca': got.pwcca,
    'cka': got.cka,
    'cka_unbiased': cka.cka(x, y),
    'netrep_cka_distance': np.arccos(cka.cka(x, y, unbiased=False)),
    'svcca_5': _svcca(x, y, 5),
  }
  if case['d1'] == case['d2']:
    figures['netrep_cca_distance'] = np.arccos(got.plain_mean)
  for name, value in figures.items():
    assert value == pytest.approx(case[name], abs=_TOLERANCE), name


def _svcca(x, y, directions):
  def leading(a):
    a = a - a.mean(axis=0)
    _, _, v = np.linalg.svd(a, full_matrices=False)
    return v[:directions] @ a.T

  result = cca_core.get_cca_similarity(
    leading(x), leading(y), epsilon=0.0, verbose=False
  )
  return np.mean(result['cca_coef1'])


@pytest.fixture(params=[1, 2, 3])
def rng(request):
  return np.random.RandomState(request.param)


def test_a_linear_map_is_at_no_distance_in_cca_alone(rng):
  x = rng.randn(100, 10)
  y = x @ rng.randn(10, 10) + rng.randn(1, 10)
  got = _measures(x, y)
  np.testing.assert_allclose(got.coefficients, 1, 0, _TOLERANCE)
  assert got.pwcca == pytest.approx(1, abs=_TOLERANCE)
  assert got.cka < 0.99


def test_a_rotation_is_at_no_distance_in_cka(rng):
  x = rng.randn(100, 10)
  rotation = np.linalg.qr(rng.randn(10, 10))[0]
  y = rng.exponential() * x @ rotation + rng.randn(1, 10)
  for unbiased in (False, True):
    assert cka.cka(x, y, unbiased) == pytest.approx(1, abs=_TOLERANCE)


def test_correlations_are_cosines_of_principal_angles(rng):
  x, y = (
    np.linalg.qr(a - a.mean(axis=0))[0]
    for a in (rng.randn(100, 10), rng.randn(100, 10))
  )
  cosines = np.linalg.svd(x.T @ y, compute_uv=False)
  got = _measures(x @ rng.randn(10, 10), y)
  np.testing.assert_allclose(got.coefficients, cosines, 0, _TOLERANCE)


def test_angles_obey_the_triangle_inequality(rng):
  a, b, c = (rng.randn(31, 20) for _ in range(3))

  def angle(x, y):
    return np.arccos(cka.cka(x, y, unbiased=False))

  def cca_angle(x, y):
    return np.arccos(_measures(x, y).plain_mean)

  for distance in (angle, cca_angle):
    assert distance(a, b) <= distance(a, c) + distance(c, b) + _TOLERANCE
    assert distance(a, b) > 0.1


# The shapes of anatome's tests.
@pytest.mark.parametrize('channels', [5, 8, 20])
def test_cka_takes_fewer_datapoints_than_channels(rng, channels):
  x, y = rng.randn(10, 5), rng.randn(10, channels)
  assert 0 < cka.cka(x, y, unbiased=False) < 1
  assert cka.cka(y, y) == pytest.approx(1, abs=_TOLERANCE)
