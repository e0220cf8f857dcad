"""Probes find a label that features hold, and nothing where there is none."""

import numpy as np
import pytest
from sklearn import linear_model

from transfusion_tf import metrics
from transfusion_tf.analysis import probes

_EACH = pytest.mark.parametrize('probe', probes.PROBES.values())


def _examples(rng, labels, width, strength):
  """Noise, with the label in every fourth feature."""
  features = rng.normal(size=(len(labels), width))
  features[:, ::4] += strength * labels[:, None]
  return probes.Examples(
    100 + features * rng.uniform(0.1, 10, width), labels[:, None]
  )


def _splits(width, strength, shuffle=False, sizes=(200, 80, 400)):
  rng = np.random.default_rng(0)
  splits = []
  for size in sizes:
    labels = rng.integers(0, 2, size).astype(float)
    shown = rng.permutation(labels) if shuffle else labels
    splits.append((_examples(rng, shown, width, strength), labels))
  (train, _), (validation, _), (test, labels) = splits
  return train, validation, test.features, labels


@_EACH
@pytest.mark.parametrize('width', [12, 400])  # Fewer and more than images.
def test_a_planted_label_is_found(probe, width):
  train, validation, test, labels = _splits(width, 2)
  found = probe(train, validation, test, exclusive=False)
  assert metrics.Auc(labels, found.probabilities[:, 0]).value() > 0.95
  assert found.validation < np.log(2)


@_EACH
def test_shuffled_labels_are_at_chance(probe):
  train, validation, test, labels = _splits(40, 2, shuffle=True)
  found = probe(train, validation, test, exclusive=False)
  metric = metrics.Auc(labels, found.probabilities[:, 0])
  low, high = metric.interval(np.arange(len(labels)))
  assert low < 0.5 < high


@_EACH
def test_classes_are_ranked_as_one_softmax(probe):
  rng = np.random.default_rng(0)

  def examples(size):
    label = rng.integers(0, 3, size)
    features = rng.normal(size=(size, 6))
    features[np.arange(size), label] += 4
    return probes.Examples(features, np.eye(4)[label]), label

  (train, _), (validation, _), (test, label) = map(examples, (150, 60, 90))
  found = probe(train, validation, test.features, exclusive=True)
  assert found.probabilities.shape == (90, 4)
  assert np.mean(found.probabilities.argmax(axis=1) == label) > 0.9
  np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
  # A class that training lacks is never the answer.
  assert found.probabilities[:, 3].max() < 0.05


@_EACH
def test_unknown_and_one_sided_targets_are_left_out(probe):
  train, validation, test, labels = _splits(12, 3)
  targets = np.stack([train.targets[:, 0]] * 3, axis=1)
  targets[:50, 1] = np.nan
  targets[:, 2] = 0
  three = np.repeat(validation.targets, 3, axis=1)
  three[:, 1] = np.nan  # Nothing to choose by.
  found = probe(
    probes.Examples(train.features, targets),
    probes.Examples(validation.features, three),
    test,
    exclusive=False,
  )
  assert np.isfinite(found.probabilities).all()
  for column in (0, 1):
    auc = metrics.Auc(labels, found.probabilities[:, column]).value()
    assert auc > 0.95
  assert np.ptp(found.probabilities[:, 2]) == 0


def test_the_linear_probe_is_the_logistic_regression_of_its_strength():
  """Also where it is computed in as many directions as there are images."""
  train, validation, test, _ = _splits(300, 0.5, sizes=(80, 60, 50))
  found = probes.linear(train, validation, test, exclusive=False)
  mean, std = train.features.mean(axis=0), train.features.std(axis=0)
  model = linear_model.LogisticRegression(
    C=float(found.setting.removeprefix('C=')), max_iter=10_000, tol=1e-8
  ).fit((train.features - mean) / std, train.targets[:, 0])
  expected = model.predict_proba((test - mean) / std)[:, 1]
  np.testing.assert_allclose(found.probabilities[:, 0], expected, atol=2e-3)


def test_features_that_do_not_vary_tell_nothing():
  targets = np.tile([0.0, 1.0], 20)[:, None]
  same = probes.Examples(np.full((40, 3), 7.0), targets)
  for probe in probes.PROBES.values():
    found = probe(same, same, np.full((5, 3), 9.0), exclusive=False)
    np.testing.assert_allclose(found.probabilities, 0.5, atol=0.1)
