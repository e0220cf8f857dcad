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

MEAN = 'mean'  # The average of all AUCs of a table.
# Weights that are processed together: they fit into a processor's cache.
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
class Auc:
  """Exact area under the ROC curve, ties counted one half.

  Attributes:
    labels: Labels [N], positive above 0; examples with NaN are left out.
    scores: Scores [N], higher is more positive.
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

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:label`, 1, 0 or NaN, and `NAME:score`."""
    labels = np.asarray(self.labels, float)
    return {f'{name}:label': labels, f'{name}:score': self.scores}


@register('value')
@dataclasses.dataclass(frozen=True, eq=False)
class Mean:
  """The weighted mean of one value per example, e.g. accuracy."""

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
    return self.mean_of([part.value(weights) for part in self.parts])

  def mean_of(self, values: Sequence) -> np.ndarray | float:
    """Return the mean of the parts' values."""
    stacked = np.stack(values, axis=-1)
    known = ~np.isnan(stacked)
    with np.errstate(invalid='ignore'):
      mean = np.where(known, stacked, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean if mean.ndim else float(mean)

  @property
  def undefined(self) -> str:
    """Why the first part has no value, if no part has one."""
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
    patients: The patient of each example, [N].
    num_samples: Number S of resamples, each as many patients as there are.
    seed: Seed of the resampling.

  Returns:
    Counts [S, N] of how often each example is drawn, a byte each.
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
    metrics: Name -> metric over N examples.
    weights: Non-negative weights [S, N].
  """
  values = {name: np.empty(len(weights)) for name in metrics}
  for rows in _blocks(weights):
    block = weights[rows].astype(float)
    known: dict[int, np.ndarray] = {}
    for name, metric in metrics.items():
      values[name][rows] = _value(metric, block, known)
  return values


def _value(metric, weights, known):
  """Return a metric's value under `weights`; `known` keeps it by id."""
  if id(metric) not in known:
    known[id(metric)] = (
      metric.mean_of([_value(p, weights, known) for p in metric.parts])
      if isinstance(metric, Average)
      else metric.value(weights)
    )
  return known[id(metric)]


def _blocks(weights):
  """Return slices of [S, N] weights that are processed together."""
  rows = max(1, _BLOCK // weights.shape[1])
  return [slice(n, n + rows) for n in range(0, len(weights), rows)]


def intervals(
  metrics: Mapping[str, Metric], weights: np.ndarray, level: float = 0.95
) -> dict[str, tuple[float, float]]:
  """Return percentile bootstrap intervals of metrics, on the same resamples.

  Args:
    metrics: Name -> metric over N examples.
    weights: Weights [S, N], e.g. of `patient_weights`.
    level: Nominal coverage of the intervals.

  Returns:
    Lower and upper end of each, over the resamples in which it is defined;
    both are NaN if there is none.
  """
  tail = (1 - level) / 2
  ends = {}
  for name, values in resampled(metrics, weights).items():
    values = values[~np.isnan(values)]
    low, high = np.quantile(values if values.size else np.nan, [tail, 1 - tail])
    ends[name] = float(low), float(high)
  return ends


# A metric in results: `value`, `low` and `high`, each None where it is not
# defined, and then `undefined`, the reason.
Summary = dict[str, float | str | None]


def summaries(
  metrics: Mapping[str, Metric], weights: np.ndarray
) -> dict[str, Summary]:
  """Return metrics with their 95 % intervals, see `intervals`."""
  defined = {name: m for name, m in metrics.items() if not m.undefined}
  summarized: dict[str, Summary] = {
    name: {'value': None, 'low': None, 'high': None, 'undefined': m.undefined}
    for name, m in metrics.items()
  }
  for name, (low, high) in intervals(defined, weights).items():
    value = float(defined[name].value())
    summarized[name] = {**finite({'value': value, 'low': low, 'high': high})}
  return summarized


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
