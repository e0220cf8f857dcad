"""Runs that share a network have the bits that they have alone."""

import paths
import prepared_sets
import processes
import pytest
import runs

from transfusion_tf import config
from transfusion_tf.run import network

_SCRIPT = paths.TESTS / 'support' / 'shared_network.py'
_SCHEDULE = {
  'train__deterministic': True,
  'optimizer__warmup_epochs': 0.2,
  'optimizer__decay_epochs': (0.4,),
}
# What a run may differ in, each after a run that it could take it from.
_RUNS = (
  {},
  {'seed': 1, 'optimizer__learning_rate': 0.02},
  {'init__scheme': 'transfer', 'init__upto': 'conv2'},
  {'data__subset': 50, 'train__train_steps': 7, 'train__eval_every': 2},
  {'data__shuffle_labels': True, 'seed': 2, 'train__select': 'final'},
)


def _needs_weights(changes):
  return 'init__scheme' in changes


def _assert_as_alone(server, experiments, folder):
  """The runs of one process; returns what it printed."""
  names = [str(number) for number in range(len(experiments))]
  for name, experiment in zip(names, experiments, strict=True):
    config.save(experiment, folder / f'{name}.json')

  def train(kind, *names):
    arguments = []
    for name in names:
      arguments += [folder / f'{name}.json', folder / f'{kind}{name}']
    log = folder / f'{kind}{names[0]}.log'
    process = processes.Process(server, _SCRIPT, arguments, log)
    process.succeed()
    return process.log

  log = train('shared', *names)
  for name in names[1:]:  # The first is alone in its process, too.
    train('alone', name)
    runs.assert_same(folder / f'shared{name}', folder / f'alone{name}')
  return log


@pytest.mark.parametrize(
  'changes',
  [_RUNS[:2], pytest.param(_RUNS, marks=pytest.mark.slow)],
  ids=['two', 'all'],
)
def test_values_may_differ(data_dir, server, tmp_path, changes):
  """Seed, start, rate, length, images and labels."""
  source = tmp_path / 'source'
  if any(map(_needs_weights, changes)):
    processes.train(
      server, prepared_sets.experiment(data_dir, seed=9), source
    ).succeed()
  experiments = []
  for differing in changes:
    if _needs_weights(differing):
      differing = differing | {'init__pretrained': str(source)}
    experiments.append(
      prepared_sets.experiment(data_dir, **_SCHEDULE, **differing)
    )
  assert len(set(map(network.shared_by, experiments))) == 1
  log = _assert_as_alone(server, experiments, tmp_path)
  assert 'not held' not in log


@pytest.mark.slow
@pytest.mark.parametrize(
  'changes',
  [
    {'init__freeze_upto': 'conv1'},
    {'model__name': 'resnet50', 'data__image_size': 36},
    {'optimizer__name': 'sgd', 'optimizer__weight_decay': 0.01},
    {'runtime__num_virtual_cpus': 2},
    {'train__precision': 'mixed_float16'},
    {'model__name': 'inception_v3', 'data__image_size': 80},
  ],
  ids=lambda changes: ' '.join(map(str, changes.values())),
)
def test_other_networks_and_devices(data_dir, server, tmp_path, changes):
  experiments = [
    prepared_sets.experiment(data_dir, **_SCHEDULE, **changes, seed=seed)
    for seed in range(3)
  ]
  assert 'not held' not in _assert_as_alone(server, experiments, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
  'net', ['net', 'net_with_dropout', 'net_with_own_layer', 'net_that_centers']
)
def test_users_networks(data_dir, server, tmp_path, net):
  """Those whose variables do not tell all are not shared."""
  experiments = [
    prepared_sets.experiment(
      data_dir, model__name=f'tiny_nets:{net}', **_SCHEDULE, seed=seed
    )
    for seed in range(2)
  ]
  log = _assert_as_alone(server, experiments, tmp_path)
  assert ('not held' in log) == (net not in ('net', 'net_with_dropout'))
