"""Scores that are meant to predict without training how weights transfer.

Both are functions of the features [N, D] of a network's last stage on training
images and of their labels. Scores of this kind were found not to predict the
order of models on medical images (Chaves et al., DART 2023, arXiv 2308.07444):
they are shown beside what was measured, and nothing follows from them.
"""

import numpy as np
from scipy import optimize
from scipy import special
from sklearn import covariance

_GRID = np.linspace(-25, 25, 101)  # Of the logarithm of a ratio of precisions.


def log_me(features: np.ndarray, targets: np.ndarray) -> float:
  """Return LogME: log evidence of a Bayesian linear model, for an image.

  You et al., ICML 2021. A target y is normal around F w with precision beta,
  the weights w are normal around 0 with precision alpha. Integrated over w, y
  is normal with covariance (I + F F^T / t) / beta, t = alpha / beta. Of each t
  the best beta is known, so that t alone is searched.

  Args:
    features: Features F [N, D].
    targets: Targets [N, K], NaN where unknown; the mean over K is returned.
  """
  return float(
    np.mean([_log_me(*_known(features, column)) for column in targets.T])
  )


def _log_me(features, target):
  count = len(target)
  left, singular, _ = np.linalg.svd(features, full_matrices=False)
  squares = singular**2 / max(singular[0] ** 2, np.finfo(float).tiny)
  projected = (left.T @ target) ** 2
  rest = max(float(target @ target - projected.sum()), 0.0)

  def evidence(log_t):
    # y^T (I + F F^T / t)^-1 y, and the log determinant.
    shrunk = special.expit(log_t - np.log(np.maximum(squares, 1e-300)))
    squared = max(rest + float(projected @ shrunk), np.finfo(float).tiny)
    log_determinant = -np.log(shrunk).sum()
    return (
      count * (np.log(count / squared) - 1 - np.log(2 * np.pi))
      - log_determinant
    ) / 2

  best = int(np.argmax([evidence(log_t) for log_t in _GRID]))
  bounds = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
  found = optimize.minimize_scalar(
    lambda log_t: -evidence(log_t), bounds=bounds, method='bounded'
  )
  return max(-found.fun, evidence(_GRID[best])) / count


def h_score(
  features: np.ndarray, targets: np.ndarray, exclusive: bool
) -> float:
  """Return the regularized H-score: variance of class means, in that of all.

  Ibrahim et al., arXiv 2110.06893: the trace of C^-1 (1 - a) C_means, where C
  is the covariance of the features, shrunk by a (Ledoit and Wolf), and C_means
  that of each image's class mean. Of K classes it is below K - 1.

  Args:
    features: Features [N, D].
    targets: Targets [N, K], NaN where unknown.
    exclusive: Whether an image is of one class only. Otherwise each target is a
      problem of two classes, and the mean over them is returned.
  """
  if exclusive:
    return _h_score(np.asarray(features, float), targets.argmax(axis=1))
  return float(
    np.mean([_h_score(*_known(features, column)) for column in targets.T])
  )


def _h_score(features, labels):
  centered = features - features.mean(axis=0)
  shrunk = covariance.LedoitWolf(assume_centered=True).fit(centered)
  score = 0.0
  for label in np.unique(labels):
    ours = labels == label
    mean = centered[ours].mean(axis=0)
    within = mean @ np.linalg.lstsq(shrunk.covariance_, mean)[0]
    score += float(np.mean(ours) * within)
  return (1 - float(shrunk.shrinkage_)) * score


def _known(features, target):
  known = ~np.isnan(target)
  return np.asarray(features[known], float), target[known]
