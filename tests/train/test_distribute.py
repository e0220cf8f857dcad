"""The same run on one device, on several, and on two workers."""

import signal
import time

import numpy as np
import prepared_sets
import processes
import pytest
import runs

from transfusion_tf import config
from transfusion_tf import stop_signals

# A worker that has lost another says so within this many seconds; one on
# whose host SIGTERM came has saved and left.
_NOTICES = 60
_LEAVES = 30
_STEPS, _EVAL_EVERY = 20, 5


@pytest.fixture(scope='module')
def wide_dir(tmp_path_factory):
  """A data_dir whose validation set takes a while."""
  directory = tmp_path_factory.mktemp('wide')
  prepared_sets.write_spots(directory, validation=300)
  return directory


def _experiment(data_dir, **changes):
  return prepared_sets.experiment(
    data_dir,
    train__train_steps=_STEPS,
    train__eval_every=_EVAL_EVERY,
    train__deterministic=True,
    train__sync_batch_norm=True,
    train__lanes=4,
    # Adam divides by gradients that may be all rounding.
    optimizer__name='sgd',
    optimizer__learning_rate=0.02,
    runtime__steps_per_call=1,
    **changes,
  )


# Several real processes at a time: minutes on two cores.
_slow = pytest.mark.slow

_ENVIRONMENTS = {
  'one device': ({}, 1),
  'two replicas': (
    {'runtime__strategy': 'mirrored', 'runtime__num_virtual_cpus': 2},
    1,
  ),
  'four replicas': (
    {'runtime__strategy': 'mirrored', 'runtime__num_virtual_cpus': 4},
    1,
  ),
  'two workers': ({'runtime__strategy': 'multi_worker'}, 2),
}


@pytest.fixture(scope='module')
def observed(wide_dir, server, tmp_path_factory):
  """Name -> run folder and what each of its processes held in the end."""
  root = tmp_path_factory.mktemp('observed')
  started = {}
  for name, (changes, count) in _ENVIRONMENTS.items():
    run_dir = root / name.replace(' ', '_')
    config.save(_experiment(wide_dir, **changes), f'{run_dir}.json')
    outputs = [f'{run_dir}.{index}.npz' for index in range(count)]
    environments = processes.cluster(count) if count > 1 else [{}]
    started[name] = (
      run_dir,
      outputs,
      [
        processes.Process(
          server,
          processes.OBSERVED,
          [f'{run_dir}.json', str(run_dir), output],
          f'{output}.log',
          env,
        )
        for output, env in zip(outputs, environments, strict=True)
      ],
    )
    if len(started) % 2 == 0:  # Two at a time.
      for _, _, running in started.values():
        for process in running:
          process.succeed()
  return {
    name: (run_dir, [dict(np.load(output)) for output in outputs])
    for name, (run_dir, outputs, _) in started.items()
  }


@_slow
@pytest.mark.parametrize('name', list(_ENVIRONMENTS)[1:])
def test_the_mathematics_is_the_same(observed, name):
  """Loss curve and weights, within what rounding does in 20 steps."""
  one_dir, (one,) = observed['one device']
  run_dir, held = observed[name]
  np.testing.assert_allclose(
    [row['loss'] for row in runs.rows(run_dir)[1:]],
    [row['loss'] for row in runs.rows(one_dir)[1:]],
    rtol=1e-4,
  )
  for path, value in one.items():
    if path != 'scores':
      scale = np.abs(value).max()
      np.testing.assert_allclose(
        held[0][path], value, rtol=0, atol=1e-4 * scale, err_msg=path
      )


@_slow
@pytest.mark.parametrize('name', list(_ENVIRONMENTS)[1:])
def test_scores_have_the_same_bits(observed, name):
  """Before the first step, when weights have; hence so has every AUC."""
  (one_dir, (one,)), (run_dir, held) = observed['one device'], observed[name]
  for process in held:
    np.testing.assert_array_equal(process['scores'], one['scores'])
  first, other = (runs.rows(d)[0]['validation'] for d in (one_dir, run_dir))
  assert first == other


