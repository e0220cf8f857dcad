"""Simulated coverage of every interval that the project prints.

Each world states its truth, draws studies from it, and counts how many of the
95 % intervals hold it; docs/statistics.md has the figures. The worlds are those
in which simpler intervals were measured to fail: few patients with two eyes,
AUCs near one, few positive patients, groups whose standard deviations differ
tenfold, two and three seeds, and pairs that share networks.
"""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from transfusion_tf import metrics
from transfusion_tf.study import paired
from transfusion_tf.study import results
from transfusion_tf.study import statistics

pytestmark = pytest.mark.slow
_LEAST = 0.93


def _report(name, held):
  print(f'{name}: {np.mean(held):.3f} of {len(held)}')
  return np.mean(held)


class _Patients:
  """Patients with two eyes, whose labels and difficulty are correlated."""

  def __init__(self, rng, count, prevalence):
    def correlated(share):
      both = np.sqrt(share) * rng.normal(size=(count, 1))
      return (both + np.sqrt(1 - share) * rng.normal(size=(count, 2))).ravel()

    self.rng = rng
    self.patient = np.repeat(np.arange(count), 2)
    self.labels = correlated(0.6) > stats.norm.ppf(1 - prevalence)
    self._hard = correlated(0.5)

  def scores(self, auc, shared=1.0):
    """Scores of a network of a given AUC, hard where others find it hard."""
    own = self.rng.normal(size=len(self.labels))
    noise = np.sqrt(shared) * self._hard + np.sqrt(1 - shared) * own
    return np.sqrt(2) * stats.norm.ppf(auc) * self.labels + noise


@pytest.mark.parametrize(
  ('count', 'auc', 'prevalence'),
  [
    (60, 0.95, 0.3),
    (40, 0.95, 0.3),
    (60, 0.985, 0.3),
    (60, 0.95, 0.14),
    (60, 0.985, 0.14),
    (117, 0.85, 0.14),  # CheXpert's `valid`.
    (300, 0.95, 0.2),
  ],
)
def test_an_auc_of_few_patients(count, auc, prevalence):
  rng = np.random.default_rng(0)
  held = []
  while len(held) < 2000:
    patients = _Patients(rng, count, prevalence)
    if patients.labels.sum() < 2:
      continue
    metric = metrics.Auc(patients.labels, patients.scores(auc))
    low, high = metric.interval(patients.patient)
    held.append(low <= auc <= high)
  assert _report(f'AUC {auc}, {count} patients, {prevalence}', held) >= _LEAST


def _group(patients, auc, stddev, seeds):
  """Runs of networks whose true AUCs vary from seed to seed."""
  runs = []
  for _ in range(seeds):
    true = np.clip(auc + stddev * patients.rng.normal(), 0.5, 0.9999)
    metric = metrics.Auc(patients.labels, patients.scores(true, 0.6))
    test = {'auc': {'value': metric.value()}}
    run = results.Result('', '', None, {'headline': 'auc', 'test': test}, None)
    table = {'image_id': np.arange(len(patients.labels))}
    table |= {'patient_id': patients.patient} | metric.columns('auc')
    run.__dict__['scores'] = pd.DataFrame(table)
    runs.append(run)
  return runs


@pytest.mark.parametrize(
  ('count', 'prevalence', 'aucs', 'stddevs', 'seeds'),
  [
    (150, 0.2, (0.9, 0.9), (0.01, 0.01), (2, 2)),
    (750, 0.2, (0.9, 0.9), (0.01, 0.01), (2, 2)),
    (750, 0.2, (0.9, 0.9), (0.01, 0.01), (3, 3)),
    (750, 0.2, (0.9, 0.9), (0.002, 0.024), (3, 3)),
    (750, 0.2, (0.9, 0.9), (0.002, 0.024), (5, 5)),
    (60, 0.3, (0.95, 0.95), (0.01, 0.01), (3, 3)),
    (60, 0.14, (0.97, 0.95), (0.005, 0.01), (5, 5)),
    (40, 0.3, (0.985, 0.95), (0.003, 0.01), (5, 5)),
  ],
)
def test_a_paired_difference(count, prevalence, aucs, stddevs, seeds):
  rng = np.random.default_rng(0)
  truth, held = aucs[1] - aucs[0], []
  while len(held) < 800:
    patients = _Patients(rng, count, prevalence)
    if patients.labels.sum() < 4:
      continue
    groups = [
      _group(patients, *each) for each in zip(aucs, stddevs, seeds, strict=True)
    ]
    estimate = paired.Comparer().difference([-1, 1], groups)
    held.append(estimate.low <= truth <= estimate.high)
  name = f'difference, {count} patients, SDs {stddevs}, seeds {seeds}'
  assert _report(name, held) >= _LEAST


