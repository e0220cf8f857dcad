"""Jobs of a study, several at a time, each process with those of one group.

Small networks leave most of a core idle: two runs at once are nearly twice as
fast. The jobs of a group share what their process keeps for them, such as a
compiled network. A group's process takes its memory with it, and if it is
killed, only one job is lost. On Linux TensorFlow is imported once, by a process
that forks the others; elsewhere, where a fork of it is not safe, each imports
its own.
"""

import collections
from collections.abc import Callable, Iterator, Mapping
import contextlib
import math
import multiprocessing
from multiprocessing import forkserver
import os
import pathlib
import queue
import sys
import tempfile
import threading
import time
from typing import Any

from transfusion_tf import cores
from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import stop_signals

# Activations go back to malloc, not to the kernel, which would have to clear
# their pages again at each step: 28 of 104 seconds, in CBR-LargeW.
ALLOCATION = {'MALLOC_TRIM_THRESHOLD_': '4000000000', 'MALLOC_MMAP_MAX_': '0'}
# Python's own modules are not those of the same name in the present folder.
_IMPORTS = {'PYTHONSAFEPATH': '1'}
# The kernel takes 107 for a socket, of which multiprocessing's names are 32.
_SOCKET_FOLDER_BYTES = 75

# A key and why its job failed; None at the end of a worker.
_Ended = tuple[str, str] | BaseException | None
_starting = threading.Lock()  # One environment for all threads.


