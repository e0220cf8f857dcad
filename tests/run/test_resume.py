"""A run that is stopped, however it is, ends as if nothing had happened."""

import contextlib
import dataclasses
import os
import signal
import time

import bucket_runs
import processes
import pytest
import runs
import stops

from transfusion_tf import run_folder
from transfusion_tf import stop_signals

_LEAVES = 30  # Seconds from SIGTERM to the end of the process.
_PAIR_LEAVES = 20  # Seconds, of a worker that has lost another.


@dataclasses.dataclass
class _Machine:
  """Where runs are trained: `start` returns the processes of a session."""

  server: object
  folder: object
  experiment: object
  environment: dict
  cores: set
  num_workers: int = 1
  is_remote: bool = False

  @property
  def scratch(self):
    scratch = self.folder / 'scratch'
    scratch.mkdir(exist_ok=True)
    return scratch

  def start(self, name, server=None):
    """Starts what `name` is to be trained by."""
    run_dir = f'gs://bucket/{name}' if self.is_remote else self.folder / name
    clusters = processes.cluster(self.num_workers)
    started = []
    for index in range(self.num_workers):
      environment = self.environment | {'TMPDIR': str(self.scratch)}
      if self.num_workers > 1:
        environment |= clusters[index]
      output = self.folder / f'{name}.{index}'
      process = processes.train(
        server or self.server,
        self.experiment,
        run_dir,
        environment,
        log=f'{output}.log',
        errors=f'{output}.errors',
      )
      with contextlib.suppress(ProcessLookupError):
        os.sched_setaffinity(process.pid, self.cores)
      started.append(process)
    return started

  def finish(self, name):
    """Trains a run to its end; returns how many seconds that takes."""
    began = time.monotonic()
    for process in self.start(name):
      assert process.wait() == 0, process.complaints
    return time.monotonic() - began

  def is_finished(self, name):
    if self.is_remote:
      return f'{name}/result.json' in self.bucket.names(name)
    return run_folder.result(str(self.folder / name)) is not None

  def read(self, name):
    """Returns the folder of a run on the disk."""
    if self.is_remote:
      return self.bucket.download(name, self.folder / name)
    return self.folder / name


_MACHINES = ['one device', 'one core', 'two devices', 'two workers', 'bucket']


@pytest.fixture
def machine(request, server, data_dir, tmp_path):
  cores = os.sched_getaffinity(0)
  if request.param == 'bucket':
    bucket = request.getfixturevalue('bucket')
    remote_data = request.getfixturevalue('bucket_data')
    experiment = bucket_runs.experiment(remote_data)
    made = _Machine(server, tmp_path, experiment, bucket.environment, cores)
    made.bucket, made.is_remote = bucket, True
    return made
  changes = {
    # Whose random state is restored, too.
    'one device': {'model__name': 'tiny_nets:net_with_dropout'},
    'two devices': {
      'runtime__strategy': 'mirrored',
      'runtime__num_virtual_cpus': 2,
    },
    'two workers': {'runtime__strategy': 'multi_worker'},
  }.get(request.param, {})
  return _Machine(
    server,
    tmp_path,
    bucket_runs.experiment(data_dir, train__train_steps=24, **changes),
    {},
    {min(cores)} if request.param == 'one core' else cores,
    2 if request.param == 'two workers' else 1,
  )


def _stop_and_finish(machine, num_stops, seed=0, fresh_every=0):
  """Stops runs at any moment, until they are finished all the same."""
  seconds = machine.finish('undisturbed')
  undisturbed = machine.read('undisturbed')
  moments = stops.moments(seed)
  stopped = started = number_of_run = 0
  while stopped < num_stops:
    name = f'run{number_of_run}'
    while stopped < num_stops and not machine.is_finished(name):
      number, fraction = next(moments)
      started += 1
      is_fresh = fresh_every and started % fresh_every == 0
      server = processes.Interpreters() if is_fresh else None
      workers = machine.start(name, server)
      in_time = _stop(workers, number, fraction * seconds, started)
      stopped += in_time
      # Moments stay spread over a run, whatever work the machine has besides.
      seconds *= 1.05 if in_time else 0.8
      assert number == signal.SIGKILL or not stops.scratch(machine.scratch)
      print(
        name,
        stopped,
        number.name,
        f'{fraction:.2f}',
        f'{seconds:.1f}',
        flush=True,
      )
    machine.finish(name)
    assert not stops.scratch(machine.scratch)
    runs.assert_same(machine.read(name), undisturbed)
    number_of_run += 1


def _leave(worker, number):
  """Returns the code of a worker that has lost another.

  Where it waits inside TensorFlow for one that it has not met yet, it hears of
  nothing: it is told, and killed in the end, as by a scheduler.
  """
  for told in (None, number, signal.SIGKILL):
    if told:
      worker.kill(told)
    end = time.monotonic() + _PAIR_LEAVES
    while time.monotonic() < end and worker.is_alive():
      time.sleep(0.1)
  return worker.wait()


def _stop(workers, number, after, turn):
  """Stops one worker, or all as a scheduler does; returns whether in time."""
  first, *others = (
    workers[turn % len(workers) :] + workers[: turn % len(workers)]
  )
  in_time = stops.stop(first, number, after)
  for other in others:
    code = _leave(other, number)
    assert code in (*stops.CODES.values(), 0, 1), other.complaints
    # TensorFlow has something to say of the lost one, too.
    is_told = code in (0, -signal.SIGKILL) or 'same command' in other.complaints
    assert is_told, other.complaints
  return in_time


@pytest.mark.parametrize('machine', ['one device'], indirect=True)
def test_stopped_by_each_signal(machine):
  """Bitwise the same weights, slots, counters, metrics and scores."""
  _stop_and_finish(machine, num_stops=4)


def test_sigterm_saves_and_leaves(data_dir, server, tmp_path):
  """Meanwhile, another process on the same folder is refused."""
  run_dir = tmp_path / 'run'
  experiment = bucket_runs.experiment(data_dir, train__train_steps=100_000)
  process = processes.train(server, experiment, run_dir)
  processes.wait_for(lambda: len(runs.rows(run_dir)) > 2, process)
  process.kill(signal.SIGSTOP)  # It must not save meanwhile.
  before = runs.steps(run_dir)[-1]
  again = processes.train(server, experiment, run_dir, name='again')
  assert again.wait() == 2
  assert 'another process is training here' in again.log.splitlines()[-1]
  process.kill(signal.SIGCONT)
  process.kill(signal.SIGTERM)
  assert process.wait(_LEAVES) == stop_signals.EXIT_CODE
  assert 'checkpoint saved; the same command continues' in process.log
  assert runs.steps(run_dir)[-1] >= before


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize('machine', _MACHINES, indirect=True)
def test_stopped_at_any_moment(machine):
  """The same, also while a new interpreter imports."""
  _stop_and_finish(machine, int(os.environ.get('STOPS', 40)), 1, fresh_every=3)
