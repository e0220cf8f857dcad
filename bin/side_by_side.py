"""Runs of a study, several at a time, each in a process of its own.

Small networks leave most of a core idle: two runs at once are nearly twice as
fast. TensorFlow is imported by the processes alone.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time

import cli
from transfusion_tf import config
from transfusion_tf import errors

_SECONDS_BETWEEN_LOOKS = 1.0


@contextlib.contextmanager
def processes(count: int) -> Iterator[concurrent.futures.Executor]:
  """A pool of `count` processes that end when this one does, however it does.

  Each uses its share of the cores.
  """
  threads = max(1, (os.cpu_count() or 1) // count)
  pool = concurrent.futures.ProcessPoolExecutor(
    count,
    multiprocessing.get_context('spawn'),
    initializer=_begin,
    initargs=(os.getpid(), threads),
  )
  try:
    yield pool
    pool.shutdown()
  finally:
    pool.shutdown(wait=False, cancel_futures=True)


def each(
  pool: concurrent.futures.Executor | None,
  runs: Sequence[tuple[config.Experiment, str]],
) -> Iterator[tuple[int, str]]:
  """Trains or continues runs, each an experiment and its folder.

  Args:
    pool: What `processes` gave; None is one after another in this process.
    runs: The runs.

  Yields:
    As they end: number of the run, and what was wrong with it, or nothing.
  """
  if pool is None:
    for number, run in enumerate(runs):
      yield number, _carry_out(*run)
    return
  started = {
    pool.submit(_carry_out, *run): number for number, run in enumerate(runs)
  }
  for done in concurrent.futures.as_completed(started):
    yield started[done], done.result()


def _carry_out(experiment, run_dir):
  import keras

  from transfusion_tf import launch

  try:
    launch.run(experiment, run_dir)
  except (errors.InputError, errors.RunError) as error:
    return str(error)
  finally:
    keras.utils.clear_session()
  return ''


def _begin(parent, num_threads):
  signal.signal(signal.SIGINT, lambda *_: os._exit(130))
  threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
  cli.import_tensorflow()
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(num_threads)


def _end_with(parent):
  """A run that nobody waits for would hold the lock of its folder."""
  while os.getppid() == parent:
    time.sleep(_SECONDS_BETWEEN_LOOKS)
  os._exit(1)
