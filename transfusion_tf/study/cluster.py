"""Does the jobs of a study on a cluster of Ray, one task an attempt.

A job whose machine is lost is tried again elsewhere, without limit, and a run
continues from its last checkpoint. One whose process dies, e.g. for lack of
memory, is tried three times. What raises an exception has failed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import importlib.util
import math
from multiprocessing import connection as connection_lib
import os
import pickle
import secrets
import socket
import subprocess
import sys
import time
from typing import Any

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import stop_signals
from transfusion_tf import storage
from transfusion_tf.study import cluster_code
from transfusion_tf.study import cluster_messages as messages
from transfusion_tf.study import cluster_node
from transfusion_tf.study import cluster_room
from transfusion_tf.study import executors
from transfusion_tf.study import run_needs

_POLL_SECONDS = 0.5
_READY_SECONDS = 240.0
# Longer than workers have to save.
_STOP_SECONDS = 90.0
_CLIENT = 'transfusion_tf.study.cluster_client'


@dataclasses.dataclass(frozen=True)
class Study:
  """What the machines of a cluster have to see, and need of this one.

  Attributes:
    root: Folder of the study.
    data_dirs: Folders of its prepared data.
    functions: Names that may be a user's, as `package.module:function`: their
      code travels.
  """

  root: str
  data_dirs: Sequence[str] = ()
  functions: Sequence[str] = ()


class Cluster:
  """Does jobs on the machines of a cluster.

  Leave its context to let it go.
  """

  def __init__(
    self,
    address: str,
    study: Study,
    wanted: run_needs.Wanted | None = None,
  ):
    """Connect with a cluster, and check its machines.

    Args:
      address: HOST:PORT of the head, or `auto` for that of this machine.
      study: What machines have to see.
      wanted: What runs take of them.

    Raises:
      InputError: No cluster answers, or a machine cannot do the runs.
    """
    # Not imported here: it would take a second, and Ray's own signals.
    if importlib.util.find_spec('ray') is None:
      raise errors.InputError(
        "--cluster needs Ray: pip install 'transfusion_tf[cluster]'"
      )
    self._address = address
    self._wanted = wanted or run_needs.Wanted()
    self._machines: list[Mapping[str, float]] = []
    self._token = os.path.join(study.root, '.cluster')
    self._process, self._connection = _start()
    try:
      storage.makedirs(study.root)
      self._connection.send(self._settings(study))
      self._await_ready()
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> 'Cluster':
    return self

  def __exit__(self, *_) -> None:
    self.close()

  def close(self) -> None:
    """Let the cluster go; what runs is saved first."""
    _be_patient()
    self._connection.close()
    try:
      self._process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
      self._process.kill()
    with contextlib.suppress(errors.InputError, errors.RunError, OSError):
      storage.remove(self._token)

  @property
  def at_a_time(self) -> int:
    """How many jobs of one core, or as said, it does at a time."""
    cpus, gpus = self._wanted.cpus or 1, self._wanted.gpus or 0.0
    needs = run_needs.Needs(cpus, gpus)
    return max(1, cluster_room.capacity(needs, self._machines))

  def needs(self, experiment: config.Experiment) -> run_needs.Needs:
    """Return what a run takes of a machine."""
    has_gpus = any(each.get('GPU') for each in self._machines)
    return self._wanted.of_run(experiment, has_gpus)

  def run(
    self,
    jobs: Sequence[executors.Job],
    shared: Callable[[], Any] | None = None,
    until: float = math.inf,
    began: executors.Began = lambda key, where: None,
  ) -> Iterator[tuple[str, str]]:
    """Do jobs, as `Executor.run`; the longest first.

    Raises:
      RunError: The cluster was lost.
    """
    left = {job.key for job in jobs}
    if not left:
      return
    self._send([_work(job, shared) for job in jobs])
    is_stopped = False
    try:
      while left:
        if not is_stopped and time.monotonic() > until:
          is_stopped = True
          self._send(None)
        kind, *content = self._receive(_POLL_SECONDS)
        if kind == messages.BEGAN:
          began(*content)
        elif kind == messages.ENDED:
          left.discard(content[0])
          yield content[0], content[1]
        elif kind == messages.IDLE and is_stopped:
          return
    finally:
      if left and not is_stopped:
        self._stop()

  def _stop(self):
    """Let what runs be saved: the study is not to go on."""
    _be_patient()
    end = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(errors.RunError):
      self._send(None)
      kind = ''
      while time.monotonic() < end and kind != messages.IDLE:
        kind, *_ = self._receive(_POLL_SECONDS)

  def _send(self, content):
    try:
      self._connection.send(content)
    except OSError:
      raise self._lost() from None

  def _receive(self, seconds):
    """Return what the client says, or nothing in so many seconds."""
    try:
      if not self._connection.poll(seconds):
        return ('',)
      message = self._connection.recv()
    except (EOFError, OSError):
      raise self._lost() from None
    if message[0] == messages.READY:
      self._machines = message[1]
    elif message[0] == messages.NOTE:
      print(f'note: {message[1]}', flush=True)
    return message

  def _lost(self):
    return errors.RunError(
      f'--cluster={self._address}: the head of the cluster, or what connects '
      'this machine with it, has ended; start it again, and the same command '
      'continues'
    )

  def _await_ready(self):
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
      kind, *content = self._receive(_POLL_SECONDS)
      if kind == messages.REFUSED:
        raise errors.InputError(content[0])
      if kind == messages.READY:
        return
    raise errors.InputError(
      f'--cluster={self._address}: no answer in {_READY_SECONDS:.0f} s; look '
      'with `ray status` whether its machines are alive'
    )

  def _settings(self, study):
    secret = secrets.token_hex(8)
    storage.write_text(self._token, secret)
    return messages.Settings(
      self._address,
      cluster_code.modules(study.functions),
      cluster_code.environment(),
      cluster_node.Expected(
        cluster_node.versions(),
        os.getcwd(),
        self._token,
        secret,
        tuple(study.data_dirs),
      ),
    )


def _be_patient():
  """Once a signal has come, let no other one interrupt the end."""
  if stop_signals.received():
    stop_signals.ignore()


def _start():
  """Start the process that speaks with the cluster; return it, and how."""
  ours, theirs = socket.socketpair()
  command = [sys.executable, '-m', _CLIENT, str(theirs.fileno())]
  # Ray tells more than anybody wants to know.
  output = None if startup.is_verbose() else subprocess.DEVNULL
  with theirs:
    process = subprocess.Popen(
      command,
      stdin=subprocess.DEVNULL,
      stdout=output,
      stderr=output,
      pass_fds=[theirs.fileno()],
      env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
      start_new_session=True,
    )
  return process, connection_lib.Connection(ours.detach())


def _work(job, shared):
  return messages.Work(
    job.key,
    pickle.dumps((job.function, shared)),
    job.group or job.key,
    job.needs,
    job.size,
  )
