"""Thresholds that are chosen on one split and judged on another.

Gulshan et al. (JAMA 316(22), 2016) choose two operating points on the images
that the network was developed with, one for high specificity and one for high
sensitivity, and report both numbers of each on other patients: 90.3 % and
98.1 %, 97.5 % and 93.4 % on EyePACS-1. So do we, with validation in the place
of their development set. What is asked of validation is `SPECIFICITY` and
`SENSITIVITY` unless a user says otherwise.

Images with a score at or above the threshold are called positive.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from transfusion_tf.metrics import answers as answers_lib
from transfusion_tf.metrics import means
from transfusion_tf.metrics import summary

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

  def counted(self, labels: np.ndarray) -> int:
    """Return the number of examples of the class that the target is about."""
    labels = np.asarray(labels, float)
    is_positive = self.name == HIGH_SENSITIVITY
    return int(np.sum(labels > 0 if is_positive else labels <= 0))


def targets(
  specificity: float = SPECIFICITY, sensitivity: float = SENSITIVITY
) -> tuple[Target, Target]:
  """Return the two operating points, high specificity first."""
  return (
    Target(HIGH_SPECIFICITY, specificity),
    Target(HIGH_SENSITIVITY, sensitivity),
  )


@dataclasses.dataclass(frozen=True)
class Chosen:
  """A threshold that validation chose.

  Attributes:
    question: What is asked, e.g. a finding.
    target: What the threshold was chosen for.
    threshold: The least score that is called positive; may be infinite.
    chosen_on: The validation images of the class that the target is about.
  """

  question: str
  target: Target
  threshold: float
  chosen_on: int

  def record(self) -> dict[str, Any]:
    """Return it as JSON can hold it."""
    return {
      'question': self.question,
      'point': self.target.name,
      'at_least': self.target.at_least,
      **summary.finite({'threshold': self.threshold}),
      'chosen_on': self.chosen_on,
    }


def chosen(records: Sequence[Mapping[str, Any]]) -> tuple[Chosen, ...]:
  """Return the points that `Chosen.record` or `OperatingPoint.record` made."""
  return tuple(
    Chosen(
      record['question'],
      Target(record['point'], record['at_least']),
      math.inf if record['threshold'] is None else record['threshold'],
      record['chosen_on'],
    )
    for record in records
  )


def choose(
  validation: answers_lib.Answers | None,
  asked: Sequence[Target] | None = None,
) -> list[Chosen]:
  """Return the thresholds of yes-or-no questions; none of a choice.

  A question stays out if validation lacks a class.

  Args:
    validation: Answers that thresholds are chosen on, if there are any.
    asked: What is asked of validation; `targets()` if None.
  """
  if not isinstance(validation, answers_lib.Questions):
    return []
  return [
    Chosen(
      question,
      target,
      target.threshold(labels, scores),
      target.counted(labels),
    )
    for question, (labels, scores) in validation.asked.items()
    if _has_both(labels)
    for target in asked or targets()
  ]


@dataclasses.dataclass(frozen=True, eq=False)
class OperatingPoint:
  """A threshold that validation chose, and what other images show at it.

  Attributes:
    chosen: The threshold.
    sensitivity: Sensitivity on the other images.
    specificity: Specificity on the other images.
  """

  chosen: Chosen
  sensitivity: means.Fraction
  specificity: means.Fraction

  def record(self, patients: Sequence) -> dict[str, Any]:
    """Return it as JSON can hold it, with intervals over patients."""
    found = {'sensitivity': self.sensitivity, 'specificity': self.specificity}
    return {**self.chosen.record(), **summary.summaries(found, patients)}


def judge(
  validation: answers_lib.Answers | None,
  test: answers_lib.Answers | None,
  asked: Sequence[Target] | None = None,
) -> list[OperatingPoint]:
  """Return the operating points of yes-or-no questions; none of a choice.

  A question stays out if one of the splits lacks a class.

  Args:
    validation: Answers that thresholds are chosen on, if there are any.
    test: Answers of the same network to the same questions on other images.
    asked: What is asked of validation; `targets()` if None.
  """
  return judge_chosen(choose(validation, asked), test)


def judge_chosen(
  chosen: Sequence[Chosen], test: answers_lib.Answers | None
) -> list[OperatingPoint]:
  """Return what images show at thresholds that were chosen on others.

  A question stays out if they lack a class.

  Args:
    chosen: The thresholds.
    test: Answers of the same network to the same questions.
  """
  if not isinstance(test, answers_lib.Questions):
    return []
  points = []
  for point in chosen:
    if point.question not in test.asked:
      continue
    labels, scores = test.asked[point.question]
    if not _has_both(labels):
      continue
    points.append(
      OperatingPoint(
        point,
        sensitivity(labels, scores, point.threshold),
        specificity(labels, scores, point.threshold),
      )
    )
  return points


def text(record: Mapping[str, Any]) -> str:
  """Return a line on an operating point, of `OperatingPoint.record`."""
  threshold, point = record['threshold'], record['point']
  kind = 'positive' if point == HIGH_SENSITIVITY else 'negative'
  alone = record['question'] == answers_lib.TWO_CLASSES
  return (
    f'{"" if alone else record["question"] + " "}at {point} (threshold '
    f'{"none" if threshold is None else f"{threshold:.4f}"}, chosen on '
    f'{record["chosen_on"]} {kind} images of validation): '
    f'sensitivity {summary.text(record["sensitivity"])}, '
    f'specificity {summary.text(record["specificity"])}'
  )


def _has_both(labels):
  labels = np.asarray(labels, float)
  return bool(np.any(labels > 0) and np.any(labels <= 0))


def sensitivity(
  labels: np.ndarray, scores: np.ndarray, threshold: float
) -> means.Fraction:
  """Return the fraction of positive images that are called positive."""
  called = np.asarray(scores) >= threshold
  return means.Fraction(np.where(np.asarray(labels) > 0, called, np.nan))


def specificity(
  labels: np.ndarray, scores: np.ndarray, threshold: float
) -> means.Fraction:
  """Return the fraction of negative images that are called negative."""
  called = np.asarray(scores) < threshold
  return means.Fraction(np.where(np.asarray(labels) <= 0, called, np.nan))
