"""CPU seconds of every metric's interval over patients: 50,000 images.

Fourteen findings of 20,000 patients, of which a tenth is not labelled. The
peer is a bootstrap over patients of the AUCs, of scikit-learn's AUC; it is
timed for a few resamples and multiplied.
"""

from collections.abc import Iterator
import functools
import time

import numpy as np
from sklearn import metrics as sklearn_metrics

from transfusion_tf import metrics
from transfusion_tf.metrics import ranking

_IMAGES, _PATIENTS, _FINDINGS = 50_000, 20_000, 14
_RESAMPLES, _TIMED = 1_000, 3


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  rng = np.random.default_rng(0)
  patients = sorted(rng.integers(0, _PATIENTS, _IMAGES).tolist())
  asked = {f'finding{i}': _answers(rng) for i in range(_FINDINGS)}
  aucs = {name: ranking.Auc(*pair) for name, pair in asked.items()}
  ours = _seconds(lambda: metrics.summaries(aucs, patients))
  peer = _seconds(lambda: _bootstrap(rng, asked, patients))
  peer *= _RESAMPLES / _TIMED
  yield f'{_FINDINGS} AUCs with intervals', ours, 's'
  yield f'{_RESAMPLES} resamples of patients', peer, 's'
  yield 'resamples / ours', peer / ours, 'x'
  answers = metrics.answers.Questions(asked)
  for name, make in metrics.answers.METRICS.items():
    if metric := make(answers):
      made = functools.partial(metrics.summaries, {name: metric}, patients)
      yield name, _seconds(made), 's'
  patient = metrics.patient_numbers(patients)
  bins = answers.bins.values()
  yield (
    'calibration curves',
    _seconds(lambda: [b.curve(patient) for b in bins]),
    's',
  )


def _answers(rng):
  labels = (rng.random(_IMAGES) < 0.1).astype(float)
  logits = rng.normal(size=_IMAGES) + labels - 2
  labels[rng.random(_IMAGES) < 0.1] = np.nan
  return labels, 1 / (1 + np.exp(-logits))


def _bootstrap(rng, asked, patients):
  for _ in range(_TIMED):
    drawn = rng.multinomial(_PATIENTS, np.full(_PATIENTS, 1 / _PATIENTS))
    weights = drawn[np.asarray(patients)]
    for labels, scores in asked.values():
      known = ~np.isnan(labels) & (weights > 0)
      sklearn_metrics.roc_auc_score(
        labels[known], scores[known], sample_weight=weights[known]
      )


def _seconds(function):
  began = time.process_time()
  function()
  return time.process_time() - began
