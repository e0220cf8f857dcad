"""Exact metrics over all scores of a split, with bootstrap intervals.

A metric holds the labels and scores of N examples and is asked for its value
under S rows of example weights at once; resampling patients is then only a
change of weights. What it holds is written to columns of a table of scores
(`test_scores.csv`), from which `from_columns` rebuilds it.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import math
from typing import Protocol

import numpy as np

MEAN = 'mean'  # Of all AUCs of a table.
# Weights that are looked at together: what fits into a processor's cache.
_BLOCK = 200_000


class Metric(Protocol):
  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    """Return the metric under [..., N] weights, [...]; NaN if not defined.

    Without weights, all examples count the same.
    """

  @property
  def undefined(self) -> str:
    """Why it has no value; empty if it has one."""

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return what the metric NAME is made of: column -> [N], for a table."""


_KINDS: dict[tuple[str, ...], type] = {}  # Names of columns -> class.


def register(*names: str) -> Callable[[type], type]:
  """Let `from_columns` know a class by its columns, `METRIC:NAME`.

  Args:
    *names: One for each argument of the class; no other has the same.
  """

  def add(kind):
    _KINDS[names] = kind
    return kind

  return add


def from_columns(table: Mapping[str, Sequence], name: str) -> Metric:
  """Return the metric that wrote `columns(name)` to a table of scores.

  Args:
    table: Column -> [N], e.g. a data frame.
    name: The metric's; `mean` averages all AUCs of the table.

  Raises:
    ValueError: The table has no columns of it.
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
class Auc:
  """Exact area under the ROC curve, ties counted one half.

  Attributes:
    labels: [N], positive above 0; an example of which it is NaN is left out.
    scores: [N], higher is more positive.
  """

  labels: np.ndarray
  scores: np.ndarray

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
    """Which of the two classes has no example."""
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

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:label`, 1, 0 or NaN, and `NAME:score`."""
    labels = np.asarray(self.labels, float)
    return {f'{name}:label': labels, f'{name}:score': self.scores}


@register('value')
@dataclasses.dataclass(frozen=True, eq=False)
class Mean:
  """The weighted mean of a value an example, e.g. accuracy."""

  values: np.ndarray

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    if weights is None:
      return float(np.mean(self.values))
    return weights @ np.asarray(self.values, float) / weights.sum(axis=-1)

  @property
  def undefined(self) -> str:
    """Empty: a split has examples."""
    return ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:value`."""
    return {f'{name}:value': np.asarray(self.values, float)}


@dataclasses.dataclass(frozen=True, eq=False)
class Average:
  """The plain mean of several metrics; those that are undefined stay out."""

  parts: Sequence[Metric]

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    return self.of_values([part.value(weights) for part in self.parts])

  def of_values(self, values: Sequence) -> np.ndarray | float:
    """Return the mean of the parts' values."""
    values = np.stack(values, axis=-1)
    known = ~np.isnan(values)
    with np.errstate(invalid='ignore'):
      mean = np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean if mean.ndim else float(mean)

  @property
  def undefined(self) -> str:
    """Why the first part has no value, if none has."""
    reasons = [part.undefined for part in self.parts]
    return f'none of {len(reasons)} is: {reasons[0]}' if all(reasons) else ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return none: its parts have theirs."""
    del name
    return {}


def patient_weights(
  patients: Sequence, num_samples: int = 1000, seed: int = 0
) -> np.ndarray:
  """Return a bootstrap of whole patients.

  Two eyes of one patient are not two independent observations, so patients
  are drawn, not images.

  Args:
    patients: [N] whose each example is.
    num_samples: S, how often as many patients are drawn as there are.
    seed: Of the resampling.

  Returns:
    [S, N] how often each example is drawn, a byte each.
  """
  _, patient = np.unique(patients, return_inverse=True)
  count = patient.max() + 1
  rng = np.random.default_rng(seed)
  weights = np.empty((num_samples, len(patient)), np.uint8)
  for rows in _blocks(weights):
    size = len(weights[rows])
    drawn = rng.multinomial(count, np.full(count, 1 / count), size)
    weights[rows] = drawn.astype(np.uint8)[:, patient]
  return weights


def resampled(
  metrics: Mapping[str, Metric], weights: np.ndarray
) -> dict[str, np.ndarray]:
  """Return metrics' values, [S] each, under each row of weights.

  An average takes the values that its parts have as metrics of their own.

  Args:
    metrics: Over N examples.
    weights: [S, N] non-negative.
  """
  values = {name: np.empty(len(weights)) for name in metrics}
  for rows in _blocks(weights):
    block, known = weights[rows].astype(float), {}
    for name, metric in metrics.items():
      values[name][rows] = _value(metric, block, known)
  return values


def _value(metric, weights, known):
  """Return a metric's value under `weights`; `known` keeps it by id."""
  if id(metric) not in known:
    known[id(metric)] = (
      metric.of_values([_value(p, weights, known) for p in metric.parts])
      if isinstance(metric, Average)
      else metric.value(weights)
    )
  return known[id(metric)]


def _blocks(weights):
  """Slices of [S, N] weights that are looked at together."""
  rows = max(1, _BLOCK // weights.shape[1])
  return [slice(n, n + rows) for n in range(0, len(weights), rows)]


def intervals(
  metrics: Mapping[str, Metric], weights: np.ndarray, level: float = 0.95
) -> dict[str, tuple[float, float]]:
  """Return percentile bootstrap intervals of metrics, on the same resamples.

  Args:
    metrics: Over N examples.
    weights: [S, N], as of `patient_weights`.
    level: Probability that an interval is meant to cover.

  Returns:
    Lower and upper end of each, over the resamples in which it has a value;
    NaN twice where there is none.
  """
  tail = (1 - level) / 2
  ends = {}
  for name, values in resampled(metrics, weights).items():
    values = values[~np.isnan(values)]
    low, high = np.quantile(values if values.size else np.nan, [tail, 1 - tail])
    ends[name] = float(low), float(high)
  return ends


# A metric as results hold it: `value`, `low` and `high`, each None where it is
# not defined, and then `undefined`, the reason.
Summary = dict[str, float | str | None]


def summaries(
  metrics: Mapping[str, Metric], weights: np.ndarray
) -> dict[str, Summary]:
  """Return metrics with their 95 % intervals, as `intervals` has them."""
  defined = {name: m for name, m in metrics.items() if not m.undefined}
  summaries_ = {
    name: {'value': None, 'low': None, 'high': None, 'undefined': m.undefined}
    for name, m in metrics.items()
  }
  for name, (low, high) in intervals(defined, weights).items():
    value = defined[name].value()
    summaries_[name] = finite({'value': value, 'low': low, 'high': high})
  return summaries_


UNDEFINED = 'not defined'


def cells(found: Summary) -> tuple[str, str]:
  """Return a value and its interval as text, or that, and why, it has none."""
  if found['value'] is None:
    return UNDEFINED, str(found.get('undefined') or 'no value')
  value = f'{found["value"]:.4f}'
  if found['low'] is None:
    return value, UNDEFINED
  return value, f'{found["low"]:.4f} to {found["high"]:.4f}'


def text(found: Summary) -> str:
  """Return `0.9123 (95 % interval 0.8871 to 0.9342)`, or why there is none."""
  value, interval_ = cells(found)
  if value == UNDEFINED:
    return f'{value} ({interval_})'
  return f'{value} (95 % interval {interval_})'


def finite(values: dict[str, float]) -> dict[str, float | None]:
  """Return values as JSON holds them: what is not a finite number is null."""
  return {k: v if math.isfinite(v) else None for k, v in values.items()}
