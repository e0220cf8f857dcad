"""One attempt of a job, in a process of a cluster.

The process does the jobs of one group one after another, and keeps what they
share. What it yields is an `Event`: first that the attempt has begun, and
where; then how it ended. A process that dies yields nothing more.
"""

from collections.abc import Iterator
import dataclasses
import json
import os
import pickle
import signal
import socket
import sys

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import stop_signals

# How an attempt ends. In a busy folder, another process is still at work.
BEGAN, ENDED, STOPPED, BUSY = 'began', 'ended', 'stopped', 'busy'

# The group whose jobs this process does, and what they share.
_shared: dict[str, tuple] = {}


@dataclasses.dataclass(frozen=True)
class Order:
  """A job as it is sent.

  Attributes:
    job: The function and what makes that which its group shares, pickled.
    group: The group.
    folder: The folder that relative paths start from.
    workers: HOST:PORT of each worker of a run of several machines, else empty.
    index: Which of them this is.
  """

  job: bytes
  group: str
  folder: str
  workers: tuple[str, ...] = ()
  index: int = 0


@dataclasses.dataclass(frozen=True)
class Event:
  """What an attempt has to say.

  Attributes:
    kind: One of `BEGAN`, `ENDED`, `STOPPED` and `BUSY`.
    text: The name of the machine, or why the job failed, if it did.
    pid: Number of the process.
  """

  kind: str
  text: str = ''
  pid: int = 0


def run(order: Order) -> Iterator[Event]:
  """Do a job, and yield what happens."""
  yield Event(BEGAN, socket.gethostname(), os.getpid())
  try:
    _prepare(order)
    yield Event(ENDED, _call(order))
  except errors.InUseError as error:
    yield Event(BUSY, str(error))
  except SystemExit as error:
    stop_signals.ignore()
    if error.code != stop_signals.EXIT_CODE:
      yield Event(ENDED, f'it exited with code {error.code}')
    else:
      yield Event(STOPPED)


def _prepare(order):
  for number in stop_signals.SIGNALS:  # The last job may have left its own.
    signal.signal(number, signal.SIG_DFL)
  stop_signals.install()
  sys.stderr.isatty = lambda: False  # type: ignore[method-assign]
  if os.path.isdir(order.folder):
    os.chdir(order.folder)
  if order.workers:
    os.environ['TF_CONFIG'] = json.dumps(
      {
        'cluster': {'worker': order.workers},
        'task': {'type': 'worker', 'index': order.index},
      }
    )
  startup.import_tensorflow()


def _call(order) -> str:
  """Return why the job failed, or ''."""
  try:
    function, shared = pickle.loads(order.job)
    if order.group not in _shared:
      _shared.clear()
      _shared[order.group] = () if shared is None else (shared(),)
    function(*_shared[order.group])
  except errors.InUseError:
    raise
  except Exception as error:
    return startup.report_error(error)
  return ''
