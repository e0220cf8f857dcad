"""Starts as users write them, their runs, and several pretrained sources."""

import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.study import display
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import sources
from transfusion_tf.study import starts

_STAGES = ('conv1', 'conv2', 'head')


@pytest.mark.parametrize(
  ('text', 'label', 'key', 'changes'),
  [
    ('random', 'Random', 'random', {'init.scheme': 'random'}),
    (
      'transfer@conv1',
      'Transfer to conv1',
      'transfer-conv1',
      {'init.scheme': 'transfer', 'init.upto': 'conv1'},
    ),
    (
      'frozen@conv1',
      'Frozen to conv1',
      'frozen-conv1',
      {'init.scheme': 'transfer', 'init.freeze_upto': 'conv1'},
    ),
    (
      'frozen',
      'Frozen',
      'frozen',
      {'init.scheme': 'transfer', 'init.freeze_upto': 'conv2'},
    ),
    (
      'frozen_random@conv2:rad',
      'Frozen Random to conv2 (rad)',
      'frozen_random-conv2-rad',
      {'init.scheme': 'random', 'init.freeze_upto': 'conv2'},
    ),
    (
      'lp_ft',
      'Probe, then fine-tune',
      'lp_ft',
      {'init.scheme': 'transfer', 'train.probe_steps': 20},
    ),
  ],
)
def test_a_start_is_named_once(text, label, key, changes):
  start = starts.parse(text)
  assert start.name == text
  assert display.start(text).label == label
  assert start.key == key
  assert start.changes(_STAGES, total_steps=80) == changes


def _plan(**changes):
  settings = {
    'base': config.override(config.IMAGE_TABLE, {'train.train_steps': 80}),
    'models': ('cbr_tiny', 'resnet50'),
    'starts': ('random', 'transfer@all'),
    'num_seeds': 1,
    'sources': {'resnet50': {'imagenet': 'imagenet'}},
    'stages': {
      'cbr_tiny': _STAGES,
      'resnet50': ('conv1', 'block1', 'head'),
    },
  }
  return plan_lib.Plan(**settings | changes)


def _keys(plan):
  return [run.key for run in plan.runs('root')]


def test_every_stage_of_a_network():
  assert _keys(_plan()) == [
    'cbr_tiny/random/seed0',
    'resnet50/random/seed0',
    'resnet50/transfer-conv1/seed0',
    'resnet50/transfer-block1/seed0',
  ]


def test_a_stage_of_one_network_is_no_start_of_another():
  plan = _plan(
    starts=('random', 'transfer@block1'),
    sources={
      'resnet50': {'imagenet': 'imagenet'},
      'cbr_tiny': {'run': 'RUNS/cbr_tiny'},
    },
  )
  assert _keys(plan)[0] == 'cbr_tiny/random/seed0'
  assert [k for k in _keys(plan) if 'block1' in k] == [
    'resnet50/transfer-block1/seed0'
  ]


def test_a_stage_of_no_network_names_them():
  with pytest.raises(errors.InputError, match='resnet50: conv1, block1'):
    _plan(starts=('transfer@block9',))


def test_stages_of_one_folder_are_refused():
  with pytest.raises(errors.InputError, match='one folder, transfer-a-1'):
    _plan(starts=('transfer@all',), stages={'resnet50': ('a 1', 'a-1', 'head')})


def test_several_sources_are_starts_by_name():
  plan = _plan(
    models=('resnet50',),
    starts=('random', 'transfer'),
    sources=sources.parse(
      ['resnet50=imagenet', 'resnet50=rad:RadImageNet.h5'], ['resnet50']
    ),
    inputs={'resnet50:rad': 'radimagenet'},
  )
  runs = plan.runs('root')
  assert [run.key for run in runs] == [
    'resnet50/random/seed0',
    'resnet50/transfer-imagenet/seed0',
    'resnet50/transfer-rad/seed0',
  ]
  assert [run.start for run in runs] == [
    'random',
    'transfer:imagenet',
    'transfer:rad',
  ]
  settings = [run.experiment.init for run in runs]
  assert [(i.pretrained, i.pretrained_input) for i in settings] == [
    ('', ''),
    ('imagenet', ''),
    ('RadImageNet.h5', 'radimagenet'),
  ]


@pytest.mark.parametrize(
  ('text', 'name', 'weights'),
  [
    ('imagenet', 'imagenet', 'imagenet'),
    ('rad:imagenet', 'rad', 'imagenet'),
    ('data/RadImageNet.h5', 'RadImageNet', 'data/RadImageNet.h5'),
    ('my.nets:small', 'my.nets-small', 'my.nets:small'),
    ('rad:my.nets:small', 'rad', 'my.nets:small'),
    ('gs://b/net.keras', 'net', 'gs://b/net.keras'),
    ('rad:gs://b/net.keras', 'rad', 'gs://b/net.keras'),
    ('rad:RUNS/best/', 'rad', 'RUNS/best/'),
  ],
)
def test_a_source_has_a_name(text, name, weights):
  assert sources.parse([f'm:f={text}'], ['m:f']) == {'m:f': {name: weights}}


def test_the_input_of_one_source_is_named():
  known = {'m': {'a': 'A', 'b': 'B'}}
  assert sources.parse_inputs(['m=unit', 'm:b=caffe'], known) == {
    'm': 'unit',
    'm:b': 'caffe',
  }
  with pytest.raises(errors.InputError, match="did you mean 'm:b'"):
    sources.parse_inputs(['m:c=unit'], known)


def test_rates_are_tried_with_the_first_seed_and_keys_stay():
  plan = _plan(
    models=('cbr_tiny',), starts=('random',), num_seeds=2, rates=(1e-3, 1e-4)
  )
  usual = plan.base.optimizer.learning_rate
  assert usual == 1e-3
  trials = plan.trials('root')
  assert [run.key for run in trials] == [
    'cbr_tiny/random/seed0',
    'cbr_tiny/random/lr0.0001/seed0',
  ]
  assert [r.experiment.optimizer.learning_rate for r in trials] == [1e-3, 1e-4]
  chosen = plan_lib.Plan(
    **vars(plan) | {'chosen': {('cbr_tiny', 'random'): 1e-4}}
  )
  assert _keys(chosen) == [
    'cbr_tiny/random/lr0.0001/seed0',
    'cbr_tiny/random/lr0.0001/seed1',
  ]
  # One rate is none to choose.
  assert not _plan(rates=(1e-3,)).trials('root')