@_slow
def test_two_workers_hold_the_same_weights(observed):
  run_dir, (chief, other) = observed['two workers']
  saved = runs.state(run_dir)
  for path, value in chief.items():
    np.testing.assert_array_equal(value, other[path], err_msg=path)
  kernel = 'conv1/kernel'
  np.testing.assert_array_equal(
    chief[kernel], saved['model/conv1.Skernel/.ATTRIBUTES/VARIABLE_VALUE']
  )


@_slow
def test_a_pair_survives_whatever_happens_to_it(
  observed, wide_dir, server, tmp_path
):
  """Stopped while evaluating, killed, stopped while training, finished."""
  undisturbed, _ = observed['two workers']
  run_dir = tmp_path / 'run'
  pair = {'runtime__strategy': 'multi_worker'}

  def start(**changes):
    experiment = _experiment(wide_dir, **pair, **changes)
    return processes.train_pair(server, experiment, run_dir)

  # An image at a time, the evaluation of step 0 takes a while.
  workers = start(runtime__eval_batch_size=1)
  processes.wait_for((run_dir / 'config.json').exists, *workers)
  time.sleep(1)
  workers[1].kill(signal.SIGTERM)
  _all_leave(workers)
  assert runs.steps(run_dir) == [0]
  assert not runs.rows(run_dir)

  workers = start()
  processes.wait_for(lambda: len(runs.rows(run_dir)) == 2, *workers)
  workers[1].kill()
  assert workers[0].wait(_NOTICES) == 1
  assert 'another worker is gone' in workers[0].log.splitlines()[-1]

  workers = start()
  processes.wait_for(lambda: len(runs.rows(run_dir)) == 3, *workers)
  for worker in workers:
    worker.kill(signal.SIGTERM)
  _all_leave(workers)

  for worker in start():
    worker.succeed()
  runs.assert_same(run_dir, undisturbed)


def _all_leave(workers):
  began = time.monotonic()
  codes = [worker.wait(_LEAVES) for worker in workers]
  assert time.monotonic() - began < _LEAVES
  assert codes == [stop_signals.EXIT_CODE] * len(workers)


def test_a_batch_that_does_not_divide_is_refused(data_dir, server, tmp_path):
  run_dir = tmp_path / 'run'
  experiment = prepared_sets.experiment(
    data_dir,
    train__batch_size=9,
    runtime__strategy='mirrored',
    runtime__num_virtual_cpus=2,
  )
  process = processes.train(server, experiment, run_dir)
  assert process.wait() == 2
  assert process.log.splitlines()[-1] == (
    'train.py: a batch of 9 does not divide by 2; choose a multiple'
  )
  assert not runs.steps(run_dir)


def test_workers_with_different_flags_stop(data_dir, server, tmp_path):
  workers = [
    processes.train(
      server,
      prepared_sets.experiment(
        data_dir, seed=seed, runtime__strategy='multi_worker'
      ),
      tmp_path / 'run',
      env,
      f'worker{seed}',
    )
    for seed, env in enumerate(processes.cluster(2))
  ]
  for worker in workers:
    assert worker.wait() == 1
    assert 'do not agree on the settings' in worker.log.splitlines()[-1]
  assert not (tmp_path / 'run' / 'config.json').exists()


@_slow
@pytest.mark.parametrize(
  'changes',
  [
    {'train__precision': 'mixed_float16'},
    {'train__precision': 'mixed_bfloat16'},
    {'runtime__xla': 'on'},
    {'model__name': 'inception_v3', 'data__image_size': 96},
  ],
  ids=lambda changes: '-'.join(map(str, changes.values())),
)
def test_two_replicas_also(data_dir, server, tmp_path, changes):
  """Half precision, XLA and a network with dropout."""
  run_dir = tmp_path / 'run'
  experiment = prepared_sets.experiment(
    data_dir,
    train__train_steps=3,
    train__eval_every=3,
    runtime__strategy='mirrored',
    runtime__num_virtual_cpus=2,
    **changes,
  )
  processes.train(server, experiment, run_dir).succeed()
  first, last = (runs.state(run_dir, step) for step in (0, 3))
  moved = [n for n, value in last.items() if (value != first[n]).any()]
  assert any(n.startswith('model') for n in moved)
  assert all(np.isfinite(value).all() for value in last.values())
