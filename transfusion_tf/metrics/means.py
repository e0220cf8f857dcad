"""Means: of a value an example, of recalls, of several metrics."""

from collections.abc import Sequence
import dataclasses
import functools
import math

import numpy as np
from scipy import special

from transfusion_tf.metrics import base


@base.register('value')
@dataclasses.dataclass(frozen=True, eq=False)
class Mean(base.Metric):
  """The weighted mean of one value per example, e.g. an error."""

  values: np.ndarray

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    if weights is None:
      return float(np.mean(self.values))
    return weights @ np.asarray(self.values, float) / weights.sum(axis=-1)

  @property
  def is_fraction(self) -> bool:
    return bool(np.min(self.values) >= 0 and np.max(self.values) <= 1)

  def effects(self, patient: np.ndarray) -> base.Effects:
    values = np.asarray(self.values, float)
    return base.effects_on_mean(values, patient, np.arange(len(values)))

  @property
  def undefined(self) -> str:
    """Empty: a split has examples."""
    return ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:value`."""
    return {f'{name}:value': np.asarray(self.values, float)}


@base.register('value', 'baseline')
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
class Average(base.Metric):
  """The plain mean of several metrics; those that are undefined stay out."""

  parts: Sequence[base.Metric]

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
  def lower_is_better(self) -> bool:
    return all(part.lower_is_better for part in self.parts)

  @property
  def chance(self) -> float | None:
    known = [p.chance for p in self.parts if p.chance is not None]
    return float(np.mean(known)) if len(known) == len(self.parts) else None

  def effects(self, patient: np.ndarray) -> base.Effects:
    return base.mean_effects(
      [part.effects(patient) for part in self.parts if not part.undefined]
    )

  @property
  def has_own_interval(self) -> bool:
    return any(part.has_own_interval for part in self.parts)

  def interval(
    self, patient: np.ndarray, level: float = base.LEVEL
  ) -> tuple[float, float]:
    """Return the interval by the effects of patients on the mean.

    Where a part has an interval of another kind, the means of the parts' ends
    are taken: the mean never varies more than its parts do on average.
    """
    if not self.has_own_interval:
      return super().interval(patient, level)
    known = [part for part in self.parts if not part.undefined]
    low, high = np.mean([p.interval(patient, level) for p in known], axis=0)
    return float(low), float(high)

  @property
  def undefined(self) -> str:
    """Why the first part has no value, if no part has one."""
    reasons = [part.undefined for part in self.parts]
    return f'none of {len(reasons)} is: {reasons[0]}' if all(reasons) else ''

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return none: its parts have theirs."""
    del name
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class PartMean(base.Metric):
  """The mean over the examples that have a value, e.g. the positive ones.

  Attributes:
    values: Values [N] between 0 and 1, or NaN.
  """

  values: np.ndarray

  @property
  def is_fraction(self) -> bool:
    return True

  @property
  def undefined(self) -> str:
    """Empty if an example has a value."""
    return (
      '' if len(self._known) else f'none of {len(self.values)} examples counts'
    )

  @functools.cached_property
  def _known(self):
    return np.flatnonzero(~np.isnan(self.values))

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    if weights is None:
      return float(self.value(np.ones(len(self.values))))
    drawn = np.take(weights, self._known, axis=-1)
    with np.errstate(invalid='ignore'):
      return drawn @ self.values[self._known] / drawn.sum(axis=-1)

  def effects(self, patient: np.ndarray) -> base.Effects:
    return base.effects_on_mean(self.values[self._known], patient, self._known)

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return none: it is made from labels and scores."""
    del name
    return {}


class Fraction(PartMean):
  """The fraction of some examples of which something holds: 1, 0 or NaN.

  Its interval is Clopper and Pearson's for as many independent examples as
  would vary as much as these do, by their patients (Korn and Graubard, Survey
  Methodology 24, 1998). It covers near 0 and 1, where the logit's is too wide.
  """

  @property
  def has_own_interval(self) -> bool:
    return True

  def interval(
    self, patient: np.ndarray, level: float = base.LEVEL
  ) -> tuple[float, float]:
    effects, value = self.effects(patient), float(self.value())
    if effects.most < 1:
      return math.nan, math.nan
    tail, patients = (1 - level) / 2, effects.most + 1
    variance = effects.stddev**2
    count = float(patients)
    if variance > 0:
      count = min(value * (1 - value) / variance, len(self._known))
    # The variance is an estimate of few patients.
    t = special.stdtrit(effects.most, 1 - tail)
    count *= (special.ndtri(1 - tail) / t) ** 2
    hits = value * count
    misses = count - hits
    return (
      float(special.betaincinv(hits, misses + 1, tail)) if value > 0 else 0.0,
      float(special.betaincinv(hits + 1, misses, 1 - tail))
      if value < 1
      else 1.0,
    )


@base.register('class', 'answer')
@dataclasses.dataclass(frozen=True, eq=False)
class BalancedAccuracy(base.Metric):
  """The mean over the classes of the fraction of each that is recognized.

  Classes without an example stay out.

  Attributes:
    classes: The true class of each example, [N], counted from 0.
    answers: The most probable class, [N].
  """

  classes: np.ndarray
  answers: np.ndarray

  @property
  def is_fraction(self) -> bool:
    return True

  @property
  def has_own_interval(self) -> bool:
    return True

  @property
  def chance(self) -> float:
    """One over the number of classes, by whatever rule one guesses."""
    return 1 / len(self.recalls)

  @functools.cached_property
  def recalls(self) -> tuple[Fraction, ...]:
    """The recall of each class that has an example."""
    classes = np.asarray(self.classes)
    right = (classes == np.asarray(self.answers)).astype(float)
    return tuple(
      Fraction(np.where(classes == k, right, np.nan))
      for k in np.unique(classes)
    )

  @property
  def undefined(self) -> str:
    """Empty if there are two classes."""
    return '' if len(self.recalls) > 1 else 'all examples are of one class'

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    return Average(self.recalls).value(weights)

  def effects(self, patient: np.ndarray) -> base.Effects:
    return Average(self.recalls).effects(patient)

  def interval(
    self, patient: np.ndarray, level: float = base.LEVEL
  ) -> tuple[float, float]:
    """Return the interval made from those of the recalls (MOVER).

    A class that nobody got wrong adds no variance, but its interval does not
    end at 1. Of a class with one patient nothing is known.
    """
    value, below, above = float(self.value()), 0.0, 0.0
    for recall in self.recalls:
      low, high = recall.interval(patient, level)
      low, high = (0.0, 1.0) if math.isnan(low) else (low, high)
      below += (float(recall.value()) - low) ** 2
      above += (high - float(recall.value())) ** 2
    count = len(self.recalls)
    return (
      max(value - math.sqrt(below) / count, 0.0),
      min(value + math.sqrt(above) / count, 1.0),
    )

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return `NAME:class` and `NAME:answer`."""
    return {f'{name}:class': self.classes, f'{name}:answer': self.answers}
