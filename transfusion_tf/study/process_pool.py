"""Jobs of a study, several at a time, each in a process of its own.

Small networks leave most of a core idle: two runs at once are nearly twice as
fast. A job's process takes its memory with it, and if it is killed, only that
job is lost. On Linux TensorFlow is imported once, by a process that forks the
others; elsewhere, where a fork of it is not safe, each imports its own.
"""

from collections.abc import Callable, Iterator, Mapping
import concurrent.futures
import contextlib
import multiprocessing
from multiprocessing import forkserver
import os
import pathlib
import signal
import sys
import threading

from transfusion_tf import cores
from transfusion_tf import errors
from transfusion_tf import startup

# Activations go back to malloc, not to the kernel, which would have to clear
# their pages again at each step: 28 of 104 seconds, in CBR-LargeW.
_ALLOCATION = {'MALLOC_TRIM_THRESHOLD_': '4000000000', 'MALLOC_MMAP_MAX_': '0'}
# Python's own modules are not those of the same name in the present folder.
_IMPORTS = {'PYTHONSAFEPATH': '1'}

_starting = threading.Lock()  # One environment for all threads.


def each(
  jobs: Mapping[str, Callable[[], None]], num_processes: int = 1
) -> Iterator[tuple[str, str]]:
  """Call functions, and yield as they end.

  Args:
    jobs: Key -> function; picklable, unless `num_processes` is 1.
    num_processes: Jobs at a time, each with its fraction of the cores; 1 is
      one after another in this process.

  Yields:
    As jobs end: the key, and why it failed, in one line, or ''. No exception
    ends the other jobs.
  """
  if num_processes == 1:
    for key, job in jobs.items():
      yield key, _call(job)
    return
  # One job alone, e.g. the pretraining, has all the cores.
  at_a_time = max(1, min(num_processes, len(jobs)))
  threads = max(1, cores.available() // at_a_time)
  earlier = multiprocessing.active_children()  # They prepared the data.
  # A thread waits for each process.
  pool = concurrent.futures.ThreadPoolExecutor(num_processes)
  try:
    context = _context()
    started = {
      pool.submit(_in_a_process, context, threads, job): key
      for key, job in jobs.items()
    }
    for done in concurrent.futures.as_completed(started):
      yield started[done], done.result()
  finally:
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
      if process not in earlier:
        process.kill()


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
  with _environment():
    forkserver.ensure_running()
  return context


@contextlib.contextmanager
def _environment() -> Iterator[None]:
  """Give processes that begin inside the environment that jobs need."""
  before = dict(os.environ)
  # Without it the server does not find the package, and reports no error.
  here = str(pathlib.Path(__file__).parents[2])
  paths = [here, *filter(None, [before.get('PYTHONPATH')])]
  os.environ.update(_ALLOCATION | startup.environment(before) | _IMPORTS)
  os.environ['PYTHONPATH'] = os.pathsep.join(paths)
  try:
    yield
  finally:
    os.environ.clear()
    os.environ.update(before)


def _in_a_process(context, threads, job):
  receiver, sender = context.Pipe(duplex=False)
  process = context.Process(
    target=_work, args=(sender, threads, job), daemon=True
  )
  with _starting, _environment():
    process.start()
  sender.close()
  try:
    error = receiver.recv()
  except EOFError:
    process.join()
    error = f'its process ended with code {process.exitcode}'
  process.join()
  return error


def _work(sender, threads, job):
  signal.signal(signal.SIGINT, lambda *_: os._exit(130))
  # Progress bars of several processes would overwrite one another.
  sys.stderr.isatty = lambda: False
  threading.Thread(target=_end_with_parent, daemon=True).start()
  startup.import_tensorflow()
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(threads)
  sender.send(_call(job))


def _end_with_parent():
  """End a job whose parent died: it would hold its folder's lock."""
  multiprocessing.parent_process().join()
  os._exit(1)


def _call(job):
  import keras

  try:
    job()
  except Exception as error:
    return startup.report_error(error)
  finally:
    keras.utils.clear_session()
  return ''
