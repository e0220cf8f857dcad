"""A study of one's own images with a model of one's own, and its verdict."""

import dataclasses
import html
import json
import shutil

import keras
import numpy as np
import pandas as pd
from PIL import Image
import prepared_sets
import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import models
from transfusion_tf.study import decision
from transfusion_tf.study import model_cost
from transfusion_tf.study import outcome
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import recommendation_text
from transfusion_tf.study import results
from transfusion_tf.study import runner
from transfusion_tf.study import similarity as similarity_lib
from transfusion_tf.study import statistics
from transfusion_tf.study import study_page

_NETS = """
import os

import keras
from keras import layers

def net(num_classes, input_shape):
  return keras.Sequential([
    keras.Input(input_shape), layers.Conv2D(8, 3, strides=2),
    layers.ReLU(), layers.GlobalMaxPooling2D(), layers.Dense(num_classes)])

class Flaky(layers.Layer):
  def call(self, inputs, training=None):
    if training and os.path.exists('broken'):
      raise KeyError('a bug')
    return inputs

def flaky(num_classes, input_shape):
  if os.path.exists('gone'):
    raise KeyError('no code')
  return keras.Sequential([
    keras.Input(input_shape), Flaky(), *net(num_classes, input_shape).layers])

def wide(num_classes, input_shape):
  return keras.Sequential([
    keras.Input(input_shape), layers.Conv2D(40, 3, strides=4),
    layers.GlobalMaxPooling2D(), layers.Dense(num_classes)])

def weights():
  raise OSError('no such site')
"""


def _write_images(folder, count, seed):
  """Gray noise, with a white square where the label is `square`."""
  rng = np.random.default_rng(seed)
  rows = []
  for n in range(count):
    image = rng.integers(60, 150, (24, 24, 3)).astype(np.uint8)
    square = bool(rng.integers(2))
    if square:
      y, x = rng.integers(2, 16, 2)
      image[y : y + 5, x : x + 5] = 255
    Image.fromarray(image).save(folder / f'{n}.png')
    rows.append(
      {'file': f'{n}.png', 'shape': 'square' if square else 'plain', 'who': n}
    )
  return pd.DataFrame(rows)


@pytest.fixture(scope='module')
def own(tmp_path_factory):
  """A folder as a user has it: images, a table, a module with a network."""
  folder = tmp_path_factory.mktemp('own')
  (folder / 'pictures').mkdir()
  table = _write_images(folder / 'pictures', 160, seed=0)
  table.to_csv(folder / 'labels.csv', index=False)
  (folder / 'nets.py').write_text(_NETS)
  return folder


_FLAGS = (
  '--table=labels.csv',
  '--images=pictures',
  '--output_dir=study',
  '--path_column=file',
  '--label_columns=shape',
  '--patient_column=who',
  '--image_size=24',
  '--batch_size=8',
)


_NO_ANALYSIS = ('--noprobes', '--nolocate_benefit')


def test_the_study_works_the_first_time(own, call):
  arguments = [
    '--models=nets:net,cbr_tiny',
    '--inits=random,transfer',
    '--pretrained=nets:net=study/nets-net/random/seed0',
    '--seeds=1',
    '--epochs=2',
  ]
  done = call('study.py', *_FLAGS, *arguments, cwd=own)
  assert done.returncode == 0, done.stderr + done.stdout
  table = pd.read_csv(own / 'study' / 'study.csv')
  assert list(table['Model']) == ['nets:net', 'nets:net', 'CBR-Tiny']
  assert list(table['Start']) == ['Random', 'Transfer', 'Random']
  probes = pd.read_csv(own / 'study' / 'probes.csv')
  assert set(probes['features']) == {'random', 'pretrained'}
  resets = pd.read_csv(own / 'study' / 'stage_resets.csv')
  assert {'body', 'conv1'} <= set(resets['stage'])
  record = json.loads((own / 'study' / 'study.json').read_text())
  assert ' '.join(record['recommendation']) in done.stdout
  assert {e['model'] for e in record['effects']} == {'nets:net'}
  page = (own / 'study' / 'report.html').read_text()
  assert 'Does transfer pay on own_pictures?' in page
  assert 'the pretrained features of nets:net are' in page.lower()
  assert 'Nothing is trained yet' not in page
  similarity = pd.read_csv(own / 'study' / 'similarity.csv')
  assert {'body', 'conv1'} <= set(similarity['layer'])


