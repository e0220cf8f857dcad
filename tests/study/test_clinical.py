"""Clinical numbers of several networks, in parts of a test set and whole."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from transfusion_tf import metrics
from transfusion_tf.metrics import operating_points
from transfusion_tf.study import clinical
from transfusion_tf.study import clinical_sections
from transfusion_tf.study import decision
from transfusion_tf.study import over_networks
from transfusion_tf.study import results
from transfusion_tf.study import subgroups


def _scores(rng, count, quality, labels=None, hard=None):
  """A table of two eyes a patient."""
  labels = rng.random(count) < 0.4 if labels is None else labels
  hard = rng.normal(size=count) if hard is None else hard
  logits = quality * (labels - 0.5) + hard + 0.3 * rng.normal(size=count)
  probability = 1 / (1 + np.exp(-logits))
  return pd.DataFrame(
    {
      'image_id': [f'{n}.png' for n in range(count)],
      'patient_id': [f'p{n // 2}' for n in range(count)],
      'well': 1 - probability,
      'sick': probability,
      'auc:label': labels.astype(float),
      'auc:score': probability,
    }
  )


def _runs(seeds=3, quality=3.0, count=200):
  """Networks that were tested on the same images."""
  rng = np.random.default_rng(0)
  labels, hard = rng.random(count) < 0.4, rng.normal(size=count)
  runs = []
  for _ in range(seeds):
    test = _scores(rng, count, quality, labels, hard)
    metric = metrics.from_columns(test, 'auc')
    found = metrics.summaries({'auc': metric}, test['patient_id'])
    result = {'headline': 'auc', 'test': found}
    run = results.Result('key', 'dir', None, result, None)
    run.__dict__['scores'] = test
    run.__dict__['validation_scores'] = _scores(rng, 120, quality)
    runs.append(run)
  return runs


def test_numbers_are_means_over_networks():
  runs = _runs()
  found = clinical.scores(runs)
  assert list(found) == ['average_precision', 'brier', 'brier_skill', 'ece']
  for name, score in found.items():
    values = [metrics.from_columns(r.scores, name).value() for r in runs]
    assert score.value == pytest.approx(np.mean(values))
    assert score.low < score.value < score.high and score.networks == 3
  alone = clinical.scores(runs[:1])['brier']
  metric = metrics.from_columns(runs[0].scores, 'brier')
  patient = metrics.patient_numbers(runs[0].scores['patient_id'])
  assert (alone.low, alone.high) == pytest.approx(metric.interval(patient))


def test_each_network_has_its_own_threshold():
  runs = _runs()
  targets = operating_points.targets(0.9, 0.9)
  specific, sensitive = clinical.points(runs, targets)
  assert specific.target.name == operating_points.HIGH_SPECIFICITY
  rates = []
  for run in runs:
    chosen = run.validation_scores
    threshold = targets[1].threshold(chosen['auc:label'], chosen['auc:score'])
    positive = run.scores['auc:label'] == 1
    rates.append((run.scores['auc:score'] >= threshold)[positive].mean())
  assert sensitive.sensitivity.value == pytest.approx(np.mean(rates))
  assert 0 <= sensitive.sensitivity.low < sensitive.sensitivity.value
  runs[1].__dict__['validation_scores'] = None
  assert clinical.points(runs) == []


def test_a_perfect_sensitivity_has_an_interval():
  patient = np.arange(30)
  parts = [metrics.Fraction(np.ones(30))] * 3
  score = over_networks.score(over_networks.Group(parts, patient, 30))
  assert score.value == score.high == 1
  assert 0.8 < score.low < 0.9


def _groups(names):
  ids = [f'{n}.png' for n in range(len(names))]
  return pd.DataFrame({'site': names}, index=ids)


def test_subgroups_are_the_metric_of_their_images():
  runs = _runs()
  tables = [run.scores for run in runs]
  names = np.where(np.arange(200) < 80, 'north', 'south')
  names[-4:] = 'west'
  rows = subgroups.rows(tables, _groups(names), 'auc')
  assert list(rows['group']) == ['north', 'south', 'west']
  assert list(rows['images']) == [80, 116, 4]
  assert list(rows['patients']) == [40, 58, 2]
  assert rows['positive'].sum() == tables[0]['auc:label'].sum()
  north, south, west = rows.to_dict('records')
  values = [metrics.from_columns(t[:80], 'auc').value() for t in tables]
  rest = [metrics.from_columns(t[80:], 'auc').value() for t in tables]
  assert north['score'].value == pytest.approx(np.mean(values))
  difference = north['difference']
  assert difference.value == pytest.approx(np.mean(values) - np.mean(rest))
  assert difference.low < difference.value < difference.high
  assert math.isnan(west['difference'].value) and west['score'].reason
  assert '2 groups are compared' in subgroups.caution(rows)
  assert '[' in south['score'].text() and '[' not in west['score'].text()


def test_eyes_of_a_patient_in_two_groups_are_not_independent():
  """Of left and right eyes that fare alike, the difference varies less."""
  tables = [run.scores for run in _runs(1)]
  twice = pd.concat([tables[0], tables[0]], ignore_index=True)
  twice['image_id'] = [f'{n}.png' for n in range(400)]
  names = np.repeat(['left', 'right'], 200)
  apart = twice.assign(
    patient_id=np.char.add(names, twice['patient_id'].to_numpy(str))
  )
  widths = []
  for table in (twice, apart):
    (row, _) = subgroups.rows([table], _groups(names), 'auc').to_dict('records')
    assert row['difference'].value == 0
    widths.append(row['difference'].high - row['difference'].low)
  assert 0 < widths[0] < widths[1] / 1.5


def test_bands_are_in_order():
  names = ['60 and over', 'not given', 'under 40', '40 to under 60'] * 50
  rows = subgroups.rows([_runs(1)[0].scores], _groups(names), 'auc')
  assert list(rows['group']) == [
    *('under 40', '40 to under 60', '60 and over', 'not given')
  ]


def test_sections_and_files(tmp_path):
  runs = {'cbr_tiny': {'random': _runs(2, 1.0), 'transfer': _runs(3)}}
  names = np.where(np.arange(200) < 80, 'north', 'south')
  decided = decision.Decision((), ())
  sections = clinical_sections.write(
    str(tmp_path), runs, decided, _groups(names)
  )
  assert [s.title for s in sections] == [
    'Clinical numbers',
    'Operating points',
    'Calibration of CBR-Tiny',
    'Subgroups',
  ]
  numbers, points, calibration, groups = sections
  assert list(numbers.table['Start']) == ['Random', 'Transfer']
  assert 'Brier score' in numbers.table
  assert (
    len(points.table) == 4 and 'thresholds as given' in points.paragraphs[0]
  )
  assert calibration.figure is not None
  assert list(groups.table['Group']) == ['north', 'south']
  flat = pd.read_csv(tmp_path / clinical_sections.NUMBERS)
  assert set(flat['metric']) >= {'brier', 'sensitivity', 'specificity'}
  assert (flat['low'] <= flat['value']).all()
  assert len(pd.read_csv(tmp_path / clinical_sections.SUBGROUPS)) == 4
  json.dumps(flat.to_dict('records'))


def test_what_a_study_lacks_has_no_section(tmp_path):
  runs = {'cbr_tiny': {'random': _runs(1)}}
  runs['cbr_tiny']['random'][0].__dict__['validation_scores'] = None
  decided = decision.Decision((), ())
  sections = clinical_sections.write(
    str(tmp_path), runs, decided, pd.DataFrame()
  )
  texts = {s.title: ' '.join(s.paragraphs) for s in sections}
  assert 'no validation_scores.csv' in texts['Operating points']
  assert 'Subgroups' not in texts
  assert (
    clinical_sections.write(str(tmp_path), {}, decided, pd.DataFrame()) == []
  )


def test_confusion_is_a_mean_over_networks(tmp_path):
  runs = _runs(2)
  assert clinical.confusion(runs).empty  # Tables of earlier versions.
  for run in runs:
    names = np.where(run.scores['auc:label'] > 0, 'sick', 'well')
    run.scores['true:class'] = names
  counts = clinical.confusion(runs)
  for true, given in (('sick', 'well'), ('well', 'well')):
    expected = [
      np.sum((run.scores['true:class'] == true) & (run.scores[given] > 0.5))
      for run in runs
    ]
    assert counts.loc[true, given] == np.mean(expected)
  sections = clinical_sections.write(
    str(tmp_path),
    {'cbr_tiny': {'random': runs}},
    decision.Decision((), ()),
    pd.DataFrame(),
  )
  (section,) = (s for s in sections if s.title == 'Confusion')
  well = section.table.set_index('True').loc['well']
  share = counts.loc['well', 'well'] / counts.loc['well'].sum()
  assert well['well'] == f'{share:.0%}'
  assert well['Images'] == counts.loc['well'].sum()
