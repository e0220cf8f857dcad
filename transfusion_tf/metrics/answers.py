"""A network's answers to what a data set asks, and the metrics made from them.

Every metric here is a function of true labels and probabilities alone. A table
of scores holds these, so that `from_table` gives back the answers and with them
the metrics.

  Questions   yes or no: referable disease, one of two classes, each finding
  Choice      one class of more than two
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools

import numpy as np

from transfusion_tf import output_names
from transfusion_tf.metrics import base
from transfusion_tf.metrics import calibration
from transfusion_tf.metrics import means
from transfusion_tf.metrics import ranking

# With more classes nobody reads a mean over them, and it would take minutes.
MOST_CLASSES = 100
# The metrics whose columns hold the one question of two classes, that of
# grades, and the true one of several classes.
MOST_PROBABLE = 'the most probable class'
TWO_CLASSES, REFERABLE, CHOICE = 'auc', 'referable', 'balanced_accuracy'


@dataclasses.dataclass(frozen=True, eq=False)
class Questions:
  """Answers to yes-or-no questions.

  Attributes:
    asked: Name -> labels [N], 1, 0 or NaN, and probabilities [N].
  """

  asked: Mapping[str, tuple[np.ndarray, np.ndarray]]

  def errors(self) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return squared errors [N] and classes [N] of each question."""
    return [
      ((scores - labels) ** 2, labels) for labels, scores in self.asked.values()
    ]

  @functools.cached_property
  def bins(self) -> dict[str, calibration.Bins]:
    """Name -> the bins of a calibration curve."""
    return {
      name: calibration.Bins.of(*pair) for name, pair in self.asked.items()
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
  """Answers that are one class of K.

  Attributes:
    names: The classes, K.
    classes: The true class of each example, [N], counted from 0.
    probabilities: Probabilities [N, K].
  """

  names: Sequence[str]
  classes: np.ndarray
  probabilities: np.ndarray

  @property
  def asked(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A question a class: is it that one, or another?"""
    return {
      name: ((self.classes == k).astype(float), self.probabilities[:, k])
      for k, name in enumerate(self.names)
    }

  def errors(self) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return half the squared errors over classes [N], and classes [N]."""
    right = self.probabilities[np.arange(len(self.classes)), self.classes]
    squares = np.sum(self.probabilities**2, axis=1)
    return [((squares - 2 * right + 1) / 2, self.classes)]

  @functools.cached_property
  def bins(self) -> dict[str, calibration.Bins]:
    """The bins of the highest probability: is that class the true one?"""
    right = self.probabilities.argmax(axis=1) == self.classes
    highest = self.probabilities.max(axis=1)
    return {MOST_PROBABLE: calibration.Bins.of(right, highest)}


Answers = Questions | Choice


def from_table(table: Mapping[str, Sequence]) -> Answers | None:
  """Return the answers that a table of scores holds; None if it does not.

  Args:
    table: Column -> [N], e.g. a data frame, as `run.build.evaluate` makes it.

  Raises:
    ValueError: A class has no column.
  """
  if TWO_CLASSES + ':score' not in table and CHOICE + ':class' in table:
    names = output_names.of_columns(table)
    columns = [np.asarray(table[name], float) for name in names]
    classes = np.asarray(table[CHOICE + ':class'], float)
    if not np.isin(classes, np.arange(len(names))).all():
      raise ValueError(f'{CHOICE}:class has what is no class')
    classes = classes.astype(int)
    return Choice(names, classes, np.stack(columns, axis=1))
  ending = ':score'
  scored = [c.removesuffix(ending) for c in table if c.endswith(ending)]
  # A metric of the user may have such columns, too.
  known = (TWO_CLASSES, REFERABLE, *output_names.of_columns(table))
  asked = {
    name: (
      np.asarray(table[f'{name}:label'], float),
      np.asarray(table[f'{name}:score'], float),
    )
    for name in scored
    if name in known and f'{name}:label' in table
  }
  return Questions(asked) if asked else None


def _average(metrics: Sequence[base.Metric]) -> base.Metric:
  return metrics[0] if len(metrics) == 1 else means.Average(tuple(metrics))


def average_precision(answers: Answers) -> base.Metric | None:
  """Return that of the question, or its mean over questions or classes."""
  if len(answers.asked) > MOST_CLASSES:
    return None
  return _average(
    [ranking.AveragePrecision(*pair) for pair in answers.asked.values()]
  )


def macro_auc(answers: Answers) -> base.Metric | None:
  """Return the mean AUC of each of several classes against the rest."""
  if not isinstance(answers, Choice) or len(answers.names) > MOST_CLASSES:
    return None
  return _average([ranking.Auc(*pair) for pair in answers.asked.values()])


def brier(answers: Answers) -> base.Metric:
  """Return the Brier score, or its mean over questions."""
  return _average([calibration.Brier(e) for e, _ in answers.errors()])


def brier_skill(answers: Answers) -> base.Metric | None:
  """Return the Brier skill, or its mean over questions."""
  if isinstance(answers, Choice) and len(answers.names) > MOST_CLASSES:
    return None
  return _average([calibration.BrierSkill(*pair) for pair in answers.errors()])


def ece(answers: Answers) -> base.Metric:
  """Return the expected calibration error."""
  return calibration.CalibrationError(tuple(answers.bins.values()))


# Name -> how it is made; None for answers that have none.
METRICS: dict[str, Callable[[Answers], base.Metric | None]] = {
  'macro_auc': macro_auc,
  'average_precision': average_precision,
  'brier': brier,
  'brier_skill': brier_skill,
  'ece': ece,
}