def test_a_study_survives_its_worst_member(own, call):
  arguments = (
    *_FLAGS,
    '--output_dir=worst',
    '--models=nets:flaky,nets:wide,nets:net',
    '--inits=random',
    *_NO_ANALYSIS,
    '--seeds=1',
    '--epochs=1',
  )
  broken, root = own / 'broken', own / 'worst'
  broken.touch()
  done = call('study.py', *arguments, cwd=own)
  assert done.returncode == 1, done.stderr + done.stdout
  assert 'Traceback' not in done.stderr
  assert done.stderr.splitlines()[-1].startswith(
    'study.py: 1 of 3 runs could not be made, the rest stands: nets-flaky/'
  )
  table = pd.read_csv(root / 'study.csv').set_index('Model')
  assert table['Seeds'].to_dict() == {
    'nets:wide': 1,
    'nets:net': 1,
    'nets:flaky': 0,
  }
  page = (root / 'report.html').read_text()
  assert 'a bug' in table.loc['nets:flaky', 'Failed']
  assert '(nets.py:15)' in table.loc['nets:flaky', 'Failed']
  assert '(nets.py:15)' in html.unescape(page)
  # A flag that a study does not have helps nobody.
  record = json.loads((root / 'study.json').read_text())
  assert set(record['not_compared']) == {'nets:wide'}
  reason = record['not_compared']['nets:wide']
  assert reason.startswith('body: ')
  assert reason.endswith(
    'too few to compare this stage, which takes 51 or more'
  )

  finished = root / 'nets-net' / 'random' / 'seed0' / 'result.json'
  before = finished.stat().st_mtime_ns
  damaged = root / 'nets-wide' / 'random' / 'seed0' / 'result.json'
  damaged.write_text('{')
  broken.unlink()
  again = call('study.py', *arguments, cwd=own)
  assert again.returncode == 1
  table = pd.read_csv(root / 'study.csv').set_index('Model')
  assert finished.stat().st_mtime_ns == before
  assert table.loc['nets:flaky', 'Seeds'] == 1
  assert table.loc['nets:flaky', 'Failed'] == '–'
  assert 'delete its folder' in table.loc['nets:wide', 'Failed']

  # A finished network that cannot be built any more keeps its scores.
  (own / 'gone').touch()
  assert call('study.py', *arguments, cwd=own).returncode == 1
  (own / 'gone').unlink()
  table = pd.read_csv(root / 'study.csv').set_index('Model')
  assert table.loc['nets:flaky', ['Seeds', 'CPU ms']].to_list() == [1, '–']
  record = json.loads((root / 'study.json').read_text())
  assert "KeyError: 'no code'" in record['not_compared']['nets:flaky']


