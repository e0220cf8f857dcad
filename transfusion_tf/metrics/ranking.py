"""How well scores rank images: the AUC and the average precision."""

import dataclasses
import functools
import math

import numpy as np

from transfusion_tf.metrics import base


@base.register('label', 'score')
@dataclasses.dataclass(frozen=True, eq=False)
class Auc(base.Metric):
  """Exact area under the ROC curve, ties counted one half.

  Attributes:
    labels: Labels [N], positive above 0; examples with NaN are left out.
    scores: Scores [N], higher is more positive.
  """

  labels: np.ndarray
  scores: np.ndarray

  @property
  def is_fraction(self) -> bool:
    return True

  @property
  def chance(self) -> float:
    return 0.5

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    """Return the AUC, or NaN where only one class has weight."""
    if weights is None:
      return float(self.value(np.ones(len(self.labels))))
    positive, negative, below, up_to = self._order
    wins = np.take(weights, positive, axis=-1)
    # Entry k is the weight of the k lowest negatives.
    losses = np.zeros((*weights.shape[:-1], len(negative) + 1))
    drawn = np.take(weights, negative, axis=-1)
    np.cumsum(drawn, axis=-1, dtype=float, out=losses[..., 1:])
    beaten = np.take(losses, below, axis=-1) + np.take(losses, up_to, axis=-1)
    pairs = wins.sum(axis=-1, dtype=float) * losses[..., -1]
    with np.errstate(invalid='ignore'):
      return np.einsum('...n,...n', wins, beaten) / 2 / pairs

  @property
  def undefined(self) -> str:
    """The class that has no example, as text."""
    positive, negative, _, _ = self._order
    count = len(positive) + len(negative)
    if not count:
      return f'none of {len(self.labels)} examples has a label'
    if len(positive) and len(negative):
      return ''
    lacking = 'negative' if len(positive) else 'positive'
    return f'no {lacking} one among {count} examples'

  @functools.cached_property
  def _order(self):
    """Examples of each class by score; negatives below, and up to, each."""
    labels, scores = np.asarray(self.labels, float), np.asarray(self.scores)
    by_score = np.argsort(scores, kind='stable')
    positive = by_score[labels[by_score] > 0]
    negative = by_score[labels[by_score] <= 0]  # NaN is neither.
    below = np.searchsorted(scores[negative], scores[positive], 'left')
    up_to = np.searchsorted(scores[negative], scores[positive], 'right')
    return positive, negative, below, up_to

  def effects(self, patient: np.ndarray) -> base.Effects:
    """Return the effects of patients, as DeLong's variance has them."""
    positive, negative, below, up_to = self._order
    scores = np.asarray(self.scores)
    under, up_to_it = (
      np.searchsorted(scores[positive], scores[negative], side)
      for side in ('left', 'right')
    )
    wins = (below + up_to) / 2 / len(negative)
    losses = 1 - (under + up_to_it) / 2 / len(positive)
    won = base.effects_on_mean(wins, patient, positive)
    lost = base.effects_on_mean(losses, patient, negative)
    return base.Effects(won.values + lost.values, min(won.most, lost.most))

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:label`, 1, 0 or NaN, and `NAME:score`."""
    labels = np.asarray(self.labels, float)
    return {f'{name}:label': labels, f'{name}:score': self.scores}


@dataclasses.dataclass(frozen=True, eq=False)
class AveragePrecision(base.Metric):
  """The area under precision over recall, in steps as scikit-learn has it.

  Attributes:
    labels: Labels [N], positive above 0; examples with NaN are left out.
    scores: Scores [N], higher is more positive.
  """

  labels: np.ndarray
  scores: np.ndarray

  @property
  def is_fraction(self) -> bool:
    return True

  @property
  def chance(self) -> float:
    """The fraction of positive examples, which any order of no sense has."""
    _, positive, _, _ = self._order
    return float(np.mean(positive))

  @property
  def undefined(self) -> str:
    """The class that has no example, as text."""
    return Auc(self.labels, self.scores).undefined

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    """Return the average precision; NaN where no positive one has weight."""
    if weights is None:
      return float(self.value(np.ones(len(self.labels))))
    by_score, positive, _, last = self._order
    drawn = np.take(weights, by_score, axis=-1).astype(float)
    hits = drawn * positive
    above = np.take(np.cumsum(drawn, axis=-1), last, axis=-1)
    found = np.take(np.cumsum(hits, axis=-1), last, axis=-1)
    with np.errstate(invalid='ignore'):
      precision = np.where(above > 0, found / above, 0)
      return np.sum(hits * precision, axis=-1) / np.sum(hits, axis=-1)

  @functools.cached_property
  def _order(self):
    """Examples by falling score, their labels; ends of those that tie.

    Returns:
      Examples [n], whether each is positive, and the first and the last
      position with the score of each.
    """
    labels, scores = np.asarray(self.labels, float), np.asarray(self.scores)
    known = np.flatnonzero(~np.isnan(labels))
    by_score = known[np.argsort(-scores[known], kind='stable')]
    falling = -scores[by_score]
    first = np.searchsorted(falling, falling, 'left')
    last = np.searchsorted(falling, falling, 'right') - 1
    return by_score, labels[by_score] > 0, first, last

  def effects(self, patient: np.ndarray) -> base.Effects:
    """Return the effects of patients: derivatives by the examples' weights."""
    by_score, positive, first, last = self._order
    above = last + 1.0
    found = np.cumsum(positive)[last]
    precision, total = found / above, positive.sum()

    def below(terms):
      """Return the sum over the positive ones that do not score higher."""
      return np.cumsum((terms * positive)[::-1])[::-1][first]

    gained = precision - self.value() + below((above - found) / above**2)
    lost = -below(found / above**2)
    derivatives = np.where(positive, gained, lost) / total
    counts = [
      np.unique(patient[by_score[positive == sign]]).size for sign in (0, 1)
    ]
    fewest = min(counts)
    correction = math.sqrt(fewest / (fewest - 1)) if fewest > 1 else 1
    sums = np.bincount(patient[by_score], derivatives, patient.max() + 1)
    return base.Effects(correction * sums, fewest - 1)

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return none: the AUC of the same scores has them."""
    del name
    return {}
