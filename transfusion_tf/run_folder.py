"""A run's folder: what lies where, whose it is, and how it is written.

config.json      the `config.Experiment`
init.json        what happened to every weight before step 0
checkpoints/     step 0, the best and the last few (`train.checkpoint`)
metrics.jsonl    one row an evaluation (`train.history`)
tensorboard/     the same with pictures, for TensorBoard (`board`)
test_scores.csv  probabilities of every test image
result.json      written last: a run that has it is finished
"""

from collections.abc import Iterator
import contextlib
import json
import os
from typing import Any

import filelock
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import files
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history

CONFIG, INIT, RESULT = 'config.json', 'init.json', 'result.json'
METRICS, TEST_SCORES = 'metrics.jsonl', 'test_scores.csv'
CHECKPOINTS, TENSORBOARD = 'checkpoints', 'tensorboard'
_LOCK = '.lock'


@contextlib.contextmanager
def claim(experiment: config.Experiment, run_dir: str) -> Iterator[None]:
  """Holds `run_dir` for `experiment`; another process is refused meanwhile.

  The operating system lets go of the lock when the process dies, however it
  dies. Folders in a bucket have no locks.

  Raises:
    InputError: It holds another experiment, another process has it, or it
      cannot be written.
  """
  with _lock(run_dir):
    check(experiment, run_dir)
    yield


def check(experiment: config.Experiment, run_dir: str) -> None:
  """Refuses a folder that holds another experiment, naming what differs."""
  path = os.path.join(run_dir, CONFIG)
  begun = checkpoint.steps(os.path.join(run_dir, CHECKPOINTS))
  if not begun or not tf.io.gfile.exists(path):
    return
  differences = config.differences(config.load(path), experiment)
  if differences:
    raise errors.InputError(
      f'{run_dir} holds another experiment ({"; ".join(differences)}); '
      'choose another --run_dir or delete it'
    )


def checkpoint_step(run_dir: str, which: str, headline: str) -> int:
  """The step of a run's checkpoint `final`, `best`, `init` or STEP.

  `best` is the one with the highest validation `headline`.
  """
  steps = checkpoint.steps(os.path.join(run_dir, CHECKPOINTS))
  if not steps:
    raise errors.InputError(f'{run_dir}: no checkpoints; train it first')
  if which == 'init':
    return 0
  if which == 'final':
    return steps[-1]
  if which == 'best':
    rows = history.read(os.path.join(run_dir, METRICS))
    row = history.best(rows, headline)
    return row['step'] if row else steps[-1]
  if which.isdigit():
    return int(which)
  raise errors.unknown('checkpoint', which, ['final', 'best', 'init', 'STEP'])


def result(run_dir: str) -> dict[str, Any] | None:
  """RUN/result.json, or None while the run is not finished."""
  path = os.path.join(run_dir, RESULT)
  if not tf.io.gfile.exists(path):
    return None
  with tf.io.gfile.GFile(path) as file:
    return json.load(file)


def _lock(run_dir):
  """The lock of a folder, held and to be released by `with`."""
  try:
    tf.io.gfile.makedirs(run_dir)
    if '://' in run_dir:
      return contextlib.nullcontext()
    return filelock.FileLock(os.path.join(run_dir, _LOCK)).acquire(timeout=0)
  except filelock.Timeout:
    raise errors.InputError(
      f'{run_dir}: another process is training here; wait for it or choose '
      'another --run_dir'
    ) from None
  except (OSError, tf.errors.OpError) as error:
    raise errors.InputError(
      f'{run_dir} cannot be written ({files.reason(error)}); choose another '
      '--run_dir'
    ) from None