@pytest.mark.parametrize('seeds', [3, 5])
@pytest.mark.parametrize('patients', [0.0, 0.2])
def test_a_contrast_of_groups_that_vary_tenfold(seeds, patients):
  """ResNet-50 varies by 4.6 points, the CBR networks by 0.2 to 1.5."""
  rng = np.random.default_rng(0)
  stddevs = (4.6, 0.2, 0.7, 1.5, 0.9)
  coefficients = (-1, *4 * (0.25,))
  held = []
  for _ in range(4000):
    samples = [rng.normal(0, stddev, seeds) for stddev in stddevs]
    estimate = statistics.contrast(
      coefficients, samples, statistics.Variance(patients)
    )
    chance = np.sqrt(patients) * rng.normal()
    held.append(estimate.low <= chance <= estimate.high)
  assert _report(f'contrast, {seeds} seeds', held) >= _LEAST


@pytest.mark.parametrize('seeds', [3, 4, 6])
@pytest.mark.parametrize(
  ('network', 'pair', 'noise'), [(1, 0, 0), (1, 0, 1), (0, 1, 0), (0.5, 1, 0.5)]
)
def test_pairs_that_share_networks(seeds, network, pair, noise):
  """Similarities with effects of networks, of their features and of chance."""
  rng = np.random.default_rng(0)

  def similarities(scale):
    own = network * rng.normal(size=seeds)
    features = rng.normal(size=(seeds, 3))
    both = pair * features @ features.T / np.sqrt(3)
    chance = noise * rng.normal(size=(seeds, seeds))
    return scale * (own[:, None] + own + both + (chance + chance.T) / 2)

  def statistic(groups):
    a, b = (
      [table[i, j] for i, j in itertools.combinations(group, 2)]
      for table, group in zip(tables, groups, strict=True)
    )
    return np.mean(a) - np.mean(b) if a and b else np.nan

  held = []
  for _ in range(2000):
    tables = similarities(1), similarities(0.3)
    estimate = statistics.jackknife(statistic, [range(seeds), range(seeds)])
    held.append(estimate.low <= 0 <= estimate.high)
  assert _report(f'pairs of {seeds} networks', held) >= _LEAST


@pytest.mark.parametrize('factor', [1.0, 2.0])
@pytest.mark.parametrize('cut', [1.0, 0.4])
def test_a_ratio_of_steps(factor, cut):
  """Curves of one plateau, one of which needs `factor` times the steps."""
  rng = np.random.default_rng(0)
  steps = np.arange(0, 250_001, 5_000)
  steps = steps[steps <= cut * steps[-1]]

  def run(time):
    time *= np.exp(0.15 * rng.normal())
    values = 0.965 - 0.465 * np.exp(-steps / time)
    values += rng.normal(0, 0.002, len(steps))
    curve = pd.DataFrame({'step': steps, 'auc': values})
    return results.Result('', '', None, {'headline': 'auc'}, curve)

  held, alike = [], []
  for _ in range(2000):
    groups = [[run(t) for _ in range(3)] for t in (2e4, 2e4 * factor)]
    best = min(np.mean([r.best() for r in group]) for group in groups)
    logs = [
      [r.crossing(0.5 + 0.9 * (best - 0.5)).log_steps for r in group]
      for group in groups
    ]
    estimate = statistics.contrast([-1, 1], logs)
    held.append(estimate.low <= np.log(factor) <= estimate.high)
    alike.append(estimate.p_value(-np.log(1.25), np.log(1.25)) < 0.05)
  assert _report(f'ratio of steps {factor}, cut at {cut}', held) >= _LEAST
  if factor == 2:
    assert np.mean(alike) <= 0.01