def test_a_study_of_nothing_but_failures_has_its_report(own, call):
  arguments = (
    *('--models=nets:flaky', '--inits=random', '--output_dir=nothing'),
    *_NO_ANALYSIS,
  )
  (own / 'broken').touch()
  done = call('study.py', *_FLAGS, *arguments, '--seeds=1', cwd=own)
  assert done.returncode == 1, done.stderr
  (own / 'broken').unlink()
  assert '(nets.py:15)' in done.stderr.splitlines()[-1]
  assert 'No run is finished' in (own / 'nothing' / 'report.html').read_text()
  assert list(pd.read_csv(own / 'nothing' / 'study.csv')['Seeds']) == [0]


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('--label_columns=shpe', 'shpe'),
    ('--inits=transfr', "did you mean 'transfer'"),
    ('--pretrained=cbr_tiny', 'MODEL=WEIGHTS'),
    ('--pretrained_input=caffe', 'give them too'),
    ('--recipe=retna', "did you mean 'retina'"),
    ('--learning_rates=fast', "could not convert string to float: 'fast'"),
    ('--learning_rates=0.1,0.1', '0.1 is not positive, or stands twice'),
    ('--subsets=50,50', '50 is not positive, or stands twice'),
    ('--models=resnet5', "did you mean 'resnet50'"),
    ('--models=nets:gone', "unknown function of nets 'gone'"),
    ('--pretrained=cbr_tiny=none.h5', 'none.h5: no such file'),
    ('--pretrained=cbr_tiny=pictures', 'a folder without config.json'),
    (
      '--pretrained=cbr_tiny=nets:net,cbr_tiny=nets:net',
      'cbr_tiny has weights called nets-net already',
    ),
    ('--inits=transfer@', 'name a stage behind @'),
    ('--inits=lp_ft@conv1', 'lp_ft takes no stage'),
  ],
)
def test_bad_input_is_one_line(own, call, argument, message):
  """Before the images are read: the table does not exist."""
  table = () if 'columns' in argument else ('--table=none.csv',)
  flags = (*_FLAGS, *table, argument, '--output_dir=other')
  done = call('study.py', *flags, cwd=own)
  assert done.returncode == 2
  assert message in done.stderr.splitlines()[-1]
  assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--models=nets:flaky'], "nets:flaky raises KeyError: 'no code'"),
    (['--models=inception_v3'], 'inception_v3'),
    (
      ['--models=nets:net', '--pretrained=nets:net=nets:weights'],
      'OSError: no such site (nets.py:',
    ),
    (
      ['--models=nets:net', '--pretrained=nets:net=wide.keras'],
      'do not fit',
    ),
    (
      [
        '--models=nets:net',
        '--pretrained=nets:net=wide.keras',
        '--inits=random,transfer@conv1',
      ],
      "no network has a stage 'conv1' below its head (there are: nets:net: "
      'body)',
    ),
    (
      [
        '--models=nets:net',
        '--pretrained=nets:net=wide.keras',
        '--inits=lp_ft',
        '--epochs=1',
        '--batch_size=64',
      ],
      'give more --epochs',
    ),
  ],
)
def test_what_can_be_known_is_said_before_the_first_run(
  own, call, arguments, message
):
  (own / 'gone').touch()
  if not (own / 'wide.keras').exists():
    _wide().save(own / 'wide.keras')
  done = call(
    'study.py',
    *_FLAGS,
    '--output_dir=known',
    '--pretrained_input=unit' if 'wide' in str(arguments) else '--seeds=1',
    *arguments,
    cwd=own,
  )
  (own / 'gone').unlink()
  assert done.returncode == 2, done.stdout + done.stderr
  assert message in done.stderr.splitlines()[-1]
  assert 'Traceback' not in done.stderr
  assert not list((own / 'known').rglob('config.json'))


def _wide():
  return keras.Sequential(
    [
      keras.Input((24, 24, 3)),
      keras.layers.Conv2D(40, 3, strides=4),
      keras.layers.GlobalMaxPooling2D(),
      keras.layers.Dense(2),
    ]
  )


@pytest.fixture(scope='module')
def trained(data_dir, tmp_path_factory):
  """The plan and the folder of a study of four small runs."""
  root = tmp_path_factory.mktemp('trained')
  plan = plan_lib.Plan(
    base=prepared_sets.experiment(data_dir, model__name='tiny_nets:net'),
    models=('tiny_nets:net',),
    starts=('random', 'transfer'),
    num_seeds=2,
    sources={'tiny_nets:net': {'': str(root / 'tiny_nets-net/random/seed0')}},
  )
  planned = {run.key: run.experiment for run in plan.runs(str(root))}
  assert runner.train(planned, str(root)) == {}
  return plan, root


@pytest.fixture
def copied(trained, tmp_path):
  """The same, to be damaged."""
  plan, root = trained
  shutil.copytree(root, tmp_path / 'study')
  return plan, tmp_path / 'study'


def test_a_start_without_checkpoints_leaves_the_others(copied):
  plan, root = copied
  lost = root / 'tiny_nets-net' / 'transfer' / 'seed0' / 'checkpoints'
  shutil.rmtree(lost)
  found = outcome.read(plan, str(root))
  assert not found.failures
  table, not_compared = similarity_lib.measure(found.finished)
  assert set(table['start']) == {'random'}
  ((name, reason),) = not_compared.items()
  assert name == 'tiny_nets:net from transfer'
  assert 'transfer/seed0' in reason
  costs = {'tiny_nets:net': model_cost.Footprint(30, 1e9, 1.0)}
  study_page.write(
    str(root), 'own', found, costs, 0.01, table, dict(not_compared)
  )
  page = html.unescape((root / study_page.REPORT).read_text())
  assert f'{name}: not defined ({reason})' in page
  assert 'Not drawn: ' in page
  assert 'Convergence of tiny_nets:net' in page


