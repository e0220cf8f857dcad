"""Outputs keep their names: across processes, data sets and versions."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import chain
import numpy as np
import pandas as pd
import paths
import processes
import pytest
import raw_sets

from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import label_map
from transfusion_tf import output_names
from transfusion_tf import run_folder
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.run import train_and_evaluate

_OLD_RUN = paths.TESTS / 'old_run'


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
  return raw_sets.squares(tmp_path_factory.mktemp('raw'))


@pytest.fixture(scope='module')
def sites(raw, tmp_path_factory):
  """A run on `here`, and the same images as three other sites have them."""
  root = tmp_path_factory.mktemp('sites')
  chain.prepare(raw, root / 'here', 'here')
  chain.prepare(raw, root / 'elsewhere', 'elsewhere')
  chain.prepare(raw, root / 'turned', 'here', classes=('malignant', 'benign'))
  chain.prepare(raw, root / 'findings', labels=raw_sets.FINDINGS)
  train_and_evaluate.run(chain.experiment(root / 'here'), str(root / 'run'))
  return root


def _score(root, site, class_map=(), which='best'):
  run_dir = str(root / 'run')
  run = run_lib.load_run(
    run_dir, which, class_map=class_map, data_dir=str(root / site)
  )
  scores, found = run_lib.evaluate(run, 'test')
  path = scores_lib.write(run, run_dir, 'test', which, scores, found)
  return pathlib.Path(path), found


_MAP = ('abnormal=malignant', 'normal=benign')


@pytest.mark.parametrize(
  ('site', 'class_map'), [('turned', ()), ('elsewhere', _MAP)]
)
def test_another_site_is_scored_by_name(sites, site, class_map):
  own, at_home = _score(sites, 'here')
  before = own.read_bytes()
  path, found = _score(sites, site, class_map)
  assert at_home['auc']['value'] > 0.9
  assert found['auc'] == at_home['auc']
  assert own.read_bytes() == before
  assert path != own
  mine, theirs = pd.read_csv(own), pd.read_csv(path)
  assert list(theirs) == list(mine)
  pd.testing.assert_frame_equal(mine, theirs)
  header = json.loads(path.with_suffix('.json').read_text())
  assert header['outputs'] == ['benign', 'malignant']
  assert set(header['names'].values()) == {'benign', 'malignant'}
  assert header['data']['directory'].startswith(str(sites / site))
  assert header['notes']
  assert (header['split'], header['checkpoint']) == ('test', 'best')


def test_other_names_are_refused_with_both_lists(sites):
  with pytest.raises(errors.InputError) as caught:
    _score(sites, 'elsewhere')
  message = str(caught.value)
  for word in ('abnormal, normal', 'benign, malignant', '--class_map='):
    assert word in message
  with pytest.raises(errors.InputError, match=r"unknown output .*'malign'"):
    _score(sites, 'elsewhere', ['abnormal=malign'])
  with pytest.raises(errors.InputError, match="'odd'"):
    _score(sites, 'elsewhere', ['odd=malignant'])
  with pytest.raises(errors.InputError, match='kind findings'):
    _score(sites, 'findings')


def test_an_export_has_the_names_of_the_run(sites):
  run_dir = str(sites / 'run')
  run = run_lib.load_run(
    run_dir, strategy='one_device', data_dir=str(sites / 'elsewhere')
  )
  made = export.export(run, sites / 'export', run_dir=run_dir)
  assert chain.exported_names(sites / 'export') == ['benign', 'malignant']
  assert 'is not the data set of the training' in made.notes[0]
  card = (sites / 'export' / 'model_card.md').read_text()
  assert 'Outputs: benign, malignant' in card
  assert 'normal' not in card.split('## Training')[0].replace('normaliz', '')


def test_a_run_goes_on_with_its_own_data_alone(sites, tmp_path):
  run_dir = tmp_path / 'run'
  shutil.copytree(sites / 'run', run_dir)
  (run_dir / run_folder.RESULT).unlink()
  with pytest.raises(errors.InputError, match='begun on other data'):
    train_and_evaluate.run(chain.experiment(sites / 'elsewhere'), str(run_dir))
  result = train_and_evaluate.run(
    chain.experiment(sites / 'turned'), str(run_dir)
  )
  assert result['test'] == run_folder.result(str(sites / 'run'))['test']


def _match(stored, class_map=None, outputs=('a', 'b'), kind='label'):
  return label_map.match(kind, outputs, kind, stored, 'set', class_map)


def test_classes_may_be_joined_and_be_lacking():
  found = _match(('x', 'y', 'z'), {'x': 'b', 'y': 'a', 'z': 'b'})
  labels = found({'label': np.array([0, 1, 2]), 'image_id': 'kept'})
  assert labels['label'].tolist() == [1, 0, 1]
  assert labels['image_id'] == 'kept'
  lacking = _match(('b',))
  assert lacking({'label': np.array([0])})['label'].tolist() == [1]
  assert lacking.notes('set') == [
    'set has no a: no example',
    'set has its classes in another order',
  ]


def test_findings_that_a_set_lacks_are_not_scored():
  found = _match(('c', 'b'), outputs=('a', 'b'), kind='findings')
  states = {'c': np.array([1, 0]), 'b': np.array([0, 1])}
  labels = found({'findings': states})
  assert labels['findings']['b'].tolist() == [0, 1]
  assert labels['findings']['a'].tolist() == [tasks.ABSENT] * 2
  metrics = tasks.Findings(('a', 'b')).metrics(np.eye(2), labels)
  assert metrics['a'].undefined == 'none of 2 examples has a label'
  assert metrics['b'].value() == metrics['mean'].value() == 1
  assert found.notes('set') == [
    'set has no a: not scored',
    'set also has c: no output means that',
  ]
  with pytest.raises(errors.InputError, match='two findings'):
    _match(('c', 'b'), {'c': 'b'}, kind='findings')
  with pytest.raises(errors.InputError, match='--class_map'):
    _match(('c', 'd'), kind='findings')


def test_names_with_equals_signs_are_mapped():
  pairs = label_map.parse(['a=b=c=d'], ['a=b', 'a'], ['c=d', 'e'])
  assert pairs == {'a=b': 'c=d'}
  with pytest.raises(errors.InputError, match='THEIRS=OURS'):
    label_map.parse(['ab'], ['a'], ['b'])
  with pytest.raises(errors.InputError, match='twice'):
    label_map.parse(['a=b', 'a=c'], ['a'], ['b', 'c'])


@pytest.mark.parametrize(
  ('name', 'kind', 'word'),
  [
    ('a\nb', 'label', 'line break'),
    ('a\u2028b', 'label', 'line break'),
    ('a\tb', 'findings', 'control'),
    (' ', 'label', 'empty'),
    ('image_id', 'label', 'score files'),
    ('mean', 'findings', 'score files'),
    ('x:label', 'label', ':label'),
    ('x' * 300, 'findings', 'longer'),
  ],
)
def test_names_that_cannot_be(name, kind, word):
  with pytest.raises(errors.InputError, match='here: .*' + word):
    output_names.check([name, 'other'], kind, 'here')


@pytest.mark.parametrize(
  'pair', [('é', 'e\u0301'), ('a b', 'a  b'), ('ﬁ', 'fi')]
)
def test_names_that_look_the_same(pair):
  with pytest.raises(errors.InputError, match='look the same'):
    output_names.check(pair, 'label', 'here')


def test_usual_names_can_be():
  names = ['Pleural Effusion', 'Lung Opacity', '0', 'naïve', 'a/b', 'mean']
  output_names.check(names, 'label', 'here')


def _table(tmp_path, text):
  for number in range(3):
    raw_sets.save(raw_sets.photograph(number), tmp_path / f'{number}.png')
  (tmp_path / 'labels.csv').write_text(text)
  return chain.layout.find(
    tmp_path / 'labels.csv', tmp_path, chain.layout.Columns()
  )


def test_a_class_with_a_line_break_is_a_bad_label(tmp_path):
  table = _table(tmp_path, 'path,label\n0.png,"a\nb"\n1.png,c\n2.png,d\n')
  (problem,) = table.dataset.problems
  assert problem.bad
  assert problem.kind == 'impossible name'
  assert problem.location == 'labels.csv:2'
  assert "'a\\nb'" in problem.detail
  assert table.names == ('c', 'd')


@pytest.mark.parametrize(
  ('text', 'match'),
  [
    ('path,mean,b\n0.png,1,0\n1.png,0,1\n', "labels.csv:1: 'mean'"),
    ('path,"x\ny",b\n0.png,1,0\n1.png,0,1\n', r"labels.csv:1: 'x\\ny'"),
    ('path,b,b\n0.png,1,0\n1.png,0,1\n', "two columns are called 'b'"),
    ('path,b, b\n0.png,1,0\n1.png,0,1\n', "two columns are called 'b'"),
    ('path,,b\n0.png,1,0\n1.png,0,1\n', 'column 2 has no name'),
    (
      'path,label\n0.png,é\n1.png,e\u0301\n',
      r"'e\\u0301' in line 3 and '\\xe9' in line 2",
    ),
  ],
)
def test_tables_with_names_that_cannot_be(tmp_path, text, match):
  with pytest.raises(errors.InputError, match=match):
    _table(tmp_path, text)


def test_an_old_run_says_its_names_by_its_scores(raw, tmp_path):
  """It was trained in an order of its own, and on a set that keeps none."""
  chain.prepare(raw, tmp_path / 'data', labels=raw_sets.FINDINGS)
  run_dir = tmp_path / 'run'
  shutil.copytree(_OLD_RUN, run_dir)
  run = run_lib.load_run(str(run_dir), 'best', data_dir=str(tmp_path / 'data'))
  assert run.task.names == ('left', 'any', 'bleed', 'edge', 'severe')
  scores, found = run_lib.evaluate(run, 'test')
  for name, metric in run_folder.result(str(run_dir))['test'].items():
    assert found[name]['value'] == metric['value'], name
  old = pd.read_csv(run_dir / run_folder.TEST_SCORES)
  pd.testing.assert_frame_equal(scores, old, rtol=1e-4, check_dtype=False)


def test_an_old_run_that_does_not_say_its_names_is_refused(tmp_path):
  shutil.copytree(_OLD_RUN, tmp_path / 'run')
  for name in (run_folder.TEST_SCORES, run_folder.RESULT):
    (tmp_path / 'run' / name).unlink()
  with pytest.raises(errors.InputError, match='is unknown'):
    run_lib.load_run(str(tmp_path / 'run'))


def test_an_old_run_that_was_continued_in_another_order_is_refused(tmp_path):
  shutil.copytree(_OLD_RUN, tmp_path / 'run')
  path = tmp_path / 'run' / run_folder.METRICS
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  rows[-1]['validation'] = dict(reversed(rows[-1]['validation'].items()))
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  with pytest.raises(errors.InputError, match='mixed up'):
    run_lib.load_run(str(tmp_path / 'run'))


def test_names_of_a_run_without_checkpoints_and_of_a_damaged_file(
  sites, tmp_path
):
  run_dir = tmp_path / 'run'
  shutil.copytree(sites / 'run', run_dir)
  shutil.rmtree(run_dir / run_folder.CHECKPOINTS)
  data = chain.experiment(sites / 'here').data
  task = run_folder.task(str(run_dir), data)
  assert task.names == ('benign', 'malignant')
  (run_dir / run_folder.OUTPUTS).write_text('{"outputs": {"kind": "label"}}')
  with pytest.raises(errors.InputError, match=r'outputs\.json: damaged'):
    run_folder.task(str(run_dir), data)


def test_old_sets_have_findings_in_the_order_of_the_alphabet(raw, tmp_path):
  chain.prepare(raw, tmp_path, labels=raw_sets.FINDINGS)
  opened = tfds_folder.open_dataset(str(tmp_path), chain.NAME)
  assert opened.label_names == raw_sets.FINDINGS
  (tmp_path / chain.NAME / '1.0.0' / 'metadata.json').unlink()
  opened = tfds_folder.open_dataset(str(tmp_path), chain.NAME)
  assert opened.label_names == tuple(sorted(raw_sets.FINDINGS))


def _chains(raw, out, count):
  """The chain in processes of their own, two at a time."""
  environment = os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)}
  running = []
  for number in range(count):
    (out / str(number)).mkdir()
    environment['PYTHONHASHSEED'] = str(number)
    running.append(
      subprocess.Popen(
        [sys.executable, chain.__file__, raw, out / str(number)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
      )
    )
    if number % 2 or number == count - 1:
      for process in running[-2:]:
        _, complaints = process.communicate()
        assert not process.returncode, complaints
  return [
    json.loads((out / str(number) / 'facts.json').read_text())
    for number in range(count)
  ]


def _assert_same(facts):
  for other in facts[1:]:
    assert other == facts[0]
  assert facts[0]['outputs'] == list(raw_sets.FINDINGS)
  assert facts[0]['exported'] == list(raw_sets.FINDINGS)


@pytest.mark.slow
def test_eight_processes_write_the_same_bytes(raw, tmp_path):
  _assert_same(_chains(raw, tmp_path, 8))


def _long(data_dir, steps):
  return chain.experiment(
    data_dir,
    optimizer__learning_rate=0.001,
    train__train_steps=steps,
    train__eval_every=steps // 8,
    train__lanes=2,
    train__deterministic=True,
  )


def _names_and_values(run_dir):
  test = run_folder.result(str(run_dir))['test']
  assert list(test) == ['mean', *raw_sets.FINDINGS]
  return [summary['value'] for summary in test.values()]


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_names(raw, tmp_path):
  """Fresh processes each: the order of TFDS' features is one of a process."""
  chain.prepare(raw, tmp_path / 'data', labels=raw_sets.FINDINGS)
  experiment = _long(tmp_path / 'data', 4000)
  assert not processes.fresh(experiment, tmp_path / 'whole').wait()
  for _ in range(3):
    process = processes.fresh(experiment, tmp_path / 'killed')
    processes.wait_for_rows(tmp_path / 'killed', process)
    process.kill()
    process.wait()
  assert not processes.fresh(experiment, tmp_path / 'killed').wait()
  runs = [tmp_path / name for name in ('whole', 'killed')]
  assert _names_and_values(runs[0]) == _names_and_values(runs[1])
  scores = [(run / run_folder.TEST_SCORES).read_bytes() for run in runs]
  assert scores[0] == scores[1]


@pytest.mark.slow
def test_two_workers_have_the_same_names(raw, tmp_path):
  chain.prepare(raw, tmp_path / 'data', labels=raw_sets.FINDINGS)
  experiment = _long(tmp_path / 'data', 200)
  assert not processes.fresh(experiment, tmp_path / 'alone').wait()
  pair = [
    processes.fresh(experiment, tmp_path / 'pair', environment)
    for environment in processes.cluster(2)
  ]
  assert [process.wait() for process in pair] == [0, 0]
  assert _names_and_values(tmp_path / 'pair') == pytest.approx(
    # Each worker normalizes its half of a batch.
    _names_and_values(tmp_path / 'alone'),
    abs=0.05,
  )
