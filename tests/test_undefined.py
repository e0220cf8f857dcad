"""Splits of one class, too few images: "not defined", and the rest stands."""

import json

import chain
import pandas as pd
import pytest
import raw_sets
import runs

from transfusion_tf import export
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import model_cost
from transfusion_tf.study import outcome
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import similarity as similarity_lib
from transfusion_tf.study import study_page

_SIZES = {'train': 60, 'validation': 30, 'test': 30}


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
  """Three tables: benign.csv has a test split of one class, and so on."""
  folder = raw_sets.squares(tmp_path_factory.mktemp('raw'))
  here = pd.read_csv(folder / 'here.csv')
  here['split'] = [split for split, n in _SIZES.items() for _ in range(n)]
  benign = here['label'] == 'benign'
  for name, split in (('benign', 'test'), ('unvalidated', 'validation')):
    rows = here[(here['split'] != split) | benign]
    rows.to_csv(folder / f'{name}.csv', index=False)
  few = pd.concat([here[here['split'] != 'test'], here.tail(9)])
  few.to_csv(folder / 'few.csv', index=False)
  findings = pd.read_csv(folder / 'findings.csv').assign(split=here['split'])
  findings.loc[findings['split'] == 'test', 'left'] = 0
  findings.to_csv(folder / 'lefts.csv', index=False)
  return folder


def _prepare(raw, root, table, **columns):
  chain.prepare(raw, root / 'data', table, split='split', **columns)
  return chain.experiment(root / 'data', train__train_steps=20)


def test_a_finding_without_positives(raw, tmp_path):
  experiment = _prepare(raw, tmp_path, 'lefts', labels=raw_sets.FINDINGS)
  run_dir = str(tmp_path / 'run')
  result = train_and_evaluate.run(experiment, run_dir)
  assert train_and_evaluate.run(experiment, run_dir) == result
  left = result['test']['left']
  assert left['value'] is None
  assert metrics.text(left) == (
    'not defined (no positive one among 30 examples)'
  )
  defined = [
    result['test'][n]['value'] for n in raw_sets.FINDINGS if n != 'left'
  ]
  assert result['test']['mean']['value'] == pytest.approx(sum(defined) / 4)
  text = (tmp_path / 'run' / run_folder.RESULT).read_text()
  json.loads(text, parse_constant=pytest.fail)  # No NaN.


@pytest.fixture(scope='module')
def benign(raw, tmp_path_factory):
  """A run whose test split has one class."""
  root = tmp_path_factory.mktemp('benign')
  runs.train(_prepare(raw, root, 'benign'), root / 'run')
  return str(root / 'run')


def test_evaluate_names_the_class_that_cannot_be_scored(benign, call, tmp_path):
  run_dir = benign
  done = call('evaluate.py', f'--run_dir={run_dir}', cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert 'note: test of squares has no malignant' in done.stdout
  done = call(
    'evaluate.py', f'--run_dir={run_dir}', '--split=validation', cwd=tmp_path
  )
  assert 'note' not in done.stdout


def test_a_test_split_of_one_class(benign, tmp_path):
  run_dir = benign
  run = run_lib.load_run(run_dir, 'best', strategy='one_device')
  _, found = run_lib.evaluate(run, 'test')
  assert found['auc']['value'] is None
  assert found['top1']['value'] is not None
  step = run_folder.result(run_dir)['judged_step']
  export.export(run, tmp_path / 'export', run_dir=run_dir, step=step)
  card = (tmp_path / 'export' / 'model_card.md').read_text()
  assert '| auc (primary metric) | not defined | no positive one among' in card


def _study(raw, root, table, num_seeds=1):
  """What study.py writes of a random start and its own weights transferred."""
  base = _prepare(raw, root, table)
  plan = plan_lib.Plan(
    base=base,
    models=('tiny_nets:net',),
    starts=('random', 'transfer'),
    num_seeds=num_seeds,
    sources={'tiny_nets:net': {'': str(root / 'tiny_nets-net/random/seed0')}},
  )
  for run in plan.runs(str(root)):
    runs.train(run.experiment, root / run.key)
  found = outcome.read(plan, str(root))
  costs = {'tiny_nets:net': model_cost.measure(base, 2)}
  table, said = study_page.write(
    str(root),
    table,
    found,
    costs,
    0.01,
    *similarity_lib.measure(found.finished),
  )
  text = (root / study_page.RECORD).read_text()
  record = json.loads(text, parse_constant=pytest.fail)
  return table, said, record, (root / study_page.REPORT).read_text()


def test_a_study_without_a_test_score(raw, tmp_path):
  table, said, record, report = _study(raw, tmp_path, 'benign')
  assert table.count('not defined') == 2
  assert said.startswith('No model can be recommended: the test score')
  assert record['model'] is None
  assert len(record['missing']) == 2
  assert 'no positive one among' in report
  assert 'Convergence of tiny_nets:net' in report


def test_a_study_without_a_validation_score(raw, tmp_path):
  table, said, record, report = _study(raw, tmp_path, 'unvalidated', 2)
  assert 'not defined' not in table
  assert said.startswith('No model can be recommended: the validation score')
  (effect,) = record['effects']
  assert effect['difference']['value'] is not None
  assert 'The validation score is not defined' in report


def test_a_study_with_too_few_images_to_compare(raw, tmp_path):
  _, _, record, report = _study(raw, tmp_path, 'few')
  (candidate,) = record['candidates']  # At chance or not, by two short runs.
  assert candidate['model'] == 'tiny_nets:net'
  reason = record['not_compared']['tiny_nets:net']
  assert reason.startswith('body: 9 test images are too few')
  assert 'tiny_nets:net: not defined (body: ' in report
