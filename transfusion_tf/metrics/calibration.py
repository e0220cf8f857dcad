"""How far probabilities can be taken at their word."""

from collections.abc import Sequence
import dataclasses
import functools
import math

import numpy as np
from scipy import special

from transfusion_tf.metrics import base
from transfusion_tf.metrics import means

# Bins of a calibration curve hold as many images each: deciles, or fewer bins
# where a bin would hold fewer images than this.
MOST_BINS, LEAST_IN_BIN = 10, 20
_TINY = 1e-12
_DRAWS = 4_000  # Of the noise of a calibration error; the seed is fixed.


@dataclasses.dataclass(frozen=True, eq=False)
class Brier(means.PartMean):
  """The mean squared error of probabilities (Brier, 1950), between 0 and 1.

  Of several classes it is half the sum over them, so that two classes have the
  square of one probability's error.

  Attributes:
    values: The squared error of each example, [N], or NaN.
  """

  @property
  def lower_is_better(self) -> bool:
    return True


@dataclasses.dataclass(frozen=True, eq=False)
class BrierSkill(base.Metric):
  """1 - Brier / Brier of the classes' frequencies, said of every example.

  Attributes:
    errors: The squared error of each example, [N]; NaN is left out.
    classes: The true class of each example, [N].
  """

  errors: np.ndarray
  classes: np.ndarray

  @property
  def chance(self) -> float:
    """0, the skill of one who says the frequencies."""
    return 0.0

  @functools.cached_property
  def _known(self):
    """The examples [n] that count, their errors [n] and classes [n, K]."""
    known = np.flatnonzero(~np.isnan(self.errors))
    classes = np.asarray(self.classes)[known]
    one_hot = classes[:, None] == np.unique(classes)
    return known, np.asarray(self.errors)[known], one_hot.astype(float)

  @property
  def undefined(self) -> str:
    """Empty if there are two classes."""
    _, _, one_hot = self._known
    return '' if one_hot.shape[1] > 1 else 'the examples are of one class'

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    if weights is None:
      return float(self.value(np.ones(len(self.errors))))
    known, errors, one_hot = self._known
    drawn = np.take(weights, known, axis=-1)
    total = drawn.sum(axis=-1)
    with np.errstate(invalid='ignore', divide='ignore'):
      frequencies = drawn @ one_hot / np.expand_dims(total, -1)
      reference = (1 - np.sum(frequencies**2, axis=-1)) / 2
      skill = 1 - drawn @ errors / total / reference
    return np.where(reference > 0, skill, np.nan)[()]

  def effects(self, patient: np.ndarray) -> base.Effects:
    """Return the effects of patients on the ratio, by its derivatives."""
    known, errors, one_hot = self._known
    frequencies = one_hot.mean(axis=0)
    reference = (1 - np.sum(frequencies**2)) / 2
    # The reference moves by this much with the weight of an example.
    moves = np.sum(frequencies**2) - one_hot @ frequencies
    ratio = np.mean(errors) / reference
    terms = (ratio * moves - errors) / reference
    return base.effects_on_mean(terms, patient, known)

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return none: it is made from labels and scores."""
    del name
    return {}


@dataclasses.dataclass(frozen=True)
class Point:
  """A bin of a calibration curve.

  Attributes:
    probability: The mean probability.
    frequency: The fraction of ones.
    interval: Its 95 % interval over patients; NaN of a single patient.
    count: The number of examples.
  """

  probability: float
  frequency: float
  interval: tuple[float, float]
  count: int


@dataclasses.dataclass(frozen=True, eq=False)
class Bins:
  """Probabilities in bins of as many examples each.

  Attributes:
    labels: Labels [n], 1 or 0.
    probabilities: Probabilities [n] of a 1.
    examples: The examples [n], of N, that have a label.
  """

  labels: np.ndarray
  probabilities: np.ndarray
  examples: np.ndarray

  @classmethod
  def of(cls, labels: np.ndarray, probabilities: np.ndarray) -> 'Bins':
    """Return the bins of N examples; those with a label of NaN are left out."""
    labels = np.asarray(labels, float)
    known = np.flatnonzero(~np.isnan(labels))
    values = np.asarray(probabilities, float)[known]
    return cls(labels[known], values, known)

  @functools.cached_property
  def number(self) -> np.ndarray:
    """The bin [n] of each; equal probabilities are in one bin."""
    count = len(self.labels) // LEAST_IN_BIN
    count = min(max(count, 1), MOST_BINS)
    ends = np.quantile(self.probabilities, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(ends, self.probabilities)

  def curve(self, patient: np.ndarray) -> list[Point]:
    """Return the calibration curve, a point for each bin.

    Args:
      patient: Number [N] of each example's patient.
    """
    points = []
    for number in np.unique(self.number):
      inside = self.number == number
      rate = means.Fraction(self.labels[inside])
      whose = base.patient_numbers(patient[self.examples[inside]])
      points.append(
        Point(
          float(self.probabilities[inside].mean()),
          float(rate.value()),
          rate.interval(whose),
          int(inside.sum()),
        )
      )
    return points


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationError(base.Metric):
  """The expected calibration error (ECE), over bins of as many examples each.

  It is the mean over all examples of the distance of their bin's mean
  probability from its fraction of ones; of several questions, the mean over
  them. (Guo et al., ICML 2017, have 15 bins of equal width, most of which hold
  few images of a small set.) Noise makes it positive even of a perfectly
  calibrated network: `noise` says how much.

  Attributes:
    bins: The bins of each question.
  """

  bins: Sequence[Bins]

  @property
  def has_own_interval(self) -> bool:
    return True

  @property
  def is_fraction(self) -> bool:
    return True

  @property
  def lower_is_better(self) -> bool:
    return True

  @property
  def undefined(self) -> str:
    """Empty if an example has a label."""
    return '' if self._asked else 'no example has a label'

  @property
  def _asked(self):
    return [bins for bins in self.bins if len(bins.labels)]

  def value(self, weights: np.ndarray | None = None) -> np.ndarray | float:
    if weights is None:
      count = max(bins.examples.max() for bins in self._asked) + 1
      return float(self.value(np.ones(count)))
    parts = []
    for bins in self._asked:
      drawn = np.take(weights, bins.examples, axis=-1)
      gaps = (drawn * (bins.labels - bins.probabilities)) @ _in_bins(bins)
      parts.append(np.abs(gaps).sum(axis=-1) / drawn.sum(axis=-1))
    return np.mean(parts, axis=0)

  def effects(self, patient: np.ndarray) -> base.Effects:
    """Return the effects of patients, as long as no bin changes its side."""
    parts = []
    for bins in self._asked:
      residuals, inside = bins.labels - bins.probabilities, _in_bins(bins)
      signs = inside @ np.sign(residuals @ inside)
      parts.append(
        base.effects_on_mean(signs * residuals, patient, bins.examples)
      )
    return base.mean_effects(parts)

  def interval(
    self, patient: np.ndarray, level: float = base.LEVEL
  ) -> tuple[float, float]:
    """Return an interval that allows for the noise in every bin.

    Let d be the distances of the bins, weighted by their size, with signs. What
    is measured is the sum |d + e|, where e is noise. It is at most |d| + |e|:
    the lower end subtracts what |e| reaches in one of 1 / tail sets. And its
    mean is at least |d|: the upper end adds its own deviation.
    """
    value, tail = float(self.value()), (1 - level) / 2
    covariance = self._covariance(patient)
    patients = np.unique(patient).size
    if patients < 2:
      return math.nan, math.nan
    t = float(special.stdtrit(patients - 1, 1 - tail))
    highest = np.quantile(_noise(covariance), 1 - tail)
    deviation = math.sqrt(np.abs(covariance).sum())
    return (
      max(value - float(highest), 0.0),
      min(value + t * deviation, 1.0),
    )

  def noise(self, patient: np.ndarray) -> float:
    """Return what a perfectly calibrated network would show on average."""
    covariance, apart, promised = self._moments(patient)
    return float(np.mean(_noise(_scaled(covariance, promised / apart))))

  def _covariance(self, patient):
    """Return the covariance [B, B] of the distances in all B bins.

    Of a bin in which hardly anybody is positive, or negative, the variance
    that its probabilities promise is larger than what is seen: it counts.
    """
    covariance, _, promised = self._moments(patient)
    seen = np.diag(covariance)
    return _scaled(covariance, np.maximum(promised / seen, 1))

  def _moments(self, patient):
    """Return the second moments of the distances in all B bins.

    Returns:
      Covariance [B, B] over patients, variance [B] if images were independent,
      and the variance [B] that probabilities promise if they are true.
    """
    sums, apart, promised = [], [], []
    for bins in self._asked:
      inside = _in_bins(bins) / len(bins.labels) / len(self._asked)
      gaps = (bins.labels - bins.probabilities)[:, None] * inside
      likely = np.clip(bins.probabilities, 0, 1)
      variance = likely * (1 - likely)
      sums.append(_by_patient(gaps, patient, bins.examples))
      apart.append(np.sum(gaps**2, axis=0))
      promised.append(variance @ inside**2)
    effects = np.concatenate(sums, axis=1)
    patients = np.unique(patient).size
    covariance = effects.T @ effects * patients / max(patients - 1, 1)
    # Where all probabilities of a bin are 0 or 1, and true.
    covariance[np.diag_indices_from(covariance)] += _TINY
    return (
      covariance,
      np.concatenate(apart) + _TINY,
      np.concatenate(promised),
    )

  def columns(self, name: str) -> dict[str, np.ndarray]:
    """Return none: it is made from labels and scores."""
    del name
    return {}


def _in_bins(bins):
  """Return 1 or 0 [n, bins]: whether an example is in a bin."""
  return (bins.number[:, None] == np.unique(bins.number)).astype(float)


def _by_patient(values, patient, examples):
  """Return the sums [P, B] over each patient's examples of values [n, B]."""
  sums = np.zeros((patient.max() + 1, values.shape[1]))
  np.add.at(sums, patient[examples], values)
  return sums


def _scaled(covariance, factors):
  """Return a covariance whose variances are multiplied by `factors` [B]."""
  roots = np.sqrt(factors)
  return covariance * roots * roots[:, None]


def _noise(covariance):
  """Draw the sum over bins of the size of noise alone."""
  rng = np.random.default_rng(0)
  values, vectors = np.linalg.eigh(covariance)
  root = vectors * np.sqrt(np.maximum(values, 0))
  normal = rng.standard_normal((_DRAWS, len(covariance)))
  return np.abs(normal @ root.T).sum(axis=1)
