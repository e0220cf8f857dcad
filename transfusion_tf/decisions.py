"""What a network's probabilities are taken for: thresholds and a temperature.

They are chosen on validation and belong to one checkpoint: `run_folder` keeps
them, an export carries them, and `predict` decides by them. Scores and
thresholds are compared in 32 bits, in which both are computed: 0.7 in a file
is then the score of that name.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, NotRequired, TypedDict

from etils import epy
import numpy as np
from scipy import optimize

from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import tasks

with epy.lazy_imports():  # Listing runs does without.
  import tensorflow as tf

_BOUNDS = (-3.0, 3.0)  # Of the logarithm of a temperature.
_NO_LESS = 1e-6  # Of a loss in 32 bits, which is flat where all is right.
CLASS, GRADE = 'class', 'grade'


class PointRecord(TypedDict):
  """A threshold as JSON files have it; null calls no image positive."""

  question: str
  point: str
  at_least: float
  threshold: float | None
  chosen_on: int


class Record(TypedDict):
  """Decisions as JSON files have them."""

  points: list[PointRecord]
  temperature: NotRequired[float | None]


@dataclasses.dataclass(frozen=True)
class Decisions:
  """How the probabilities of one checkpoint are read.

  Attributes:
    points: Thresholds of yes-or-no questions.
    temperature: What logits are divided by so that probabilities are
      frequencies; None if nobody asked for it.
  """

  points: tuple[metrics.operating_points.Chosen, ...] = ()
  temperature: float | None = None

  def names(self, task: tasks.Task) -> tuple[str, ...]:
    """Return the name of each decision, in the order of `decide`."""
    alone = not isinstance(task, tasks.Findings)
    names = [
      '_'.join(([] if alone else [p.question]) + p.target.name.split())
      for p in self.points
    ]
    return (*names, *filter(None, [most_probable(task)]))

  def decide(self, task: tasks.Task, probabilities: 'tf.Tensor') -> 'tf.Tensor':
    """Return the decisions, int32 [N, D], on probabilities [N, K].

    At a threshold one is 1 or 0, else the number of a class or grade.
    """
    values = [
      scores(task, point.question, probabilities)
      >= tf.constant(point.threshold, tf.float32)
      for point in self.points
    ]
    if most_probable(task):
      values.append(task.most_probable(probabilities))
    return tf.stack([tf.cast(value, tf.int32) for value in values], axis=-1)

  def calibrated(
    self, task: tasks.Task, probabilities: 'tf.Tensor'
  ) -> 'tf.Tensor':
    """Return the probabilities [N, K] at the temperature."""
    assert self.temperature is not None
    logits = task.logits(probabilities)
    return task.probabilities(logits / tf.constant(self.temperature))

  def to_json(self) -> dict[str, Any]:
    """Return them as JSON can hold them."""
    return {
      'points': [point.record() for point in self.points],
      'temperature': self.temperature,
    }


def from_json(record: Mapping[str, Any]) -> Decisions:
  """Return what `Decisions.to_json` described."""
  points = metrics.operating_points.chosen(record['points'])
  return Decisions(points, record.get('temperature'))


def most_probable(task: tasks.Task) -> str:
  """Return what the most probable output is called, if there is a choice."""
  if isinstance(task, tasks.Grades):
    return GRADE
  return CLASS if isinstance(task, tasks.Classes) else ''


def scores(task: tasks.Task, question: str, probabilities: Any) -> Any:
  """Return the scores [N] of a question, of an array or tensor [N, K]."""
  if isinstance(task, tasks.Grades):
    return task.scores(probabilities)
  if isinstance(task, tasks.Classes):  # Two: of more nothing is asked.
    return probabilities[:, 1]
  return probabilities[:, task.names.index(question)]


def fit_temperature(
  task: tasks.Task, probabilities: np.ndarray, labels: Mapping
) -> float:
  """Return the temperature at which the loss is least (Guo et al., ICML 2017).

  Args:
    task: The task.
    probabilities: Of validation, [N, K].
    labels: Feature key -> labels [N].

  Raises:
    InputError: The loss has no least value: nothing is told apart.
  """
  logits = task.logits(tf.constant(probabilities, tf.float32))
  targets, mask = task.targets(labels)

  def loss(log_temperature):
    at = logits / tf.constant(np.exp(log_temperature), tf.float32)
    return float(tf.reduce_mean(task.loss(at, targets, mask)))

  found = optimize.minimize_scalar(loss, bounds=_BOUNDS, method='bounded')
  if min(loss(bound) for bound in _BOUNDS) <= found.fun + _NO_LESS:
    raise errors.InputError(
      'no temperature fits: on validation the probabilities say nothing, or '
      'everything; train longer, or take more validation images'
    )
  return float(np.exp(found.x))
