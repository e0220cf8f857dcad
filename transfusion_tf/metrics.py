"""Exact metrics over all scores of a split, with bootstrap intervals.

A metric holds the N examples' labels and scores and is asked for its value
under example weights; resampling patients is then only a change of weights.
"""

from collections.abc import Sequence
import dataclasses
import functools
import math
from typing import Protocol

import numpy as np


class Metric(Protocol):
  def value(self, weights: np.ndarray | None = None) -> float:
    """The metric under [N] weights; NaN where it is not defined."""

  @property
  def undefined(self) -> str:
    """Why it has no value; empty if it has one."""

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Column -> [N]: what the metric NAME is made of, for a table."""


@dataclasses.dataclass(frozen=True, eq=False)
class Auc:
  """Exact area under the ROC curve, ties counted one half.

  Attributes:
    labels: [N] bool.
    scores: [N] float, higher is more positive.
    known: [N] bool; examples left out where False.
  """

  labels: np.ndarray
  scores: np.ndarray
  known: np.ndarray | None = None

  def value(self, weights: np.ndarray | None = None) -> float:
    """The AUC, or NaN where only one class has weight."""
    weights = np.ones(len(self.labels)) if weights is None else weights
    if self.known is not None:
      weights = weights * self.known
    labels = np.asarray(self.labels, bool)
    positive = np.bincount(self._ranks, weights * labels)
    negative = np.bincount(self._ranks, weights * ~labels)
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / pairs) if pairs else float('nan')

  @property
  def undefined(self) -> str:
    """Which of the two classes has no example."""
    labels = np.asarray(self.labels, bool)
    if self.known is not None:
      labels = labels[self.known]
    if not len(labels):
      return f'none of {len(self.labels)} examples has a label'
    if labels.all() or not labels.any():
      lacking = 'negative' if labels.all() else 'positive'
      return f'no {lacking} one among {len(labels)} examples'
    return ''

  @functools.cached_property
  def _ranks(self):
    # Sorted once, for a thousand resamples.
    return np.unique(self.scores, return_inverse=True)[1]

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """`NAME:label` and `NAME:score`.

    The label is 1 or 0, or NaN where it is not known.
    """
    labels = np.asarray(self.labels, float)
    if self.known is not None:
      labels = np.where(self.known, labels, np.nan)
    return {f'{name}:label': labels, f'{name}:score': self.scores}


@dataclasses.dataclass(frozen=True, eq=False)
class Mean:
  """The weighted mean of a value an example, e.g. accuracy."""

  values: np.ndarray

  def value(self, weights: np.ndarray | None = None) -> float:
    return float(np.average(self.values, weights=weights))

  @property
  def undefined(self) -> str:
    """Empty: a split has examples."""
    return ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """`NAME:value`."""
    return {f'{name}:value': np.asarray(self.values, float)}


@dataclasses.dataclass(frozen=True, eq=False)
class Average:
  """The plain mean of several metrics; those that are undefined stay out."""

  parts: Sequence[Metric]

  def value(self, weights: np.ndarray | None = None) -> float:
    values = np.array([part.value(weights) for part in self.parts])
    return float(np.nanmean(values)) if (values == values).any() else np.nan

  @property
  def undefined(self) -> str:
    """Why the first part has no value, if none has."""
    reasons = [part.undefined for part in self.parts]
    return f'none of {len(reasons)} is: {reasons[0]}' if all(reasons) else ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """None: its parts have theirs."""
    del name
    return {}


def interval(
  metric: Metric,
  clusters: np.ndarray,
  level: float = 0.95,
  num_samples: int = 1000,
  seed: int = 0,
) -> tuple[float, float]:
  """Percentile bootstrap interval of `metric`, resampling whole clusters.

  Two eyes of one patient are not two independent observations, so patients
  are drawn, not images.

  Args:
    metric: The metric, over N examples.
    clusters: [N] the cluster (patient) of each example.
    level: Probability that the interval is meant to cover.
    num_samples: Bootstrap resamples; those without both classes are left out.
    seed: Of the resampling.

  Returns:
    Lower and upper end; NaN twice where no resample has a value.
  """
  _, cluster = np.unique(clusters, return_inverse=True)
  count = cluster.max() + 1
  rng = np.random.default_rng(seed)
  values = np.array(
    [
      metric.value(rng.multinomial(count, np.full(count, 1 / count))[cluster])
      for _ in range(num_samples)
    ]
  )
  values = values[~np.isnan(values)]
  if not values.size:
    return float('nan'), float('nan')
  tail = (1 - level) / 2
  low, high = np.quantile(values, [tail, 1 - tail])
  return float(low), float(high)


# A metric as results hold it: `value`, `low` and `high`, each None where it is
# not defined, and then `undefined`, the reason.
Summary = dict[str, float | str | None]


def summary(
  metric: Metric, clusters: np.ndarray, num_samples: int = 1000
) -> Summary:
  """Return a metric with its 95 % interval.

  Args:
    metric: The metric, over N examples.
    clusters: [N] the cluster (patient) of each example.
    num_samples: Bootstrap resamples.
  """
  if reason := metric.undefined:
    return {'value': None, 'low': None, 'high': None, 'undefined': reason}
  low, high = interval(metric, clusters, 0.95, num_samples)
  return finite({'value': metric.value(), 'low': low, 'high': high})


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
