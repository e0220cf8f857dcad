"""svcca: google/svcca's figures, the laws of CCA, and each repaired defect."""

import json

import numpy as np
import paths
import pytest

from svcca import cca_core
from svcca import dft_ccas
from svcca import numpy_pca
from svcca import numpy_pls
from svcca import pwcca

_VECTORS = paths.TESTS / 'vectors' / 'svcca.json'
_CASES = json.loads(_VECTORS.read_text())['cases']


def _case_id(case):
  return f'seed{case["seed"]}-eps{case["epsilon"]:g}'


def _inputs(case):
  """The recipe that the vectors' `inputs` states."""
  rng = np.random.RandomState(case['seed'])
  n, k, noise = case['n'], case['k'], case['noise']
  z = rng.randn(k, n)
  acts1 = rng.randn(case['d1'], k) @ z + noise * rng.randn(case['d1'], n)
  acts2 = rng.randn(case['d2'], k) @ z + noise * rng.randn(case['d2'], n)
  acts1[case.get('dead1', [])] = 0
  return case.get('scale1', 1) * acts1, acts2


def _cca(acts1, acts2, **kwargs):
  kwargs = {'epsilon': 1e-10, 'verbose': False} | kwargs
  return cca_core.get_cca_similarity(acts1, acts2, **kwargs)


@pytest.fixture
def rng():
  return np.random.default_rng(0)


@pytest.fixture
def related(rng):
  """Two sets, [12, 900] and [8, 900], that share four signals."""
  z = rng.standard_normal((4, 900))
  return tuple(
    rng.standard_normal((d, 4)) @ z + rng.standard_normal((d, 900))
    for d in (12, 8)
  )


@pytest.mark.parametrize('case', _CASES, ids=_case_id)
def test_figures_of_google_svcca(case):
  acts1, acts2 = _inputs(case)
  result = _cca(
    acts1, acts2, epsilon=case['epsilon'], threshold=case['threshold']
  )
  for key in ('cca_coef1', 'cca_coef2'):
    np.testing.assert_allclose(result[key], case['cca_coef1'], 0, 1e-9)
  for key in ('mean', 'sum'):
    np.testing.assert_allclose(result[key], [case[key]] * 2, 0, 1e-9)
  if 'pwcca' in case:
    weighted, weights, coefs = pwcca.compute_pwcca(
      acts1, acts2, epsilon=case['epsilon']
    )
    assert abs(weighted - case['pwcca']) < 1e-9
    assert abs(np.sum(weights) - 1) < 1e-12
    np.testing.assert_array_equal(coefs, result['cca_coef1'])


def test_an_invertible_map_changes_nothing(rng):
  acts = rng.standard_normal((10, 500))
  mapped = rng.standard_normal((10, 10)) @ acts
  np.testing.assert_allclose(_cca(acts, mapped)['cca_coef1'], 1, 0, 1e-6)


def test_symmetric(related):
  forth, back = _cca(*related), _cca(*related[::-1])
  np.testing.assert_allclose(forth['cca_coef1'], back['cca_coef1'], 0, 1e-12)


def test_scale_and_shift_change_nothing(related):
  acts1, acts2 = related
  moved = _cca(1e-4 * acts1 + 7, 1e5 * acts2 - 1e6)
  expected = _cca(acts1, acts2)
  np.testing.assert_allclose(moved['cca_coef1'], expected['cca_coef1'], 0, 1e-9)


@pytest.mark.parametrize('datapoints, floor', [(5_000, 0.108), (20_000, 0.055)])
def test_independence_leaves_the_noise_floor(rng, datapoints, floor):
  acts1, acts2 = rng.standard_normal((2, 64, datapoints))
  assert abs(_cca(acts1, acts2)['mean'][0] - floor) < 0.05 * floor


def test_coefficients_are_correlations_of_the_directions(related):
  result = _cca(*related, compute_dirns=True)
  correlations = np.corrcoef(result['cca_dirns1'], result['cca_dirns2'])
  np.testing.assert_allclose(
    correlations[:12, 12:], np.eye(12, 8) * result['cca_coef1'], 0, 1e-9
  )
  assert result['coef_x'].shape == (12, 12)
  assert result['full_invsqrt_yy'].shape == (8, 8)


def test_dead_neurons_keep_their_place_in_the_full_maps(related):
  acts1, acts2 = related
  acts1[[2, 5]] = 0
  result = _cca(acts1, acts2)
  assert list(np.flatnonzero(~result['x_idxs'])) == [2, 5]
  assert result['coef_x'].shape == (10, 10)
  assert result['full_coef_x'].shape == (12, 12)
  assert not np.any(result['full_coef_x'][:, [2, 5]])
  assert not np.any(result['full_invsqrt_xx'][[2, 5]])


# The repaired defects, in the order of third_party/svcca/README.md.