@pytest.mark.parametrize(
  ('name', 'damage', 'reason'),
  [
    ('result.json', lambda text: text[:-9], 'damaged: result.json: '),
    ('result.json', lambda text: '{"headline": "referable"}', 'test'),
    ('result.json', lambda text: text.replace('seconds', 's'), '`seconds`'),
    ('test_scores.csv', lambda text: '', 'test_scores.csv: No columns'),
    (
      'test_scores.csv',
      lambda text: text.replace('score', 's'),
      'no columns of',
    ),
    ('test_scores.csv', lambda text: text.replace('2_00', '3_00'), 'other im'),
  ],
)
def test_a_run_that_cannot_be_read_is_a_row(copied, name, damage, reason):
  plan, root = copied
  key = 'tiny_nets-net/random/seed0'
  path = root / key / name
  path.write_text(damage(path.read_text()))
  found = outcome.read(plan, str(root))
  (failure,) = found.failures
  assert failure.key == key
  assert reason in failure.reason
  assert 'delete its folder' in failure.reason
  assert len(found.results) == 3
  costs = {'tiny_nets:net': model_cost.Footprint(30, 1e9, 1.0)}
  similarity, _ = similarity_lib.measure({})
  study_page.write(str(root), 'own', found, costs, 0.01, similarity, {})
  table = pd.read_csv(root / study_page.TABLE).set_index('Start')
  assert table['Seeds'].to_dict() == {'Random': 1, 'Transfer': 2}
  assert table.loc['Random', 'Failed'].startswith('1: damaged')
  assert table.loc['Transfer', 'Failed'] == '–'


def test_any_exception_of_a_comparison_is_a_reason(trained):
  plan, root = trained
  (first, *_) = outcome.read(plan, str(root)).results

  class Broken:
    def __str__(self):
      raise RuntimeError('a bug')

  wrong = dataclasses.replace(first, run_dir=Broken())
  failed: dict[str, str] = {}
  runs = {'wrong': {'random': [wrong]}, 'right': {'random': [first]}}
  table, not_compared = similarity_lib.measure(runs, failed)
  assert set(table['model']) == {'right'}
  assert not_compared['wrong'] == failed['Comparing wrong']
  assert failed['Comparing wrong'].startswith('RuntimeError: a bug')


def test_a_failed_pretraining_is_the_reason_of_its_users(data_dir, tmp_path):
  plan = plan_lib.Plan(
    base=prepared_sets.experiment(data_dir),
    models=('nowhere:net',),
    starts=('transfer',),
    num_seeds=1,
    sources={},
    pretraining=prepared_sets.experiment(data_dir),
  )
  planned = {run.key: run.experiment for run in plan.runs(str(tmp_path))}
  failed = runner.train(planned, str(tmp_path))
  found = outcome.read(plan, str(tmp_path), failed)
  first, second = found.failures
  assert (first.start, second.start) == ('pretrained', 'transfer')
  assert first.reason.startswith('nowhere:net: no module nowhere')
  assert first.key in second.reason
  assert first.reason in second.reason


def _plan(**changes):
  settings = {
    'base': config.IMAGE_TABLE,
    'models': ('cbr_tiny', 'resnet50'),
    'starts': ('random', 'mean_var'),
    'num_seeds': 2,
    'sources': {'resnet50': {'imagenet': 'imagenet'}},
    'pretraining': None,
  }
  return plan_lib.Plan(**settings | changes)


def test_a_model_without_weights_is_only_trained_from_random_ones():
  keys = [run.key for run in _plan().runs('root')]
  assert keys == [
    'cbr_tiny/random/seed0',
    'cbr_tiny/random/seed1',
    *(f'resnet50/{s}/seed{n}' for s in ('random', 'mean_var') for n in (0, 1)),
  ]
  (published,) = {
    r.experiment.model.stride_in
    for r in _plan().runs('root')
    if r.key.startswith('resnet50/random/')
  }
  assert published == 'first'


@pytest.mark.parametrize(
  'stride', ['first', pytest.param('last', marks=pytest.mark.slow)]
)
def test_all_starts_stride_as_the_weights(tmp_path, stride):
  path = str(tmp_path / 'net.keras')
  models.build('resnet50', 5, (64, 64, 3), stride_in=stride).save(path)
  plan = _plan(sources={'resnet50': {'': path}}, inputs={'resnet50': 'unit'})
  for run in plan.runs('root'):
    of_resnet = run.experiment.model.name == 'resnet50'
    assert run.experiment.model.stride_in == (stride if of_resnet else 'last')
    pretrained = run.experiment.init.pretrained
    known = run.experiment.init.pretrained_input
    assert known == ('unit' if pretrained else '')


