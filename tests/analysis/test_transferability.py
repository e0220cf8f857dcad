"""LogME and the H-score against slower ways to the same number, and laws."""

import itertools

import numpy as np
import pytest
from scipy import optimize
from scipy import stats

from transfusion_tf.analysis import transferability


def _data(seed=0, count=40, width=6, strength=1.0):
  rng = np.random.default_rng(seed)
  target = rng.integers(0, 2, count).astype(float)
  features = rng.normal(size=(count, width))
  features[:, 0] += strength * target
  return features, target[:, None]


@pytest.mark.parametrize(('count', 'width'), [(40, 6), (12, 30)])
def test_log_me_is_the_largest_evidence(count, width):
  """By brute force: the density of a normal distribution of N dimensions."""
  features, targets = _data(count=count, width=width)

  def negative(logs):
    alpha, beta = np.exp(logs)
    covariance = np.eye(count) / beta + features @ features.T / alpha
    normal = stats.multivariate_normal(np.zeros(count), covariance)
    return -normal.logpdf(targets[:, 0])

  best = min(
    optimize.minimize(negative, start, method='Nelder-Mead').fun
    for start in itertools.product((-2.0, 2.0), repeat=2)
  )
  found = transferability.log_me(features, targets)
  assert found == pytest.approx(-best / count, abs=1e-6)


def test_log_me_follows_the_published_formula():
  """Equation 2 of You et al. at its own maximum, by their fixed point."""
  f, targets = _data()
  y, (n, d) = targets[:, 0], f.shape
  alpha = beta = 1.0
  for _ in range(1000):
    a = alpha * np.eye(d) + beta * f.T @ f
    m = beta * np.linalg.solve(a, f.T @ y)
    gamma = d - alpha * np.trace(np.linalg.inv(a))
    alpha = gamma / (m @ m)
    beta = (n - gamma) / np.sum((f @ m - y) ** 2)
  evidence = (
    n * np.log(beta)
    + d * np.log(alpha)
    - n * np.log(2 * np.pi)
    - beta * np.sum((f @ m - y) ** 2)
    - alpha * m @ m
    - np.linalg.slogdet(a)[1]
  ) / 2
  assert transferability.log_me(f, targets) == pytest.approx(evidence / n)


def test_scores_rise_with_what_features_tell():
  for score in (
    transferability.log_me,
    lambda *data: transferability.h_score(*data, exclusive=False),
  ):
    values = [score(*_data(count=300, strength=s)) for s in (0, 1, 3, 6)]
    assert values == sorted(values)
    assert values[-1] > values[0] + 1e-3


def test_what_scores_do_not_depend_on():
  features, targets = _data()
  rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
  for score in (
    transferability.log_me,
    lambda *data: transferability.h_score(*data, exclusive=False),
  ):
    value = score(features, targets)
    assert score(features @ rotation, targets) == pytest.approx(value)
    assert score(7 * features, targets) == pytest.approx(value)
    assert score(features[::-1], targets[::-1]) == pytest.approx(value)


def test_the_h_score_of_two_classes_is_what_a_regression_explains():
  """R squared of the labels on the features, where nothing is shrunk."""
  features, targets = _data(count=20_000)
  features *= np.arange(1, 7)  # Of equal variances, all would be shrunk.
  label = targets[:, 0]
  design = np.column_stack([np.ones(len(label)), features])
  residual = label - design @ np.linalg.lstsq(design, label)[0]
  expected = 1 - residual.var() / label.var()
  both = np.concatenate([1 - targets, targets], axis=1)
  for columns, exclusive in ((targets, False), (both, True)):
    found = transferability.h_score(features, columns, exclusive)
    assert found == pytest.approx(expected, rel=0.02)


def test_the_h_score_is_finite_with_more_features_than_images():
  features, targets = _data(count=30, width=200)
  assert 0 < transferability.h_score(features, targets, False) < 1


def test_unknown_targets_are_left_out():
  features, targets = _data()
  some = targets.copy()
  some[::3] = np.nan
  known = ~np.isnan(some[:, 0])
  for score in (
    transferability.log_me,
    lambda *data: transferability.h_score(*data, exclusive=False),
  ):
    expected = score(features[known], targets[known])
    assert score(features, some) == pytest.approx(expected)
