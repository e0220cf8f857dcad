"""Simulated coverage of the intervals of clinical numbers.

As in `test_coverage`: two images a patient, with labels and difficulty that are
correlated, few patients, and values near 1. docs/statistics.md has the figures.
"""

import numpy as np
import pytest
from scipy import stats
from test_coverage import _Patients
from test_coverage import _report

from transfusion_tf import metrics
from transfusion_tf.metrics import calibration
from transfusion_tf.metrics import operating_points
from transfusion_tf.study import over_networks

pytestmark = pytest.mark.slow
_LEAST = 0.93


def _distance(auc):
  return np.sqrt(2) * stats.norm.ppf(auc)


def _probabilities(scores, auc, prevalence, sharpness=1.0):
  """True probabilities of scores; those of an overconfident network above 1."""
  distance = _distance(auc)
  odds = np.log(prevalence / (1 - prevalence))
  logits = odds + distance * sharpness * scores - distance**2 / 2
  return 1 / (1 + np.exp(-logits))


_METRICS = {
  'average_precision': lambda labels, scores, world: metrics.AveragePrecision(
    labels, scores
  ),
  'brier': lambda labels, scores, world: calibration.Brier(
    (_probabilities(scores, *world) - labels) ** 2
  ),
  'brier_skill': lambda labels, scores, world: calibration.BrierSkill(
    (_probabilities(scores, *world) - labels) ** 2, labels
  ),
}


def _held(make, truth, count, prevalence, auc, studies):
  rng, held = np.random.default_rng(0), []
  while len(held) < studies:
    patients = _Patients(rng, count, prevalence)
    if patients.labels.sum() < 2:
      continue
    metric = make(patients.labels.astype(float), patients.scores(auc))
    low, high = metric.interval(patients.patient)
    if not np.isnan(low):
      held.append(low <= truth <= high)
  return held


@pytest.mark.parametrize('name', _METRICS)
@pytest.mark.parametrize(
  ('count', 'auc', 'prevalence'),
  [
    (60, 0.95, 0.3),
    (60, 0.985, 0.3),
    (60, 0.95, 0.14),
    (117, 0.85, 0.14),
    (300, 0.85, 0.3),
  ],
)
def test_precision_and_brier_scores(name, count, auc, prevalence):
  world = auc, prevalence
  many = _Patients(np.random.default_rng(99), 200_000, prevalence)
  make = _METRICS[name]
  truth = make(many.labels.astype(float), many.scores(auc), world).value()
  held = _held(
    lambda labels, scores: make(labels, scores, world),
    *(truth, count, prevalence, auc, 1000),
  )
  title = f'{name} {truth:.3f}, {count} patients, {prevalence} positive'
  assert _report(title, held) >= _LEAST - 0.01


@pytest.mark.parametrize('count', [30, 60, 300])
@pytest.mark.parametrize('prevalence', [0.14, 0.3])
@pytest.mark.parametrize('rate', [0.8, 0.9, 0.97, 0.99])
def test_rates_at_a_threshold(count, prevalence, rate):
  threshold = _distance(0.95) + stats.norm.ppf(1 - rate)
  held = _held(
    lambda labels, scores: operating_points.sensitivity(
      labels, scores, threshold
    ),
    *(rate, count, prevalence, 0.95, 1000),
  )
  title = f'sensitivity {rate}, {count} patients, {prevalence} positive'
  assert _report(title, held) >= _LEAST


