"""Workers that start late, never, or hang: said in time, and bounded."""

import concurrent.futures
import contextlib
import json
import signal
import socket
import time

import prepared_sets
import processes
import pytest

from transfusion_tf import errors
from transfusion_tf import stop_signals
from transfusion_tf.train import rendezvous


def _addresses(count):
  """Addresses of this machine where nobody listens."""
  with contextlib.ExitStack() as stack:
    free = [
      stack.enter_context(socket.create_server(('localhost', 0)))
      for _ in range(count)
    ]
    return [f'localhost:{s.getsockname()[1]}' for s in free]


def _train(server, data_dir, run_dir, env, **changes):
  experiment = prepared_sets.experiment(
    data_dir, runtime__strategy='multi_worker', **changes
  )
  return processes.train(server, experiment, run_dir, env)


def test_a_worker_says_for_whom_it_waits_and_gives_up(
  data_dir, server, tmp_path
):
  env, other = processes.cluster(2)
  missing = json.loads(other['TF_CONFIG'])['cluster']['worker'][1]
  worker = _train(
    server, data_dir, tmp_path / 'run', env, runtime__worker_timeout=6
  )
  assert worker.wait(40) == 1
  *_, waiting, last = worker.log.splitlines()
  assert waiting == f'waiting for worker 1 at {missing} for 5 of 6 s'
  assert last.startswith('train.py: waited 6 s (--worker_timeout) in vain for ')
  assert missing in last
  assert not (tmp_path / 'run' / 'config.json').exists()


def test_a_waiting_worker_hears_signals(data_dir, server, tmp_path):
  env, _ = processes.cluster(2)
  worker = _train(server, data_dir, tmp_path / 'run', env)
  processes.wait_for(lambda: 'waiting for' in worker.log, worker)
  worker.kill(signal.SIGTERM)
  assert worker.wait(10) == stop_signals.EXIT_CODE
  assert worker.log.splitlines()[-1] == (
    'train.py: stopped by SIGTERM; the same command continues'
  )


def test_a_worker_that_hangs_at_its_start(data_dir, server, tmp_path):
  """Its address answers, but no TensorFlow is behind it."""
  env, other = processes.cluster(2)
  address = json.loads(other['TF_CONFIG'])['cluster']['worker'][1]
  with socket.create_server(('localhost', int(address.split(':')[1]))):
    worker = _train(
      server, data_dir, tmp_path / 'run', env, runtime__worker_timeout=2
    )
    assert worker.wait(40) == 1
  assert worker.log.splitlines()[-1].endswith('this one ends with code 1')


@pytest.mark.slow
def test_a_worker_that_hangs_later(data_dir, server, tmp_path):
  run_dir = tmp_path / 'run'
  experiment = prepared_sets.experiment(
    data_dir,
    train__train_steps=100_000,
    train__eval_every=5,
    runtime__strategy='multi_worker',
  )
  chief, other = processes.train_pair(server, experiment, run_dir)
  processes.wait_for((run_dir / 'metrics.jsonl').exists, chief, other)
  other.kill(signal.SIGSTOP)
  began = time.monotonic()
  assert chief.wait(60) == 1
  assert time.monotonic() - began < 60
  assert 'another worker is gone' in chief.log.splitlines()[-1]
  other.kill()


def test_workers_that_start_one_after_another_meet():
  """Those that have gone on listen no more, but TensorFlow does for them."""
  addresses = dict(enumerate(_addresses(3)))

  def meet(index):
    time.sleep(index / 2)
    others = {f'worker {n}': a for n, a in addresses.items() if n != index}
    rendezvous.wait(addresses[index], others, timeout=20)
    # As TensorFlow's server, which takes the port over at once.
    return socket.create_server(('', int(addresses[index].split(':')[1])))

  with concurrent.futures.ThreadPoolExecutor(3) as pool:
    for listener in pool.map(meet, addresses):
      listener.close()


def test_a_port_in_use_is_one_line():
  with socket.create_server(('', 0)) as taken:
    own = f'localhost:{taken.getsockname()[1]}'
    with pytest.raises(errors.InputError, match='cannot listen there: Address'):
      rendezvous.wait(own, {'worker 1': 'localhost:1'}, timeout=5)


@pytest.mark.parametrize('address', ['host', 'host:', ':1', 'host:65536'])
def test_what_is_no_address_is_one_line(address):
  (own,) = _addresses(1)
  for first, second in ((own, address), (address, own)):
    with pytest.raises(errors.InputError, match='is not HOST:PORT'):
      rendezvous.wait(first, {'worker 1': second}, timeout=5)