def test_pretraining_comes_before_what_needs_it():
  runs = _plan(pretraining=config.IMAGE_TABLE).runs('root')
  assert runs[0].key == 'cbr_tiny/pretrained'
  transferred = runs[3].experiment
  assert transferred.init.pretrained == 'root/cbr_tiny/pretrained'
  assert runs[0].experiment.seed not in {r.experiment.seed for r in runs[1:]}


def test_nothing_to_run_is_refused():
  with pytest.raises(errors.InputError, match='--pretrain_on'):
    _plan(models=('cbr_tiny',), starts=('transfer',))


@pytest.mark.parametrize(
  ('low', 'high', 'verdict'),
  [
    (-0.005, 0.008, decision.SAME),
    (0.001, 0.008, decision.SAME),
    (0.002, 0.05, decision.HELPS),
    (-0.05, -0.002, decision.HURTS),
    (-0.02, 0.03, decision.OPEN),
    (-0.005, 0.02, decision.OPEN),
    (np.nan, np.nan, decision.OPEN),
  ],
)
def test_the_rule(low, high, verdict):
  # A normal interval, known but for its ends; without them, one seed.
  half = (high - low) / 2 / 1.959964
  estimate = statistics.Estimate((low + high) / 2, half**2)
  assert decision.judge(estimate, margin=0.01) == verdict


class _Scored(results.Result):
  """A run with given test scores."""

  def __init__(self, separation, best, seed, model='', start=''):
    rng = np.random.default_rng(seed)
    labels = np.arange(400) % 2
    scores = rng.normal(size=400) + separation * labels
    frame = pd.DataFrame(
      {
        'image_id': np.arange(400).astype(str),
        'patient_id': np.arange(400).astype(str),
        'auc:label': labels,
        'auc:score': scores,
      }
    )
    auc = metrics.Auc(labels, scores).value()
    super().__init__(
      'key',
      'dir',
      config.override(
        config.IMAGE_TABLE, {'model.name': model, 'init.scheme': start}
      ),
      {
        'headline': 'auc',
        'test': {'auc': {'value': auc}},
        'seconds': 60.0,
        'num_train': 800,
        'num_test': 400,
        'judged_step': 0,
        'versions': {},
      },
      pd.DataFrame({'step': [0], 'auc': [best]}),
    )
    self.__dict__['scores'] = frame


def _runs(**separations):
  """Model -> start -> six runs; validation agrees with the separation."""
  return {
    model: {
      start: [_Scored(s, s, seed, model, start) for seed in range(6)]
      for start, s in starts.items()
    }
    for model, starts in separations.items()
  }


def test_the_smallest_model_that_is_as_good_is_recommended():
  runs = _runs(
    small={'random': 0.5},
    middle={'random': 2.99},
    large={'random': 2.0, 'transfer': 3.0},
  )
  parameters = {'small': 10, 'middle': 20, 'large': 30}
  found = decision.decide(runs, 0.02, parameters)
  assert [c.model for c in found.candidates] == ['small', 'middle', 'large']
  assert [c.good_enough for c in found.candidates] == [False, True, True]
  assert found.recommended.model == 'middle'
  assert found.reference.model == 'large'
  assert found.reference.start == 'transfer'
  assert found.effect('large', 'transfer').verdict == decision.HELPS
  said = recommendation_text.recommendation(found, runs, 0.02)
  assert said[0] == 'Take middle from random weights.'
  assert said[1].startswith('It is not worse than large,')
  assert len(said) == 2  # Nothing of the small one, of one seed, of transfer.


def test_runs_that_were_cut_short_are_counted():
  runs = _runs(large={'random': 2.0, 'transfer': 3.0})
  for number, run in enumerate(runs['large']['random']):
    last = 0.9 if number < 4 else 0.7
    curve = pd.DataFrame({'step': [0, 1, 2], 'auc': [0.5, 0.8, last]})
    object.__setattr__(run, 'curve', curve)
  found = decision.decide(runs, 0.02, {'large': 30})
  said = recommendation_text.recommendation(found, runs, 0.02)
  assert said[-1].startswith('4 of the 12 runs of large were still improving')


