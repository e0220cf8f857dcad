"""Learning rates for each start, runs that are not settled, and the plots."""

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import prepared_sets
import pytest
import test_study

from transfusion_tf.study import decision
from transfusion_tf.study import depth_page
from transfusion_tf.study import endings
from transfusion_tf.study import outcome
from transfusion_tf.study import paired
from transfusion_tf.study import rate_page
from transfusion_tf.study import rates
from transfusion_tf.study import recommendation_text
from transfusion_tf.study import results


def _run(scores, **changes):
  run = results.Result(
    'key',
    'dir',
    None,
    {'headline': 'auc', **changes},
    pd.DataFrame({'step': np.arange(len(scores)), 'auc': scores}),
  )
  return run.is_improving


def test_a_run_still_improves_if_its_last_third_rises():
  rng = np.random.default_rng(0)
  noise = rng.normal(0, 0.01, (300, 30))
  rising = np.minimum(np.arange(30) / 30, 0.6) + noise
  plateau = [_run(scores) for scores in rising]
  assert np.mean(plateau) < 0.08
  to_the_end = [_run(np.arange(30) / 300 + scores) for scores in noise]
  assert np.mean(to_the_end) > 0.7
  # Its best score is mostly not the last one.
  assert np.mean(np.argmax(np.arange(30) / 300 + noise, axis=1) == 29) < 0.5


@pytest.mark.parametrize(
  ('scores', 'expected'),
  [
    ([0.5], False),
    ([0.5, 0.6], True),
    ([0.6, 0.5, 0.55], False),
    ([0.5, 0.6, 0.7, 0.8, 0.9], True),
    ([0.5, 0.9, 0.8, 0.8, 0.9], False),
    ([np.nan, np.nan], False),
  ],
)
def test_a_run_of_few_evaluations(scores, expected):
  assert _run(scores) == expected


def test_a_run_that_patience_ended_is_not_improving():
  assert not _run([0.5, 0.6, 0.7, 0.8, 0.9], stopped_early=True)


_CURVES = {True: [0.5, 0.6, 0.7, 0.8, 0.9], False: [0.9, 0.8, 0.9, 0.8, 0.9]}


def _runs(random, transfer, random_improves, transfer_improves):
  """Six runs a start, of which the first ones still improve."""
  runs = test_study._runs(large={'random': random, 'transfer': transfer})
  counts = {'random': random_improves, 'transfer': transfer_improves}
  for start, seeds in runs['large'].items():
    for number, run in enumerate(seeds):
      auc = _CURVES[number < counts[start]]
      curve = pd.DataFrame({'step': np.arange(5), 'auc': auc})
      object.__setattr__(run, 'curve', curve)
  return runs


@pytest.mark.parametrize(
  ('random', 'transfer', 'improving', 'verdict'),
  [
    (2.0, 3.0, (0, 0), decision.HELPS),
    (2.0, 3.0, (3, 6), decision.HELPS),  # Random weights are settled.
    (2.0, 3.0, (4, 0), decision.NONE),  # They may catch up.
    (3.0, 2.0, (6, 0), decision.HURTS),
    (3.0, 2.0, (0, 4), decision.NONE),
    (4.0, 4.0, (0, 0), decision.SAME),
    (4.0, 4.0, (4, 0), decision.NONE),
    (4.0, 4.0, (0, 4), decision.NONE),
  ],
)
def test_no_verdict_that_longer_runs_could_undo(
  random, transfer, improving, verdict
):
  runs = _runs(random, transfer, *improving)
  decided = decision.decide(runs, 0.02, {'large': 30})
  (effect,) = decided.effects
  assert effect.verdict == verdict
  assert effect.improving == tuple(
    start
    for start, count in zip(
      ('transfer', 'random'), improving[::-1], strict=True
    )
    if count > 3
  )
  assert (effect.p_value == 1) == (verdict == decision.NONE)
  text = ' '.join(recommendation_text.recommendation(decided, runs, 0.02))
  assert ('most runs from' in text) == bool(effect.improving)


