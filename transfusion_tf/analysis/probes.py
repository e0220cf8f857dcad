"""What features tell of labels: linear probes and nearest neighbors.

Both see features that are standardized by the training images. A linear probe
is the head of a network on features that stay as they are: independent
sigmoids, or a softmax over classes (Alain and Bengio, arXiv 1610.01644). What
has to be chosen, the strength of regularization and the number of neighbors,
has the lowest cross entropy on the validation images.

N are images, D features, K outputs; targets are 1, 0, or NaN where unknown.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import warnings

import numpy as np
from sklearn import exceptions
from sklearn import linear_model
from sklearn import neighbors

# Inverse strengths of L2, from strong to weak. The search ends once two in a
# row are no better: weak ones take longest.
_STRENGTHS = tuple(10.0**power for power in range(-4, 3))
_USUAL_STRENGTH = 1e-2  # Where no validation image has a label.
_PATIENCE = 2
_MOST_ITERATIONS = 300
_NEIGHBORS = (5, 10, 20, 50)
_SMALLEST = 1e-6  # Probability; and of a feature, stddev against its mean.


@dataclasses.dataclass(frozen=True)
class Examples:
  """Features [N, D] and targets [N, K] of one split."""

  features: np.ndarray
  targets: np.ndarray


@dataclasses.dataclass(frozen=True)
class Probe:
  """The answers of a probe.

  Attributes:
    probabilities: Probabilities [N, K] of the test images.
    validation: Cross entropy on the validation images; NaN without labels.
    setting: What was chosen, e.g. `C=0.01` or `k=20`.
  """

  probabilities: np.ndarray
  validation: float
  setting: str


def linear(
  train: Examples,
  validation: Examples,
  test: np.ndarray,
  exclusive: bool,
) -> Probe:
  """Return a logistic regression of each output, or of all classes.

  Args:
    train: The training images.
    validation: The images that choose the strength of regularization.
    test: Features [N, D] of the test images.
    exclusive: Whether an image is of one class only, the outputs a softmax.
  """
  standardize = _standardization(train.features)
  x, x_validation, x_test = map(
    standardize, (train.features, validation.features, test)
  )
  problems = (
    [slice(None)]
    if exclusive
    else [slice(k, k + 1) for k in range(train.targets.shape[1])]
  )
  parts = [
    _strongest_needed(
      Examples(x, train.targets[:, columns]),
      Examples(x_validation, validation.targets[:, columns]),
      x_test,
    )
    for columns in problems
  ]
  return Probe(
    np.concatenate([part.probabilities for part in parts], axis=1),
    float(np.mean([part.validation for part in parts])),
    '/'.join(dict.fromkeys(part.setting for part in parts)),
  )


def nearest_neighbors(
  train: Examples, validation: Examples, test: np.ndarray, exclusive: bool
) -> Probe:
  """Return the votes of the nearest training images, by cosine.

  The prevalence in training is one vote more, so that no probability is 0.

  Args:
    train: The training images.
    validation: The images that choose the number of neighbors.
    test: Features [N, D] of the test images.
    exclusive: Whether an image is of one class only.
  """
  standardize = _standardization(train.features)
  counts = [k for k in _NEIGHBORS if k <= len(train.features)] or [1]
  index = neighbors.NearestNeighbors(n_neighbors=counts[-1], metric='cosine')
  index.fit(standardize(train.features))
  prior = np.nan_to_num(_mean_of_known(train.targets, axis=0), nan=0.5)

  def votes(features):
    """Return k -> probabilities [N, K]."""
    nearest = index.kneighbors(standardize(features), return_distance=False)
    columns = [
      _voted(targets[nearest], counts, vote)
      for targets, vote in zip(train.targets.T, prior, strict=True)
    ]
    return dict(zip(counts, np.stack(columns, axis=-1), strict=True))

  losses = {
    k: _cross_entropy(validation.targets, probabilities, exclusive)
    for k, probabilities in votes(validation.features).items()
  }
  chosen = min(losses, key=lambda k: (np.nan_to_num(losses[k], nan=0), -k))
  return Probe(votes(test)[chosen], losses[chosen], f'k={chosen}')


PROBES: Mapping[str, Callable[..., Probe]] = {
  'linear': linear,
  'knn': nearest_neighbors,
}


def _voted(targets, counts, prior):
  """Return [counts, N] means of the first of targets [N, neighbors]."""
  known = ~np.isnan(targets)
  sums = np.where(known, targets, 0).cumsum(axis=1) + prior
  votes = known.cumsum(axis=1) + 1
  return [sums[:, k - 1] / votes[:, k - 1] for k in counts]


def _standardization(features):
  """Return a function that standardizes as these features are, [N, D].

  Features that do not vary are left out.
  """
  mean, stddev = (
    getattr(features, moment)(axis=0, dtype=float) for moment in ('mean', 'std')
  )
  varies = stddev > _SMALLEST * np.abs(mean)
  if not varies.any():
    return lambda x: np.zeros((len(x), 1))
  return lambda x: (x[:, varies] - mean[varies]) / stddev[varies]


def _strongest_needed(train, validation, test) -> Probe:
  """Return the regression of the strength that suits the validation images."""
  num_outputs = train.targets.shape[1]
  known = ~np.isnan(train.targets[:, 0])
  labels = _labels(train.targets[known])
  if len(np.unique(labels)) < 2:  # Nothing to learn.
    prior = (train.targets[known].sum(axis=0) + 1) / (known.sum() + 2)
    return Probe(np.tile(prior, (len(test), 1)), np.nan, 'constant')
  x, rotation = _rotated(train.features[known])
  x_validation, x_test = validation.features @ rotation, test @ rotation
  best, lowest, worse = None, np.inf, 0
  for strength, model in _path(x, labels):
    loss = _cross_entropy(
      validation.targets,
      _probabilities(model, x_validation, num_outputs),
      num_outputs > 1,
    )
    rank = float(strength != _USUAL_STRENGTH) if np.isnan(loss) else loss
    if rank < lowest:
      probabilities = _probabilities(model, x_test, num_outputs)
      best, lowest = Probe(probabilities, loss, f'C={strength:g}'), rank
      worse = 0
    else:
      worse += 1
    if worse == _PATIENCE:
      break
  assert best is not None
  return best


def _path(x, labels) -> Iterator[tuple[float, linear_model.LogisticRegression]]:
  """Yield each strength with its model, which starts where the last ended."""
  model = linear_model.LogisticRegression(
    warm_start=True, max_iter=_MOST_ITERATIONS
  )
  for strength in _STRENGTHS:
    model.set_params(C=strength)
    with warnings.catch_warnings():
      # Nearly separable and hardly regularized: it is not chosen.
      warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
      model.fit(x, labels)
    yield strength, model


def _rotated(x):
  """Return features [N, at most N] of the same inner products, and the map.

  A regression with an L2 penalty depends on nothing else.
  """
  if x.shape[1] <= len(x):
    return x, np.eye(x.shape[1])
  _, values, axes = np.linalg.svd(x, full_matrices=False)
  rotation = axes[values > _SMALLEST * values[0]].T
  return x @ rotation, rotation


def _labels(targets):
  """Return class numbers [N] of targets [N, K], or those of one column."""
  if targets.shape[1] == 1:
    return targets[:, 0].astype(int)
  return targets.argmax(axis=1)


def _probabilities(model, x, num_outputs):
  """Return [N, K]; a class that training lacks has probability 0."""
  fitted = model.predict_proba(x)
  if num_outputs == 1:
    return fitted[:, 1:]
  probabilities = np.zeros((len(x), num_outputs))
  probabilities[:, model.classes_] = fitted
  return probabilities


def _cross_entropy(targets, probabilities, exclusive):
  """Return the mean over known targets; NaN if there is none."""
  p = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
  if exclusive:
    losses = -(targets * np.log(p)).sum(axis=1)
  else:
    losses = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))
  return float(_mean_of_known(losses))


def _mean_of_known(values, axis=None):
  known = ~np.isnan(values)
  with np.errstate(invalid='ignore'):
    return np.where(known, values, 0).sum(axis=axis) / known.sum(axis=axis)
