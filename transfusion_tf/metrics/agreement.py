"""Agreement of grades: quadratic-weighted kappa, and confusion matrices."""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np
from scipy import special

from transfusion_tf.metrics import base

MOST_SHOWN = 20  # Classes of a confusion matrix that people look at.


@base.register('grade', 'answer')
@dataclasses.dataclass(frozen=True, eq=False)
class Kappa(base.Metric):
  """Cohen's kappa with quadratic weights (Psychological Bulletin 70, 1968).

  It is 1 - D / E: D is the mean squared difference of true and given grade, E
  that of a true grade and the grade given to another image.

  Attributes:
    grades: The true grade of each example, [N], counted from 0.
    answers: The grade that is given to it, [N].
  """

  grades: np.ndarray
  answers: np.ndarray

  @property
  def has_own_interval(self) -> bool:
    return True

  @property
  def chance(self) -> float:
    """Zero: grades that know nothing of the image."""
    return 0.0

  @property
  def undefined(self) -> str:
    """Empty if there are two grades, true or given."""
    together = np.concatenate([self.grades, self.answers])
    one = len(np.unique(together)) < 2
    return 'all true and given grades are one' if one else ''

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    if weights is None:
      return float(self.value(np.ones(len(self.grades))))
    a, b = np.asarray(self.grades, float), np.asarray(self.answers, float)
    total = weights.sum(axis=-1)
    with np.errstate(invalid='ignore', divide='ignore'):
      observed = weights @ (a - b) ** 2 / total
      expected = _spread(weights, a, total) + _spread(weights, b, total)
      expected += (weights @ (a - b) / total) ** 2
      return 1 - observed / expected

  def effects(self, patient: np.ndarray) -> base.Effects:
    """Return the effects by the derivatives of D and E."""
    a, b = np.asarray(self.grades, float), np.asarray(self.answers, float)
    observed, expected = np.mean((a - b) ** 2), self._expected()
    of_observed = (a - b) ** 2 - observed
    of_expected = (a - b.mean()) ** 2 + b.var() + (b - a.mean()) ** 2 + a.var()
    of_expected -= 2 * expected
    parts = (observed / expected * of_expected - of_observed) / expected
    return base.effects_on_mean(parts, patient, np.arange(len(a)))

  def interval(
    self, patient: np.ndarray, level: float = base.LEVEL
  ) -> tuple[float, float]:
    """Return the interval on the scale of Fisher's z.

    Where all agree, so would all in one of 1 / tail studies if as many patients
    as Clopper and Pearson's bound were off by one grade.
    """
    effects, value = self.effects(patient), float(self.value())
    if effects.most < 1:
      return math.nan, math.nan
    tail = (1 - level) / 2
    if value == 1:
      off = 1 - tail ** (1 / (effects.most + 1))
      return max(1 - off / self._expected(), -1.0), 1.0
    half = float(special.stdtrit(effects.freedom, 1 - tail)) * effects.stddev
    half /= 1 - value**2
    low, high = np.tanh(np.arctanh(value) + np.array([-half, half]))
    return float(low) + 0.0, float(high)  # -0.0 is 0.

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:grade` and `NAME:answer`."""
    return {f'{name}:grade': self.grades, f'{name}:answer': self.answers}

  def _expected(self):
    a, b = np.asarray(self.grades, float), np.asarray(self.answers, float)
    return a.var() + b.var() + (a.mean() - b.mean()) ** 2


def _spread(weights, values, total):
  mean = weights @ values / total
  return weights @ values**2 / total - mean**2


def confusion(
  names: Sequence[str], true: Sequence[str], given: Sequence[str]
) -> dict[str, list]:
  """Return how many examples of each true class are given each.

  Args:
    names: The classes, K.
    true: The true class of each example, [N].
    given: The class that is given to it, [N].

  Returns:
    `names`, and `counts` [K, K]: a row is a true class.
  """
  # Imported where it is needed: it takes a second.
  from sklearn import metrics as sklearn_metrics

  counts = sklearn_metrics.confusion_matrix(true, given, labels=list(names))
  return {'names': list(names), 'counts': counts.tolist()}
