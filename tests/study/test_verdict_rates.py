"""How often the verdicts of a study are right, where the truth is known.

The label is planted in features that all networks of a study see: a network is
a direction in them, its score the projection of an image. The angle between
that direction and the planted one varies from seed to seed about that of its
start, so that the true AUC of a start is an integral, and the difference of two
starts is known exactly. Validation images choose, test images judge.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from scipy import stats

from transfusion_tf import metrics
from transfusion_tf.study import decision
from transfusion_tf.study import results

_FEATURES, _STRENGTH, _SEED_STDDEV = 20, 2.5, 0.06
_MARGIN = 0.02
_WRONG = 0.05


@dataclasses.dataclass(frozen=True)
class _Images:
  """Images of patients with two each, whose features are correlated."""

  labels: np.ndarray
  features: np.ndarray
  patients: np.ndarray

  @classmethod
  def draw(cls, rng, num_patients):
    labels = np.repeat(rng.random(num_patients) < 0.3, 2)
    own = rng.normal(size=(2 * num_patients, _FEATURES))
    shared = np.repeat(rng.normal(size=(num_patients, _FEATURES)), 2, axis=0)
    features = np.sqrt(0.5) * (own + shared)
    features[:, 0] += _STRENGTH * labels
    return cls(labels, features, np.repeat(np.arange(num_patients), 2))

  def auc(self, direction):
    return metrics.Auc(self.labels, self.features @ direction)


def _true_auc(cosine):
  """Return the mean AUC of networks about an angle."""
  angles = np.arccos(cosine) + _SEED_STDDEV * stats.norm.ppf(
    (np.arange(400) + 0.5) / 400
  )
  return stats.norm.cdf(_STRENGTH * np.cos(angles) / np.sqrt(2)).mean()


def _cosine(auc):
  """Return the cosine of the angle about which networks have a mean AUC."""
  return optimize.brentq(lambda c: _true_auc(c) - auc, 0.05, 0.999)


def _network(rng, cosine, validation, test):
  """Return the run of one seed."""
  angle = np.arccos(cosine) + _SEED_STDDEV * rng.normal()
  other = rng.normal(size=_FEATURES - 1)
  direction = np.r_[
    np.cos(angle), np.sin(angle) * other / np.linalg.norm(other)
  ]
  tested = test.auc(direction)
  run = results.Result(
    '',
    '',
    None,
    {'headline': 'auc', 'test': {'auc': {'value': tested.value()}}},
    pd.DataFrame({'step': [1], 'auc': [validation.auc(direction).value()]}),
  )
  table = {'image_id': np.arange(len(test.labels)), 'patient_id': test.patients}
  run.__dict__['scores'] = pd.DataFrame(table | tested.columns('auc'))
  return run


def _decide(rng, cosines, seeds, num_patients):
  """Return the decision of a study of known networks.

  Args:
    rng: Source of all draws.
    cosines: Model -> start -> cosine of its angle.
    seeds: Runs of each start.
    num_patients: Patients to test on.
  """
  validation = _Images.draw(rng, 60)
  test = _Images.draw(rng, num_patients)
  runs = {
    model: {
      start: [_network(rng, cosine, validation, test) for _ in range(seeds)]
      for start, cosine in starts.items()
    }
    for model, starts in cosines.items()
  }
  parameters = {model: size for size, model in enumerate(runs)}
  return decision.decide(runs, _MARGIN, parameters)


def _verdicts(effect, seeds, num_patients, count):
  """Return verdict -> the fraction of studies with it."""
  rng = np.random.default_rng(0)
  starts = {'random': _cosine(0.88), 'transfer': _cosine(0.88 + effect)}
  found = [
    _decide(rng, {'m': starts}, seeds, num_patients).effects[0].verdict
    for _ in range(count)
  ]
  rates = {verdict: found.count(verdict) / count for verdict in set(found)}
  print(f'{effect:+.3f}, {seeds} seeds, {num_patients} patients: {rates}')
  return rates


def _at_most(count):
  """Return a rate that a true one of `_WRONG` exceeds in 1 of 1,000 cases."""
  return stats.binom.ppf(0.999, count, _WRONG) / count


def _check(effect, rates, count):
  """Check the verdicts that are false of an effect."""
  false = {decision.HELPS: effect <= 0, decision.HURTS: effect >= 0}
  false[decision.SAME] = abs(effect) >= _MARGIN
  wrong = sum(rate for name, rate in rates.items() if false.get(name))
  assert wrong <= _at_most(count)


@pytest.mark.parametrize('effect', [0.0, _MARGIN])
def test_few_verdicts_are_wrong(effect):
  count = 60
  _check(effect, _verdicts(effect, 3, 150, count), count)


@pytest.mark.slow
@pytest.mark.parametrize('seeds', [2, 3, 10])
@pytest.mark.parametrize('num_patients', [100, 1000])
@pytest.mark.parametrize('effect', [-0.02, 0.0, 0.01, 0.02])
def test_verdicts_are_right_at_their_rate(effect, num_patients, seeds):
  count = 400
  _check(effect, _verdicts(effect, seeds, num_patients, count), count)


@pytest.mark.slow
def test_an_effect_that_is_there_is_found():
  assert _verdicts(0.06, 10, 400, 100)[decision.HELPS] > 0.9
  assert _verdicts(-0.06, 10, 400, 100)[decision.HURTS] > 0.9
  assert _verdicts(0.0, 20, 5000, 100)[decision.SAME] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize('num_patients', [100, 400, 2000])
def test_a_network_that_is_worse_is_seldom_recommended(num_patients):
  rng = np.random.default_rng(0)
  count, found = 400, []
  cosines = {
    'small': {'random': _cosine(0.88 - _MARGIN), 'transfer': _cosine(0.85)},
    'large': {'random': _cosine(0.86), 'transfer': _cosine(0.88)},
  }
  for _ in range(count):
    decided = _decide(rng, cosines, 3, num_patients)
    if decided.reference.model == 'large':
      found.append(decided.recommended.model == 'small')
  print(f'{num_patients} patients: {np.mean(found):.3f} of {len(found)}')
  assert np.mean(found) <= _at_most(len(found))
