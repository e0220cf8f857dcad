"""Thresholds and a temperature: stored by evaluation, carried by an export."""

import json
import pathlib

import numpy as np
import pandas as pd
import prepared_sets
import pytest
from sklearn import metrics as sklearn_metrics
import tensorflow as tf

from transfusion_tf import decisions
from transfusion_tf import export
from transfusion_tf import run_folder
from transfusion_tf.metrics import operating_points
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import description
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.run import train_and_evaluate


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory, data_dir):
  run_dir = tmp_path_factory.mktemp('decided') / 'run'
  experiment = prepared_sets.experiment(
    data_dir,
    model__name='tiny_nets:net',
    train__train_steps=40,
    train__eval_every=20,
    optimizer__learning_rate=0.01,
  )
  train_and_evaluate.run(experiment, str(run_dir))
  return str(run_dir)


def _step(run_dir):
  return run_folder.result(run_dir)['judged_step']


def test_scores_of_grades_are_enough_for_scikit_learn(run_dir):
  result = run_folder.result(run_dir)
  table = scores_lib.read(f'{run_dir}/test_scores.csv')
  names = list('01234')
  true = table['true:class']
  given = table[names].idxmax(axis=1)
  expected = sklearn_metrics.cohen_kappa_score(
    true.astype(int), given.astype(int), weights='quadratic'
  )
  kappa = result['test']['kappa']
  assert kappa['value'] == pytest.approx(expected)
  assert kappa['low'] < kappa['value'] < kappa['high']
  referable = (true.astype(int) >= 2).to_numpy()
  assert result['test']['referable']['value'] == pytest.approx(
    sklearn_metrics.roc_auc_score(referable, table['referable:score'])
  )
  run = run_lib.load_run(run_dir, 'best', strategy='one_device')
  found = scores_lib.confusion(run.task, table)
  assert found['names'] == names
  np.testing.assert_array_equal(
    found['counts'], sklearn_metrics.confusion_matrix(true, given, labels=names)
  )


def test_training_stores_the_usual_points(run_dir):
  points = run_folder.result(run_dir)['operating_points']
  stored = run_folder.decisions(run_dir, _step(run_dir))
  assert stored.points == operating_points.chosen(points)
  assert stored.temperature is None
  assert run_folder.decisions(run_dir, 0) is None


def test_runs_of_earlier_versions_have_the_points_of_their_result(run_dir):
  path = pathlib.Path(run_dir, run_folder.DECISIONS)
  stored, text = run_folder.decisions(run_dir, _step(run_dir)), path.read_text()
  path.unlink()
  try:
    assert run_folder.decisions(run_dir, _step(run_dir)) == stored
  finally:
    path.write_text(text)


def test_evaluation_stores_what_it_is_asked_for(run_dir, call, tmp_path):
  before = pathlib.Path(run_dir, run_folder.DECISIONS).read_text()
  flags = [f'--run_dir={run_dir}', '--sensitivity=0.6', '--specificity=0.7']
  parquet = tmp_path / 'scores.parquet'
  done = call('evaluate.py', *flags, f'--parquet={parquet}')
  assert done.returncode == 0, done.stderr
  table = scores_lib.read(f'{run_dir}/scores_test_best.csv')
  pd.testing.assert_frame_equal(
    pd.read_parquet(parquet), table, check_dtype=False, rtol=1e-6
  )
  assert pathlib.Path(run_dir, run_folder.DECISIONS).read_text() == before
  assert 'true \\ most probable' in done.stdout
  header = json.loads(
    pathlib.Path(run_dir, 'scores_test_best.json').read_text()
  )
  assert np.sum(header['confusion']['counts']) == 35
  done = call('evaluate.py', *flags, '--store_points', '--calibrate')
  assert done.returncode == 0, done.stderr
  stored = run_folder.decisions(run_dir, _step(run_dir))
  assert [p.target.at_least for p in stored.points] == [0.7, 0.6]
  assert 0.05 < stored.temperature < 20
  assert '2 thresholds, temperature' in done.stdout
  validation = scores_lib.read(f'{run_dir}/validation_scores.csv')
  positive = validation['referable:label'] == 1
  called = validation['referable:score'] >= stored.points[1].threshold
  assert called[positive].mean() >= 0.6
  # Another checkpoint has its own.
  done = call('evaluate.py', f'--run_dir={run_dir}@init', '--store_points')
  assert done.returncode == 0, done.stderr
  assert run_folder.decisions(run_dir, 0).points
  assert run_folder.decisions(run_dir, _step(run_dir)) == stored
  _check_export(run_dir, stored, tmp_path)


def _check_export(run_dir, stored, tmp_path):
  """The signature, the asset and the card say what is stored."""
  run = run_lib.load_run(run_dir, 'best', strategy='one_device')
  step = _step(run_dir)
  export.export(run, tmp_path / 'export', run_dir=run_dir, step=step)
  assert description.read(str(tmp_path / 'export')).decisions == stored
  serve = tf.saved_model.load(str(tmp_path / 'export')).signatures[
    'serve_prepared'
  ]
  prepared = run.source.prepared
  files = [prepared.parse(r)['image'] for r in prepared.records('test')]
  found = serve(tf.stack([*files, tf.constant(b'no picture')]))
  names = [name.decode() for name in found['decision_names'][0].numpy()]
  assert names == ['high_specificity', 'high_sensitivity', decisions.GRADE]
  expected = stored.decide(run.task, found['probabilities'][:-1]).numpy()
  np.testing.assert_array_equal(found['decision'][:-1], expected)
  np.testing.assert_array_equal(found['decision'][-1], [-1, -1, -1])
  calibrated = stored.calibrated(run.task, found['probabilities'][:-1])
  np.testing.assert_allclose(found['calibrated'][:-1], calibrated, atol=1e-6)
  card = (tmp_path / 'export' / 'model_card.md').read_text()
  assert '| referable | high specificity, 0.7 or more |' in card
  assert f'temperature {stored.temperature:.3f}' in card
  table = scores_lib.read(f'{run_dir}/test_scores.csv')
  counts = scores_lib.confusion(run.task, table)['counts']
  assert f'| 0 | {" | ".join(map(str, counts[0]))} |' in card


def test_a_table_without_true_classes_is_still_read(run_dir, tmp_path):
  path = pathlib.Path(run_dir, 'test_scores.csv')
  table = pd.read_csv(path, dtype=str)
  columns = ['true:class', 'kappa:grade', 'kappa:answer']
  table.drop(columns=columns).to_csv(tmp_path / 'old.csv', index=False)
  read = scores_lib.read(str(tmp_path / 'old.csv'))
  run = run_lib.load_run(run_dir, 'best', strategy='one_device')
  assert scores_lib.confusion(run.task, read) == {}
