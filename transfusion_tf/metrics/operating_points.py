"""Thresholds that are chosen on one split and judged on another.

Gulshan et al. (JAMA 316(22), 2016) choose two operating points on the images
that the network was developed with, one for high specificity and one for high
sensitivity, and report both numbers of each on other patients: 90.3 % and
98.1 %, 97.5 % and 93.4 % on EyePACS-1. So do we, with validation in the place
of their development set. What is asked of validation is `SPECIFICITY` and
`SENSITIVITY` unless a user says otherwise.

Images with a score at or above the threshold are called positive.
"""

import dataclasses
import math

import numpy as np

from transfusion_tf.metrics import means

SPECIFICITY, SENSITIVITY = 0.98, 0.97
HIGH_SPECIFICITY, HIGH_SENSITIVITY = 'high specificity', 'high sensitivity'


@dataclasses.dataclass(frozen=True)
class Target:
  """What an operating point is chosen for.

  Attributes:
    name: HIGH_SPECIFICITY or HIGH_SENSITIVITY.
    at_least: The specificity, or sensitivity, that validation has to show.
  """

  name: str
  at_least: float

  def threshold(self, labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the threshold that is best among those that meet the target.

    For specificity it is the lowest, with the highest sensitivity; for
    sensitivity the highest. Infinite, so that no image is positive, if no score
    meets the specificity.

    Args:
      labels: Labels [N], 1, 0 or NaN, with both classes.
      scores: Scores [N].

    Raises:
      ValueError: A class has no example.
    """
    labels, scores = np.asarray(labels, float), np.asarray(scores, float)
    positive, negative = np.sort(scores[labels > 0]), scores[labels <= 0]
    if not len(positive) or not len(negative):
      raise ValueError('validation has one class alone')
    if self.name == HIGH_SENSITIVITY:
      needed = math.ceil(self.at_least * len(positive) - 1e-9)
      return float(positive[len(positive) - max(needed, 1)])
    # Every threshold between two positive scores does as well as the higher.
    negative = np.sort(negative)
    passed = np.searchsorted(negative, positive, 'left') / len(negative)
    good = positive[passed >= self.at_least - 1e-9]
    return float(good[0]) if len(good) else math.inf


def targets(
  specificity: float = SPECIFICITY, sensitivity: float = SENSITIVITY
) -> tuple[Target, Target]:
  """Return the two operating points, high specificity first."""
  return (
    Target(HIGH_SPECIFICITY, specificity),
    Target(HIGH_SENSITIVITY, sensitivity),
  )


def sensitivity(
  labels: np.ndarray, scores: np.ndarray, threshold: float
) -> means.PartMean:
  """Return the fraction of positive images that are called positive."""
  called = np.asarray(scores) >= threshold
  return means.PartMean(np.where(np.asarray(labels) > 0, called, np.nan))


def specificity(
  labels: np.ndarray, scores: np.ndarray, threshold: float
) -> means.PartMean:
  """Return the fraction of negative images that are called negative."""
  called = np.asarray(scores) < threshold
  return means.PartMean(np.where(np.asarray(labels) <= 0, called, np.nan))