@pytest.mark.parametrize(
  ('random', 'transfer', 'verdict', 'at_chance'),
  [
    (0.0, 1.0, decision.NONE, ('random',)),
    (1.0, 0.0, decision.NONE, ('transfer',)),
    (0.0, 0.0, decision.NONE, ('transfer', 'random')),
    (0.5, 1.5, decision.HELPS, ()),
    (1.5, 0.5, decision.HURTS, ()),
  ],
)
def test_a_start_at_chance_gives_no_verdict(
  random, transfer, verdict, at_chance
):
  runs = _runs(large={'random': random, 'transfer': transfer})
  decided = decision.decide(runs, 0.02, {'large': 30})
  effect = decided.effect('large', 'transfer')
  assert (effect.verdict, effect.at_chance) == (verdict, at_chance)
  assert (effect.p_value == 1) == bool(at_chance)
  text = ' '.join(recommendation_text.recommendation(decided, runs, 0.02))
  for start in ('random', 'Transfer'):
    sentence = f'large from {start} weights is not shown to be better than'
    assert (sentence in text) == (start.lower() in at_chance)
  assert ('gets no verdict' in text) == bool(at_chance)
  assert 'they can be used where' not in text or not at_chance
  assert ('No model can be recommended' in text) == (len(at_chance) == 2)


def test_one_seed_is_not_tested_against_chance():
  runs = _runs(large={'random': 0.0, 'transfer': 1.0})
  runs['large']['random'] = runs['large']['random'][:1]
  decided = decision.decide(runs, 0.02, {'large': 30})
  assert [test.start for test in decided.chance_tests] == ['transfer']
  assert decided.effects[0].verdict == decision.OPEN


def test_nothing_is_as_good_as_a_model_at_chance():
  runs = _runs(small={'random': -0.01}, large={'random': 0.0})
  parameters = {'small': 10, 'large': 30}
  decided = decision.decide(runs, 0.2, parameters)
  assert decided.reference.model == 'large'
  assert decided.candidates[0].deficit.high < 0.2
  assert decided.recommended is None
  text = recommendation_text.recommendation(decided, runs, 0.2)
  assert text[0] == (
    'No model can be recommended: large from random weights, the best on '
    'validation, is not shown to be better than chance.'
  )
  assert text[1].startswith('small from random weights is not shown')


def test_the_page_says_which_start_is_at_chance(tmp_path):
  runs = _runs(large={'random': 0.0, 'transfer': 1.0})
  every = [run for seeds in runs['large'].values() for run in seeds]
  study_page.write(
    str(tmp_path),
    'own',
    outcome.Outcome(every, {}),
    {'large': model_cost.Footprint(30, 1e9, 1.0)},
    0.02,
    pd.DataFrame(columns=['layer', 'mean', 'noise_floor', 'model', 'start']),
    {},
  )
  table = pd.read_csv(tmp_path / 'study.csv')
  assert list(table['Better than chance']) == ['not shown', 'yes']
  record = json.loads((tmp_path / 'study.json').read_text())
  (effect,) = record['effects']
  assert effect['verdict'] == decision.NONE
  assert effect['at_chance'] == ['random']
  assert [test['better'] for test in record['chance']] == [False, True]
  assert record['chance'][0]['chance'] == 0.5
  page = (tmp_path / 'report.html').read_text()
  assert 'no verdict: Random at chance' in page
  assert 'large from random weights is not shown to be better' in page


def test_words_for_a_start_that_helps():
  runs = _runs(large={'random': 2.0, 'transfer': 3.0})
  found = decision.decide(runs, 0.02, {'large': 30})
  said = recommendation_text.recommendation(found, runs, 0.02)
  assert said[0] == 'Take large from Transfer weights.'
  assert said[-1].endswith('this start helps.')


def test_footprint_of_a_known_network():
  """ResNet-50 at 224: 4.1 billion multiply-adds, 25.6 million weights."""
  experiment = config.override(config.IMAGE_TABLE, {'model.stride_in': 'first'})
  found = model_cost.measure(experiment, 1000)
  assert found.parameters == pytest.approx(25.6e6, rel=0.005)
  assert found.flops == pytest.approx(2 * 4.1e9, rel=0.1)
  assert found.milliseconds > 0