def test_robust_gives_the_figures_of_the_plain_function(related):
  robust = cca_core.robust_cca_similarity(*related, epsilon=1e-6)
  plain = _cca(*related, epsilon=1e-6)
  assert robust['mean'] == plain['mean']
  assert robust['cca_dirns1'].shape == related[0].shape
  plain = _cca(*related, epsilon=1e-6, threshold=0.5)
  half = cca_core.robust_cca_similarity(*related, 0.5, compute_dirns=False)
  assert half['mean'] == plain['mean']
  assert 'cca_dirns1' not in half


def test_robust_is_tried_once_and_again_only_on_failure(related, monkeypatch):
  calls = []
  svd = np.linalg.svd

  def failing_twice(*args, **kwargs):
    calls.append(args)
    if len(calls) <= 2:
      raise np.linalg.LinAlgError('SVD did not converge')
    return svd(*args, **kwargs)

  expected = cca_core.robust_cca_similarity(*related)
  monkeypatch.setattr(np.linalg, 'svd', failing_twice)
  noisy = cca_core.robust_cca_similarity(*related)
  assert len(calls) == 3
  np.testing.assert_allclose(noisy['mean'], expected['mean'], 0, 1e-4)


def test_robust_gives_up_with_the_cause(related, monkeypatch):
  def failing(*args, **kwargs):
    raise np.linalg.LinAlgError('SVD did not converge')

  monkeypatch.setattr(np.linalg, 'svd', failing)
  with pytest.raises(np.linalg.LinAlgError, match='did not converge'):
    cca_core.robust_cca_similarity(*related)


@pytest.mark.parametrize('swap', [False, True])
@pytest.mark.parametrize(
  'measure',
  [_cca, pwcca.compute_pwcca, numpy_pls.get_pls_similarity],
)
def test_too_few_datapoints_on_either_side(rng, measure, swap):
  acts = rng.standard_normal((10, 300)), rng.standard_normal((300, 300))
  with pytest.raises(ValueError, match='300 neurons and 300 datapoints'):
    measure(*(acts[::-1] if swap else acts))


@pytest.mark.parametrize('epsilon', [0.0, 1e-10, 1e-6])
def test_duplicate_float32_neurons_add_nothing(related, epsilon):
  acts1, acts2 = (a.astype(np.float32) for a in related)
  doubled = np.concatenate([acts1, acts1[:5]])
  expected = _cca(acts1, acts2, epsilon=epsilon)['cca_coef1']
  coefs = _cca(doubled, acts2, epsilon=epsilon)['cca_coef1']
  np.testing.assert_allclose(coefs, expected, 0, 1e-5)
  coefs = _cca(doubled, doubled, epsilon=epsilon)['cca_coef1']
  np.testing.assert_allclose(coefs[:12], 1, 0, 1e-4)
  assert np.all(coefs[12:] < 1e-3)


@pytest.mark.parametrize('epsilon', [0.0, 1e-10])
@pytest.mark.parametrize('level', [0.0, 3.0])
def test_a_dead_layer_has_no_correlation(related, epsilon, level):
  acts1 = np.full_like(related[0], level)
  for acts in ((acts1, related[1]), (related[1], acts1)):
    result = _cca(*acts, epsilon=epsilon, compute_dirns=True)
    assert result['mean'] == result['plain_mean'] == result['sum'] == (0, 0)
    assert not np.any(result['cca_coef1'])
    assert np.all(np.isfinite(result['cca_dirns1']))
    weighted, weights, coefs = pwcca.compute_pwcca(*acts, epsilon=epsilon)
    assert weighted == 0
    assert np.all(np.isfinite(weights)) and not np.any(coefs)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_nan_is_located(related, value):
  related[1][3, 17] = value
  with pytest.raises(ValueError, match=r'acts2 .* neuron 3, datapoint 17'):
    _cca(*related)


def test_unlike_datapoints(related):
  with pytest.raises(ValueError, match='900 datapoints, acts2 has 800'):
    _cca(related[0], related[1][:, :800])


def test_directions_without_coefficients(related):
  alone = _cca(*related, compute_coefs=False, compute_dirns=True)
  both = _cca(*related, compute_coefs=True, compute_dirns=True)
  assert 'coef_x' not in alone
  for key in ('cca_dirns1', 'cca_dirns2'):
    np.testing.assert_array_equal(alone[key], both[key])


def test_pwcca_projects_the_narrower_side(related):
  wide, narrow = (a - a.mean(axis=1, keepdims=True) for a in related)
  forth = pwcca.compute_pwcca(narrow, wide, epsilon=1e-10)
  back = pwcca.compute_pwcca(wide, narrow, epsilon=1e-10)
  assert back[1].shape == (8,)
  np.testing.assert_allclose(back[1], forth[1], 0, 1e-9)
  assert abs(back[0] - forth[0]) < 1e-9


