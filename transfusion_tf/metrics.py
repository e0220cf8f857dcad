"""Exact metrics over all scores of a split, with intervals over patients.

Two eyes of one patient are not two independent observations, so the unit is the
patient: `Metric.effects` says how much each patient moves the value, and the
sum of the squares estimates its variance. Of an AUC that is DeLong's variance
with clusters (Obuchowski, Biometrics 53, 1997). Intervals of fractions are
computed on the logit scale, where small sets of patients are covered too
(`docs/statistics.md`).

What a metric holds is written to columns of a table of scores
(`test_scores.csv`), from which `from_columns` rebuilds it.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import math

import numpy as np
from scipy import special

MEAN = 'mean'  # The average of all AUCs of a table.
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Effects:
  """The effect of each of P patients on a metric.

  Attributes:
    values: Effects [P]; the sum of their squares estimates the variance of the
      metric over the choice of patients.
    most: The most degrees of freedom that the estimate may have.
  """

  values: np.ndarray
  most: int

  @property
  def freedom(self) -> float:
    """Degrees of freedom of the variance: few if few patients make it.

    Near a perfect score most patients have no effect. The variance of a sum of
    squares, from the fourth powers, tells how many have one.
    """
    squares = self.values**2
    total = np.sum(squares)
    excess = np.sum(squares**2) - total**2 / len(squares)
    return float(
      min(self.most, 2 * total**2 / excess if excess > 0 else np.inf)
    )

  @property
  def stddev(self) -> float:
    return math.sqrt(np.sum(self.values**2))


class Metric(abc.ABC):
  """A metric of N examples."""

  @property
  def is_fraction(self) -> bool:
    """Whether it lies between 0 and 1."""
    return False

  @property
  def chance(self) -> float | None:
    """The value that needs no image; None if it is not known."""
    return None

  @abc.abstractmethod
  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    """Return the metric under weights [..., N]; NaN where it is not defined.

    Without weights, all examples count the same.
    """

  @property
  @abc.abstractmethod
  def undefined(self) -> str:
    """Why it has no value; empty if it has one."""

  @abc.abstractmethod
  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return what the metric NAME is made of: column -> [N], for a table."""

  def effects(self, patient: np.ndarray) -> Effects:
    """Return the effects of patients, by the jackknife if there is no formula.

    Args:
      patient: Number [N] of each example's patient, from 0 to P - 1.
    """
    count = patient.max() + 1
    without = np.array(
      [self.value((patient != n).astype(float)) for n in range(count)]
    )
    known = ~np.isnan(without)
    moved = np.where(known, np.mean(without[known]) - without, 0)
    return Effects(math.sqrt((count - 1) / count) * moved, known.sum() - 1)


_KINDS: dict[tuple[str, ...], type] = {}  # Names of columns -> class.


def register(*names: str) -> Callable[[type], type]:
  """Register a class under the names of its columns, `METRIC:NAME`.

  Args:
    *names: One name for each argument of the class; no other class has them.
  """

  def add(kind):
    _KINDS[names] = kind
    return kind

  return add


def from_columns(table: Mapping[str, Sequence], name: str) -> Metric:
  """Return the metric that wrote `columns(name)` to a table of scores.

  Args:
    table: Column -> [N], e.g. a data frame.
    name: Name of the metric; `mean` averages all AUCs of the table.

  Raises:
    ValueError: The table has no columns of this metric.
  """
  present = {n for names in _KINDS for n in names if f'{name}:{n}' in table}
  for names, kind in _KINDS.items():
    if set(names) == present:
      return kind(*(np.asarray(table[f'{name}:{n}'], float) for n in names))
  if name == MEAN:
    labels = [c for c in table if c.endswith(':label')]
    parts = [from_columns(table, c.removesuffix(':label')) for c in labels]
    if aucs := tuple(part for part in parts if isinstance(part, Auc)):
      return Average(aucs)
  raise ValueError(f'no columns of {name}')


@register('label', 'score')
@dataclasses.dataclass(frozen=True, eq=False)
class Auc(Metric):
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

  def effects(self, patient: np.ndarray) -> Effects:
    """Return the effects of patients, as DeLong's variance has them."""
    positive, negative, below, up_to = self._order
    scores = np.asarray(self.scores)
    under, up_to_it = (
      np.searchsorted(scores[positive], scores[negative], side)
      for side in ('left', 'right')
    )
    wins = (below + up_to) / 2 / len(negative)
    losses = 1 - (under + up_to_it) / 2 / len(positive)
    won = _effects_on_mean(wins, patient, positive)
    lost = _effects_on_mean(losses, patient, negative)
    return Effects(won.values + lost.values, min(won.most, lost.most))

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:label`, 1, 0 or NaN, and `NAME:score`."""
    labels = np.asarray(self.labels, float)
    return {f'{name}:label': labels, f'{name}:score': self.scores}


@register('value')
@dataclasses.dataclass(frozen=True, eq=False)
class Mean(Metric):
  """The weighted mean of one value per example, e.g. an error."""

  values: np.ndarray

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    if weights is None:
      return float(np.mean(self.values))
    return weights @ np.asarray(self.values, float) / weights.sum(axis=-1)

  @property
  def is_fraction(self) -> bool:
    return bool(np.min(self.values) >= 0 and np.max(self.values) <= 1)

  def effects(self, patient: np.ndarray) -> Effects:
    values = np.asarray(self.values, float)
    return _effects_on_mean(values, patient, np.arange(len(values)))

  @property
  def undefined(self) -> str:
    """Empty: a split has examples."""
    return ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:value`."""
    return {f'{name}:value': np.asarray(self.values, float)}


@register('value', 'baseline')
@dataclasses.dataclass(frozen=True, eq=False)
class Accuracy(Mean):
  """The fraction of right answers.

  Attributes:
    values: Whether the answer is right, [N].
    baseline: Whether the answer that is right most often is, [N].
  """

  baseline: np.ndarray

  @property
  def chance(self) -> float:
    return float(np.mean(self.baseline))

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:value` and `NAME:baseline`."""
    baseline = np.asarray(self.baseline, float)
    return {**super().columns(name), f'{name}:baseline': baseline}


