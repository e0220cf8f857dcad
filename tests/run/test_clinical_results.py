"""Operating points, calibration and subgroups of a run: files, words, card."""

import json
import os
import pathlib

import chain
import numpy as np
import pandas as pd
import pytest
import raw_sets

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import results


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A run on squares that are selected by their average precision."""
  root = tmp_path_factory.mktemp('clinical')
  raw = raw_sets.squares(root / 'raw', 160)
  table = pd.read_csv(raw / 'here.csv')
  table['sex'] = np.where(np.arange(len(table)) // 2 % 2, 'F', 'M')
  table['site'] = np.where(np.arange(len(table)) < 4, 'rare', 'usual')
  table['split'] = ['test'] * 60 + ['validation'] * 40 + ['train'] * 60
  table.to_csv(raw / 'here.csv', index=False)
  chain.prepare(
    raw, root / 'data', 'here', split='split', subgroups=('sex', 'site')
  )
  experiment = chain.experiment(
    root / 'data', train__primary_metric='average_precision'
  )
  train_and_evaluate.run(experiment, str(root / 'run'))
  return root


def _run(root):
  return results.read(str(root), 'run')


def test_the_primary_metric_selects_the_checkpoint(root):
  run = _run(root)
  assert run.primary_metric == 'average_precision'
  best = run.curve['average_precision'].idxmax()
  assert run.result['judged_step'] == run.curve['step'][best]
  step = run_folder.checkpoint_step(run.run_dir, 'best')
  assert step == run.result['judged_step']
  assert run.test_metric().value() == pytest.approx(run.test()['value'])


def test_an_unfit_primary_metric_is_refused_before_training(root, tmp_path):
  experiment = config.override(
    chain.experiment(root / 'data'), {'train.primary_metric': 'macro_auc'}
  )
  with pytest.raises(errors.InputError, match='primary_metric'):
    train_and_evaluate.run(experiment, str(tmp_path / 'run'))
  assert not (tmp_path / 'run').exists()


def test_thresholds_are_of_validation_and_rates_of_test(root):
  run = _run(root)
  specific, sensitive = run.result['operating_points']
  chosen = run.validation_scores
  labels, scores = chosen['auc:label'], chosen['auc:score']
  assert len(chosen) == 40
  called = scores >= specific['threshold']
  assert (~called[labels == 0]).mean() >= 0.98
  assert (scores >= sensitive['threshold'])[labels == 1].mean() >= 0.97
  assert specific['chosen_on'] == (labels == 0).sum()
  test = run.scores
  positive = test['auc:label'] == 1
  called = test['auc:score'] >= sensitive['threshold']
  assert sensitive['sensitivity']['value'] == called[positive].mean()
  assert sensitive['specificity']['value'] == (~called[~positive]).mean()
  low, high = (sensitive['sensitivity'][end] for end in ('low', 'high'))
  assert low < sensitive['sensitivity']['value'] <= high


def test_scores_of_a_test_set_name_its_groups(root):
  scores = _run(root).scores
  assert set(scores['sex:group']) == {'F', 'M'}
  assert (scores['site:group'] == 'rare').sum() == 4


def test_evaluating_says_the_same(root, call):
  run = _run(root)
  done = call('evaluate.py', f'--run_dir={run.run_dir}', cwd=root)
  assert done.returncode == 0, done.stderr
  for point in run.result['operating_points']:
    assert metrics.operating_points.text(point) in done.stdout
  curve = pathlib.Path(run.run_dir, 'scores_test_best_reliability.png')
  assert curve.read_bytes().startswith(b'\x89PNG') and str(curve) in done.stdout
  header = json.loads(curve.with_name('scores_test_best.json').read_text())
  assert header['operating_points'] == run.result['operating_points']
  done = call(
    'evaluate.py', f'--run_dir={run.run_dir}', '--sensitivity=0.5', cwd=root
  )
  _, other = json.loads(curve.with_name('scores_test_best.json').read_text())[
    'operating_points'
  ]
  assert other['at_least'] == 0.5
  assert other['threshold'] > run.result['operating_points'][1]['threshold']


def test_other_checkpoints_and_runs_of_old_have_their_own_thresholds(root):
  run = run_lib.load_run(str(root / 'run'), 'init')
  scores, _ = scores_lib.validation(run, str(root / 'run'), 'test', 'init')
  assert len(scores) == 40
  assert not np.allclose(
    scores['auc:score'], _run(root).validation_scores['auc:score']
  )
  path = root / 'run' / run_folder.VALIDATION_SCORES
  text = path.read_text()
  best = run_lib.load_run(str(root / 'run'), 'best')
  path.unlink()
  try:
    again, _ = scores_lib.validation(best, str(root / 'run'), 'test', 'best')
    assert _run(root).validation_scores is None
  finally:
    path.write_text(text)
  np.testing.assert_allclose(
    again['auc:score'], _run(root).validation_scores['auc:score'], rtol=1e-5
  )
  # Validation cannot judge the thresholds that it has chosen.
  table, reason = scores_lib.validation(
    best, str(root / 'run'), 'validation', 'best'
  )
  assert table is None and not reason


def test_a_model_card_has_points_and_groups(root, tmp_path):
  run = run_lib.load_run(str(root / 'run'), 'best', strategy='one_device')
  step = run_folder.result(str(root / 'run'))['judged_step']
  run_dir = os.fspath(root / 'run')
  export.export(run, tmp_path / 'export', run_dir=run_dir, step=step)
  card = (tmp_path / 'export' / 'model_card.md').read_text()
  assert '| average_precision (primary metric) |' in card
  assert '| auc | high specificity, 0.98 or more |' in card
  assert 'a perfectly calibrated network would show about' in card
  assert '| sex | F | 30 | 15 |' in card
  (rare,) = (line for line in card.splitlines() if '| site | rare |' in line)
  assert 'fewer than 5 patients' in rare or 'no positive one' in rare