def test_a_smaller_model_is_not_as_good_as_one_that_still_improves():
  runs = _runs(2.0, 3.0, 0, 6)
  runs['small'] = {'random': test_study._runs(s={'r': 2.99})['s']['r']}
  for run in runs['large']['transfer']:
    run.curve['auc'] += 3  # The best on validation.
  decided = decision.decide(runs, 0.02, {'large': 30, 'small': 10})
  small, large = decided.candidates
  assert small.deficit.high < 0.02
  assert not small.good_enough
  assert large.good_enough


def _choice(**changes):
  base = {
    'model': 'm',
    'start': 'random',
    'scores': {1e-2: 0.70, 1e-3: 0.80, 1e-4: 0.78},
    'chosen': 1e-3,
    'stderr': 0.03,
  }
  return rates.Choice(**base | changes)


def test_what_is_not_known_of_a_rate_is_said():
  first = _choice()
  assert not first.at_edge
  assert first.within_noise == (1e-4,)
  edge = _choice(
    start='transfer@conv1',
    scores={1e-3: 0.9, 1e-4: 0.5, 1e-5: math.nan},
  )
  assert edge.at_edge
  assert edge.within_noise == ()
  tied = _choice(scores={1e-3: 1.0, 1e-4: 1.0}, stderr=math.nan)
  assert tied.within_noise == (1e-4,)
  (section,) = rate_page.section([first, edge], [])
  assert 'm from Random another rate is within' in section.paragraphs[1]
  assert 'm from Transfer to conv1 the best rate' in section.paragraphs[2]
  assert list(section.table['Chosen']) == ['0.001', '0.001']
  json.dumps([first.record(), edge.record()], allow_nan=False)


def test_how_runs_ended_is_counted():
  runs = _runs(2.0, 3.0, 4, 0)
  every = [run for seeds in runs['large'].values() for run in seeds]
  for run in every[-2:]:
    run.result['stopped_early'] = True
  found = outcome.Outcome(
    every, {}, changed={'key': ['train.min_steps: 0 -> 9']}
  )
  table = endings.table(found.finished)
  assert list(table['Still improving']) == [4, 0]
  assert list(table['Stopped by patience']) == [0, 2]
  said = ' '.join(endings.sentences(found))
  assert 'Of 12 runs 2 were stopped by patience, and 4 were still' in said
  assert 'takes any lower score for worse' not in said
  assert 'train.min_steps: 0 -> 9' in said
  for run in every:
    run.result.update(num_validation=40, validation_patients=38)
    object.__setattr__(run, 'stderr', 0.08)
  (chosen,) = endings.selection(every)
  assert '40 validation images of 38 patients' in chosen
  assert 'standard error of about 0.080' in chosen


def test_scores_by_stage_are_one_figure_for_a_network():
  starts = {
    'random': 1.0,
    'transfer': 2.0,
    'transfer@conv1': 1.2,
    'transfer@conv2': 1.6,
    'frozen@conv1': 1.0,
  }
  runs = test_study._runs(large=starts, small={'random': 1.0})
  every, names = [], {}
  for model, by_start in runs.items():
    for start, group in by_start.items():
      for number, run in enumerate(group):
        object.__setattr__(run, 'key', f'{model}/{start}/{number}')
        every.append(run)
        names[run.key] = start
  found = outcome.Outcome(
    every,
    {},
    starts=names,
    stages={'large': ('conv1', 'conv2', 'conv3', 'head')},
  )
  (section,) = depth_page.sections(found, paired.Comparer())
  (axes,) = section.figure.axes
  assert [t.get_text() for t in axes.get_xticklabels()] == [
    'conv1',
    'conv2',
    'conv3',
  ]
  labels = {text.get_text() for text in axes.get_legend().get_texts()}
  assert labels == {
    'Random',
    'Transfer',
    'Transfer up to the stage',
    'Frozen up to the stage',
  }
  section.figure.draw_without_rendering()