def each(
  jobs: Mapping[str, Callable[..., None]],
  num_processes: int = 1,
  groups: Mapping[str, str] | None = None,
  shared: Callable[[], Any] | None = None,
  until: float = math.inf,
  began: Callable[[str], None] = lambda key: None,
) -> Iterator[tuple[str, str]]:
  """Call functions, and yield as they end.

  Args:
    jobs: Key -> function of what its group shares, or of nothing; picklable,
      unless `num_processes` is 1.
    num_processes: Jobs at a time, each with its fraction of the cores; 1 is
      one after another in this process.
    groups: Key -> the group of its job; each is one of its own if None.
    shared: Makes what the jobs of a group share, if anything; picklable.
    until: When to stop, in seconds of `time.monotonic`. Processes are then
      sent SIGTERM; this process ends the job that it is at.
    began: Called with the key of a job that begins, from any thread.

  Yields:
    As jobs end: the key, and why it failed, in one line, or ''. No exception
    ends the other jobs.
  """
  waiting = Waiting({key: (groups or {}).get(key, key) for key in jobs})
  if num_processes == 1:
    yield from _one_after_another(jobs, waiting, shared, until, began)
    return
  # One job alone, e.g. the pretraining, has all the cores.
  at_a_time = max(1, min(num_processes, len(jobs)))
  threads = max(1, cores.available() // at_a_time)
  context = _context()
  ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
  workers = [
    _Worker(
      jobs, waiting, ended, lambda: _Process(context, threads, shared), began
    )
    for _ in range(at_a_time)
  ]
  try:
    with _stopping(workers, waiting, until):
      for _ in workers:
        while result := ended.get():
          if isinstance(result, BaseException):
            raise result
          yield result
  finally:
    waiting.clear()
    for worker in workers:
      worker.kill()


@contextlib.contextmanager
def _stopping(workers, waiting, until):
  """Stop workers when the time is over."""
  if until == math.inf:
    yield
    return

  def stop():
    waiting.clear()
    for worker in workers:
      worker.stop()

  timer = threading.Timer(max(until - time.monotonic(), 0), stop)
  timer.start()
  try:
    yield
  finally:
    timer.cancel()


class Waiting:
  """The jobs that nobody has begun, by group."""

  def __init__(self, groups: Mapping[str, str]):
    self._keys: dict[str, collections.deque[str]] = {}
    for key, group in groups.items():
      self._keys.setdefault(group, collections.deque()).append(key)
    self._begun: set[str] = set()
    self._lock = threading.Lock()

  def take(self, group: str) -> tuple[str, str] | None:
    """Return a group and the key of one of its jobs, or None.

    Those of `group` come first, then those of a group that nobody works on,
    then those of the largest.
    """
    with self._lock:
      if not self._keys:
        return None
      if group not in self._keys:
        new = [name for name in self._keys if name not in self._begun]
        group = (new or sorted(self._keys, key=self._count, reverse=True))[0]
      self._begun.add(group)
      key = self._keys[group].popleft()
      if not self._keys[group]:
        del self._keys[group]
      return group, key

  def clear(self) -> None:
    with self._lock:
      self._keys.clear()

  def _count(self, group):
    return len(self._keys[group])


def _one_after_another(jobs, waiting, shared, until, began):
  group = call = None
  while time.monotonic() < until and (taken := waiting.take(group)):
    if taken[0] != group:
      _clear_session()
      call = _caller(shared)
    group, key = taken
    began(key)
    yield key, call(jobs[key])
  _clear_session()


class _Worker:
  """Has jobs done by one process after another, from a thread."""

  def __init__(self, jobs, waiting, ended, start, began):
    self._jobs = jobs
    self._waiting = waiting
    self._ended = ended
    self._start = start
    self._began = began
    self._process = None
    self._is_stopped = False
    threading.Thread(target=self._run, daemon=True).start()

  def kill(self) -> None:
    if self._process is not None:
      self._process.kill()

  def stop(self) -> None:
    """Ask for the end: what the present job has done is no result."""
    self._is_stopped = True
    if self._process is not None:
      self._process.terminate()

  def _run(self):
    group = ''
    try:
      while taken := self._waiting.take(group):
        if taken[0] != group or not self._process.is_alive:
          self._end()
          self._process = self._start()
        group, key = taken
        self._began(key)
        error = self._process.call(self._jobs[key])
        if not (self._is_stopped and error):
          self._ended.put((key, error))
      self._end()
      self._ended.put(None)
    except BaseException as error:
      self._ended.put(error)

  def _end(self):
    if self._process is not None:
      self._process.end()


class _Process:
  """A process that calls functions with what they share."""

  def __init__(self, context, threads, shared):
    self._connection, theirs = context.Pipe()
    self._process = context.Process(
      target=_work, args=(theirs, threads, shared), daemon=True
    )
    with _starting, _environment():
      self._process.start()
    theirs.close()

  @property
  def is_alive(self) -> bool:
    return self._process.is_alive()

  def call(self, job: Callable[[Any], None]) -> str:
    """Return why a job failed, or ''."""
    try:
      self._connection.send(job)
      return self._connection.recv()
    except (EOFError, OSError):
      self._process.join()
      return f'its process ended with code {self._process.exitcode}'

  def end(self) -> None:
    self._connection.close()
    self._process.join()

  def kill(self) -> None:
    self._process.kill()

  def terminate(self) -> None:
    self._process.terminate()


def check_complete(failures: Mapping[str, str], jobs: str) -> None:
  """Raise a RunError that counts the failures and shows the first.

  Args:
    failures: Key of a job -> why it failed.
    jobs: Name of the jobs in the message.
  """
  if failures:
    key, error = next(iter(failures.items()))
    raise errors.RunError(
      f'{len(failures)} of {jobs} could not be made, the rest stands: '
      f'{key}: {error}'
    )


def _context():
  """Return how processes start: with TensorFlow imported, if possible."""
  if not sys.platform.startswith('linux') or not hasattr(os, 'fork'):
    return multiprocessing.get_context('spawn')
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(['transfusion_tf.study.forkserver_preload'])
  with _environment(), _short_temporary_folder():
    forkserver.ensure_running()
  return context


@contextlib.contextmanager
def _short_temporary_folder() -> Iterator[None]:
  """Use /tmp where the path of a socket in TMPDIR would be too long."""
  before = tempfile.tempdir
  if len(os.fsencode(tempfile.gettempdir())) > _SOCKET_FOLDER_BYTES:
    tempfile.tempdir = '/tmp'
  try:
    yield
  finally:
    tempfile.tempdir = before


@contextlib.contextmanager
def _environment() -> Iterator[None]:
  """Give processes that begin inside the environment that jobs need."""
  before = dict(os.environ)
  # Without it the server does not find the package, and reports no error.
  here = str(pathlib.Path(__file__).parents[2])
  paths = [here, *filter(None, [before.get('PYTHONPATH')])]
  needed = ALLOCATION | startup.environment(before) | _IMPORTS
  needed['PYTHONPATH'] = os.pathsep.join(paths)
  # The rest stays: another thread may be reading a bucket, by its variables.
  changed = {k: v for k, v in needed.items() if before.get(k) != v}
  os.environ.update(changed)
  try:
    yield
  finally:
    for name in changed:
      if name in before:
        os.environ[name] = before[name]
      else:
        del os.environ[name]


def _work(connection, threads, shared):
  # Else a job whose parent died would hold its folder's lock.
  stop_signals.end_with_parent()
  # Progress bars of several processes would overwrite one another.
  sys.stderr.isatty = lambda: False
  startup.import_tensorflow()
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(threads)
  call = _caller(shared)
  with contextlib.suppress(EOFError):
    while True:
      connection.send(call(connection.recv()))


def _caller(shared):
  """Return a function that calls jobs of one group: why one failed, or ''."""
  held = () if shared is None else (shared(),)

  def call(job):
    try:
      job(*held)
    except Exception as error:
      return startup.report_error(error)
    return ''

  return call


def _clear_session():
  import keras

  keras.utils.clear_session()