@pytest.mark.parametrize('sharpness', [1.0, 1.5, 2.5])
@pytest.mark.parametrize(
  ('count', 'auc', 'prevalence'),
  [(60, 0.95, 0.14), (117, 0.85, 0.14), (300, 0.85, 0.3)],
)
def test_calibration_errors(count, auc, prevalence, sharpness):
  truth = 0.0
  if sharpness > 1:
    many = _Patients(np.random.default_rng(99), 200_000, prevalence)
    given = _probabilities(many.scores(auc), auc, prevalence, sharpness)
    number = min(2 * count // calibration.LEAST_IN_BIN, calibration.MOST_BINS)
    ends = np.quantile(given, np.linspace(0, 1, number + 1)[1:-1])
    gaps = np.bincount(np.searchsorted(ends, given), many.labels - given)
    truth = np.abs(gaps).sum() / len(given)
  held = _held(
    lambda labels, scores: calibration.CalibrationError(
      (
        calibration.Bins.of(
          labels, _probabilities(scores, auc, prevalence, sharpness)
        ),
      )
    ),
    *(truth, count, prevalence, auc, 300),
  )
  assert _report(f'ECE {truth:.3f}, {count} patients', held) >= _LEAST


def _draw(rng, count, frequencies, distance):
  """Classes and probabilities of two images a patient."""
  number = len(frequencies)
  ours = rng.choice(number, (count, 1), p=frequencies)
  own = rng.choice(number, (count, 2), p=frequencies)
  classes = np.where(rng.random((count, 2)) < 0.7, ours, own).ravel()
  noise = rng.normal(size=(count, 1, number)) + rng.normal(
    size=(count, 2, number)
  )
  logits = noise.reshape(-1, number) / np.sqrt(2)
  logits += distance * np.eye(number)[classes]
  probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  return classes, probabilities


@pytest.mark.parametrize(
  ('frequencies', 'distance', 'count'),
  [
    ((0.5, 0.3, 0.2), 2.0, 60),
    ((0.5, 0.3, 0.2), 4.0, 60),
    ((0.7, 0.1, 0.1, 0.05, 0.05), 3.0, 300),
    ((0.125,) * 8, 4.0, 200),
  ],
)
def test_several_classes(frequencies, distance, count):
  names = [str(k) for k in range(len(frequencies))]

  def make(classes, probabilities):
    answers = metrics.answers.Choice(names, classes, probabilities)
    return {
      'balanced accuracy': metrics.BalancedAccuracy(
        classes, probabilities.argmax(axis=1)
      ),
      'macro AUC': metrics.answers.macro_auc(answers),
      'Brier': metrics.answers.brier(answers),
    }

  many = _draw(np.random.default_rng(9), 100_000, frequencies, distance)
  truths = {name: metric.value() for name, metric in make(*many).items()}
  rng, held = np.random.default_rng(0), {name: [] for name in truths}
  patient = np.repeat(np.arange(count), 2)
  for _ in range(500):
    for name, metric in make(*_draw(rng, count, frequencies, distance)).items():
      low, high = metric.interval(patient)
      if not np.isnan(low):
        held[name].append(low <= truths[name] <= high)
  for name, each in held.items():
    title = f'{name} {truths[name]:.3f}, {len(names)} classes, {count} patients'
    assert _report(title, each) >= _LEAST - 0.02


@pytest.mark.parametrize('rate', [0.9, 0.98])
@pytest.mark.parametrize('stddev', [0.0, 0.02])
def test_rates_of_several_networks(rate, stddev):
  """Three networks whose own sensitivity varies, on 60 patients."""
  rng, held = np.random.default_rng(0), []
  while len(held) < 1000:
    patients = _Patients(rng, 60, 0.3)
    if patients.labels.sum() < 4:
      continue
    parts = []
    for _ in range(3):
      own = np.clip(rate + stddev * rng.normal(), 0.5, 0.9999)
      threshold = _distance(0.95) + stats.norm.ppf(1 - own)
      scores = patients.scores(0.95, 0.6)
      parts.append(
        operating_points.sensitivity(patients.labels, scores, threshold)
      )
    group = over_networks.Group(parts, patients.patient, 60)
    score = over_networks.score(group)
    if not np.isnan(score.low):
      held.append(score.low <= rate <= score.high)
  assert _report(f'sensitivity {rate} of networks', held) >= _LEAST


@pytest.mark.parametrize('share', [0.2, 0.5])
@pytest.mark.parametrize('auc', [0.85, 0.97])
@pytest.mark.parametrize('by_patient', [True, False])
def test_differences_of_subgroups(share, auc, by_patient):
  """Groups of patients, or of images so that patients are in both."""
  rng, held = np.random.default_rng(0), []
  count = 200
  while len(held) < 1000:
    patients = _Patients(rng, count, 0.25)
    inside = rng.random(count) < share
    inside = (
      np.repeat(inside, 2) if by_patient else rng.random(2 * count) < share
    )
    parts = [patients.scores(auc, 0.7) for _ in range(2)]

    def group(mask, patients=patients, parts=parts):
      return over_networks.Group(
        [metrics.Auc(patients.labels[mask], scores[mask]) for scores in parts],
        patients.patient[mask],
        count,
      )

    found = over_networks.difference(group(inside), group(~inside))
    if not np.isnan(found.low):
      held.append(found.low <= 0 <= found.high)
  title = f'difference of AUC {auc}, {share:.0%} of 200, patients {by_patient}'
  assert _report(title, held) >= _LEAST