@pytest.mark.slow
def test_a_study_of_stages_and_rates(call, tmp_path):
  prepared_sets.write_spots(tmp_path, 'spots')
  (tmp_path / 'nets.py').write_text(_NETS)
  flags = [
    '--dataset=spots',
    f'--data_dir={tmp_path}',
    '--output_dir=study',
    '--image_size=32',
    '--batch_size=8',
    '--epochs=4',
    '--models=nets:net',
    '--inits=random,transfer@all,lp_ft',
    '--pretrained=nets:net=one:one.keras,nets:net=two:two.keras',
    '--pretrained_input=unit',
    '--learning_rates=0.001,0.01',
    '--seeds=1',
  ]
  save = 'import nets\nfor n in ("one", "two"): nets.pretrained(n)\n'
  (tmp_path / 'save.py').write_text(save)
  subprocess.run([sys.executable, 'save.py'], cwd=tmp_path, check=True)
  done = call('study.py', *flags, cwd=tmp_path)
  assert done.returncode == 0, done.stderr + done.stdout
  record = json.loads((tmp_path / 'study/study.json').read_text())
  chosen = {c['start']: c['learning_rate'] for c in record['learning_rates']}
  assert set(chosen) == {
    'random',
    *(
      f'{start}:{source}'
      for start in ('transfer@first', 'transfer@second', 'lp_ft')
      for source in ('one', 'two')
    ),
  }
  probed = 'lp_ft-one' + ('/lr0.01' if chosen['lp_ft:one'] == 0.01 else '')
  folder = tmp_path / 'study/nets-net' / probed / 'seed0'
  assert (
    json.loads((folder / 'config.json').read_text())['train']
    | {
      'probe_steps': 12,
      'min_steps': 16,
      'train_steps': 48,
      'patience_stderr': 1.0,
    }
    == json.loads((folder / 'config.json').read_text())['train']
  )
  result = json.loads((folder / 'result.json').read_text())
  assert (result['num_validation'], result['validation_patients']) == (33, 17)
  page = (tmp_path / 'study/report.html').read_text()
  for text in (
    'How far up does it pay in nets:net?',
    'Transfer to first (one)',
    'Which learning rate each start has',
    '33 validation images of 17 patients',
    'How the runs ended',
  ):
    assert text in page
  before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('result.json')}
  assert len(before) == 14
  again = call('study.py', *flags, cwd=tmp_path)
  assert again.returncode == 0, again.stderr
  assert before == {
    p: p.stat().st_mtime_ns for p in tmp_path.rglob('result.json')
  }
  other = [f for f in flags if not f.startswith('--pretrained=')]
  (tmp_path / 'study/nets-net/lp_ft-one').rename(
    tmp_path / 'study/nets-net/lp_ft'
  )
  refused = call(
    'study.py', *other, '--pretrained=nets:net=two.keras', cwd=tmp_path
  )
  assert refused.returncode == 2
  assert 'began with the weights one.keras, not two.keras' in refused.stderr
  listed = call('study.py', '--list_sources', cwd=tmp_path)
  assert listed.returncode == 0, listed.stderr
  assert 'one.keras' in listed.stdout
  assert f'nets:net=./study/nets-net/{probed}'.split('/lp')[0] in listed.stdout


_NETS = """
import keras
from keras import layers

def net(num_classes, input_shape):
  return keras.Sequential([
    keras.Input(input_shape),
    layers.Conv2D(8, 3, strides=2, activation='relu', name='first'),
    layers.Conv2D(8, 3, strides=2, activation='relu', name='second'),
    layers.GlobalMaxPooling2D(name='second_pool'),
    layers.Dense(num_classes, name='head')]), {
    'first': 'first', 'second': 'second', 'head': 'head'}

def pretrained(name):
  model, _ = net(7, (32, 32, 3))
  model.save(name + '.keras')
"""