@pytest.mark.parametrize(
  'coefs, threshold, count',
  [
    ([0.7], 0.98, 1),
    ([0.0, 0.0], 0.98, 1),
    ([0.5, 0.5], 0.0, 1),
    ([0.5, 0.25, 0.25], 0.75, 2),
    ([0.5, 0.25, 0.25], 0.76, 3),
    ([0.1] * 7, 1.0, 7),
  ],
)
def test_the_mean_always_has_a_count(coefs, threshold, count):
  assert cca_core.sum_threshold(np.array(coefs), threshold) == count


def test_one_coefficient_is_its_own_mean(rng):
  acts1, acts2 = rng.standard_normal((2, 1, 50))
  result = _cca(acts1, acts2)
  expected = abs(np.corrcoef(acts1, acts2)[0, 1])
  np.testing.assert_allclose(result['mean'], expected, 0, 1e-9)
  np.testing.assert_allclose(result['plain_mean'], expected, 0, 1e-9)


def test_plain_mean_is_over_all(related):
  result = _cca(*related)
  assert abs(result['plain_mean'][0] - np.mean(result['cca_coef1'])) < 1e-15
  assert result['plain_mean'][0] < result['mean'][0]


def test_complex_directions_keep_their_phase(rng):
  z = rng.standard_normal((3, 400)) + 1j * rng.standard_normal((3, 400))
  acts1 = (rng.standard_normal((5, 3)) + 1j * rng.standard_normal((5, 3))) @ z
  acts2 = (rng.standard_normal((4, 3)) - 1j * rng.standard_normal((4, 3))) @ z
  acts1 = acts1 + 0.5 * rng.standard_normal((5, 400))
  acts2 = acts2 + 0.5 * rng.standard_normal((4, 400))
  result = _cca(acts1, acts2, compute_dirns=True)
  correlations = np.corrcoef(result['cca_dirns1'][:4], result['cca_dirns2'])
  np.testing.assert_allclose(
    np.diag(correlations[:4, 4:]), result['cca_coef1'], 0, 1e-9
  )


def _maps(rng, size, channels):
  return rng.standard_normal((60, size, size, channels))


@pytest.mark.parametrize('size1, size2', [(4, 4), (4, 3), (5, 6)])
def test_fourier_ccas_covers_the_shared_frequencies(rng, size1, size2):
  acts1, acts2 = _maps(rng, size1, 3), _maps(rng, size2, 5)
  table = dft_ccas.fourier_ccas(
    acts1, acts2, return_coefs=True, compute_dirns=True
  )
  size = min(size1, size2)
  assert set(table.location) == set(np.ndindex(size, size))
  # At frequency 0 the transform is the sum over positions.
  constant = _cca(acts1.sum((1, 2)).T, acts2.sum((1, 2)).T, epsilon=0.0)
  row = table[table.location == (0, 0)].iloc[0]
  np.testing.assert_allclose(row.cca_coef1, constant['cca_coef1'], 0, 1e-6)
  assert row.neuron_coeffs1.shape == (3, 3)
  assert row.neuron_coeffs2.shape == (5, 5)
  assert row.cca_dirns1.shape == (3, 60)


def test_fourier_ccas_of_a_translated_copy_is_one(rng):
  acts = _maps(rng, 4, 3)
  moved = np.roll(acts, (1, 2), axis=(1, 2))
  table = dft_ccas.fourier_ccas(acts, moved @ rng.standard_normal((3, 3)))
  assert len(table) == 16
  np.testing.assert_allclose(np.stack(table.cca_coef1), 1, 0, 1e-5)
  assert 'neuron_coeffs1' not in table


def test_fourier_resize_is_a_low_pass(rng):
  wave = np.cos(2 * np.pi * np.arange(8) / 8)[None, :, None, None]
  images = np.broadcast_to(wave, (2, 8, 12, 1))
  small = dft_ccas.fft_resize(images, resize=True, new_size=(4, 6))
  assert small.shape == (2, 4, 6, 1)
  whole = dft_ccas.fft_resize(images)
  np.testing.assert_allclose(np.sum(np.abs(small)), np.sum(np.abs(whole)))


def test_pca_centers_each_neuron(rng):
  scale = np.array([3, 2, 1])[:, None]
  acts = scale * rng.standard_normal((3, 4_000)) + np.array([[50], [0], [-9]])
  result = numpy_pca.get_pca(acts, compute_dirns=True)
  np.testing.assert_allclose(
    result['eigenvals'] ** 2 / 3_999,
    np.linalg.eigvalsh(np.cov(acts))[::-1],
    1e-9,
  )
  assert abs(result['neuron_coefs'][0, 0]) > 0.99
  assert result['pca_dirns'].shape == (3, 4_000)


def test_pls_directions_have_the_covariances(related):
  result = numpy_pls.get_pls_similarity(*related)
  assert result['eigenvals'].shape == (8,)
  covariances = (
    result['pls_dirns1'] @ result['pls_dirns2'].T / (related[0].shape[1] - 1)
  )
  np.testing.assert_allclose(covariances, np.diag(result['eigenvals']), 0, 1e-9)