@dataclasses.dataclass(frozen=True, eq=False)
class Average(Metric):
  """The plain mean of several metrics; those that are undefined stay out."""

  parts: Sequence[Metric]

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    stacked = np.stack([p.value(weights) for p in self.parts], axis=-1)
    known = ~np.isnan(stacked)
    with np.errstate(invalid='ignore'):
      mean = np.where(known, stacked, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean if mean.ndim else float(mean)

  @property
  def is_fraction(self) -> bool:
    return all(part.is_fraction for part in self.parts)

  @property
  def chance(self) -> float | None:
    known = [p.chance for p in self.parts if p.chance is not None]
    return float(np.mean(known)) if len(known) == len(self.parts) else None

  def effects(self, patient: np.ndarray) -> Effects:
    return mean_effects(
      [part.effects(patient) for part in self.parts if not part.undefined]
    )

  @property
  def undefined(self) -> str:
    """Why the first part has no value, if no part has one."""
    reasons = [part.undefined for part in self.parts]
    return f'none of {len(reasons)} is: {reasons[0]}' if all(reasons) else ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return none: its parts have theirs."""
    del name
    return {}


def mean_effects(effects: Sequence[Effects]) -> Effects:
  """Return the effects of the same patients on the mean of several metrics."""
  return Effects(
    np.mean([each.values for each in effects], axis=0),
    min(each.most for each in effects),
  )


def patient_numbers(patients: Sequence) -> np.ndarray:
  """Return the number [N] of each example's patient, from its id."""
  return np.unique(patients, return_inverse=True)[1]


def interval(
  metric: Metric, patient: np.ndarray, level: float = LEVEL
) -> tuple[float, float]:
  """Return the interval of a metric over the choice of patients.

  Args:
    metric: A metric that is defined.
    patient: Number [N] of each example's patient.
    level: Probability that the interval covers the true value.

  Returns:
    Lower and upper end; both are NaN if a class has one patient alone.
  """
  value, effects = float(metric.value()), metric.effects(patient)
  if effects.most < 1:
    return math.nan, math.nan
  tail = (1 - level) / 2
  half = float(special.stdtrit(effects.freedom, 1 - tail)) * effects.stddev
  if not metric.is_fraction:
    return value - half, value + half
  if value in (0, 1):
    # No patient errs. So it would be in one of 1 / tail studies if as large a
    # fraction erred as Clopper and Pearson's bound.
    bound = tail ** (1 / (effects.most + 1))
    return (bound, 1.0) if value else (0.0, 1 - bound)
  half /= value * (1 - value)
  low, high = special.expit(special.logit(value) + np.array([-half, half]))
  return float(low), float(high)


# A metric in results: `value`, `low` and `high`, each None where it is not
# defined, and then `undefined`, the reason.
Summary = dict[str, float | str | None]


def summaries(
  metrics: Mapping[str, Metric], patients: Sequence
) -> dict[str, Summary]:
  """Return metrics with their 95 % intervals over patients.

  Args:
    metrics: Name -> metric over N examples.
    patients: The patient's id of each example, [N].
  """
  patient = patient_numbers(patients)
  return {name: _summary(metric, patient) for name, metric in metrics.items()}


def _summary(metric, patient):
  if metric.undefined:
    nothing = dict.fromkeys(('value', 'low', 'high'))
    return {**nothing, 'undefined': metric.undefined}
  low, high = interval(metric, patient)
  return finite({'value': float(metric.value()), 'low': low, 'high': high})


UNDEFINED = 'not defined'


def cells(summary: Summary) -> tuple[str, str]:
  """Return a value and its interval as text, or `UNDEFINED` and the reason."""
  if summary['value'] is None:
    return UNDEFINED, str(summary.get('undefined') or 'no value')
  value = f'{summary["value"]:.4f}'
  if summary['low'] is None:
    return value, UNDEFINED
  return value, f'{summary["low"]:.4f} to {summary["high"]:.4f}'


def text(summary: Summary) -> str:
  """Return `0.9123 (95 % interval 0.8871 to 0.9342)`, or why there is none."""
  value, rest = cells(summary)
  if value == UNDEFINED:
    return f'{value} ({rest})'
  return f'{value} (95 % interval {rest})'


def finite(values: dict[str, float]) -> dict[str, float | None]:
  """Return values for JSON: those that are not finite become null."""
  return {k: v if math.isfinite(v) else None for k, v in values.items()}


def _effects_on_mean(values, patient, examples):
  """Return the effects of the patients of some examples on their mean value."""
  parts = (values - values.mean()) / len(values)
  sums = np.bincount(patient[examples], parts, patient.max() + 1)
  count = np.unique(patient[examples]).size
  correction = math.sqrt(count / (count - 1)) if count > 1 else 1
  return Effects(correction * sums, count - 1)
