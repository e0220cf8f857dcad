"""The process of a study that speaks with the cluster.

Ray ends its own process when the head of its cluster is lost, without an
exception that could be caught: so it has one to itself, which `cluster` starts
with a connection, and which ends when that is closed.
"""

import contextlib
from multiprocessing import connection as connection_lib
import signal
import sys
import threading
import time
from typing import Any

import ray

from transfusion_tf import errors
from transfusion_tf.study import cluster_head
from transfusion_tf.study import cluster_messages as messages
from transfusion_tf.study import cluster_pending
from transfusion_tf.study import cluster_room
from transfusion_tf.study import cluster_tasks

_CHECK_SECONDS = 180.0
_TICK_SECONDS = 0.2
_NO_ANSWER = f'it did not answer in {_CHECK_SECONDS:.0f} s'
_NODES_EVERY, _REQUEST_EVERY = 1.0, 30.0
_MOST_REQUESTS = 1000
# Until checkpoints are saved; schedulers rarely give more.
_STOP_SECONDS = 60.0
_WAITING_NOTE_SECONDS = 60.0


class Client:
  """Does the jobs that come through a connection."""

  def __init__(self, connection: Any, settings: messages.Settings):
    """Initialize, connected with the cluster."""
    self._connection = connection
    self._settings = settings
    self._nodes: dict[str, cluster_room.Node] = {}
    self._checks: dict[Any, tuple[str, str, float]] = {}
    self._seen: set[str] = set()
    self._waiting: list[cluster_pending.Pending] = []
    self._running: list[cluster_tasks.Attempt] = []
    self._is_ready = False
    self._looked = self._requested = 0.0
    self._stopped = float('inf')
    self._idle_since = time.monotonic()

  def run(self) -> None:
    """Do jobs until the connection is closed."""
    with contextlib.suppress(EOFError, OSError):
      while True:
        self._receive()
        self._look_at_nodes()
        self._begin()
        self._end()
        self._request()
    self._stop()
    while self._running:
      self._end()

  def _send(self, kind, *content):
    with contextlib.suppress(OSError):  # The study has ended: `_receive` tells.
      self._connection.send((kind, *content))

  def _receive(self):
    wait = 0.0 if self._running or self._checks else _TICK_SECONDS
    while self._connection.poll(wait):
      wait, received = 0.0, self._connection.recv()
      if received is None:
        self._stop()
        continue
      self._stopped = float('inf')
      self._waiting = [cluster_pending.Pending(work) for work in received]
      self._requested = 0.0

  def _look_at_nodes(self):
    now = time.monotonic()
    if now < self._looked + _NODES_EVERY:
      return
    self._looked = now
    alive = {n['NodeID']: n for n in ray.nodes() if n['Alive']}
    for name in self._nodes.keys() - alive.keys():
      del self._nodes[name]
      for pending in [*self._waiting, *(a.pending for a in self._running)]:
        pending.forgive(name)
    for name, node in alive.items():
      if name not in self._seen and node['Resources'].get('CPU'):
        self._seen.add(name)
        check = cluster_tasks.check(name, self._settings)
        host = node['NodeManagerAddress']
        self._checks[check] = name, host, now + _CHECK_SECONDS
    if self._checks:
      self._end_checks(alive)
      self._looked = 0.0 if self._checks else now
    if not self._checks and not self._is_ready:
      self._is_ready = True
      self._tell_nodes()

  def _end_checks(self, alive):
    ended, _ = ray.wait(list(self._checks), timeout=_TICK_SECONDS)
    late = [c for c, of in self._checks.items() if time.monotonic() > of[2]]
    for check in dict.fromkeys([*ended, *late]):
      name, host, _ = self._checks.pop(check)
      if name not in alive:
        continue
      found = cluster_tasks.result(check) if check in ended else [_NO_ANSWER]
      if found is None:
        self._seen.discard(name)  # It is asked again, if it is still there.
      elif not found:
        amounts = alive[name]['Resources']
        self._nodes[name] = cluster_room.Node(name, host, amounts)
      elif self._is_ready:
        self._send(messages.NOTE, f'{host} is not used: {found[0]}')
      else:
        self._send(messages.REFUSED, f'machine {host}: {found[0]}')
      if self._is_ready:
        self._tell_nodes()

  def _tell_nodes(self):
    machines = [dict(node.amounts) for node in self._nodes.values()]
    self._send(messages.READY, machines)

  def _begin(self):
    """Begin the jobs for which there is room, the longest first."""
    if not self._is_ready:
      return
    now = time.monotonic()
    while True:
      able = [each for each in self._waiting if each.not_before <= now]
      able.sort(key=lambda each: each.order, reverse=True)
      nodes = [n for n in self._nodes.values() if now >= n.not_before]
      found = cluster_room.place([each.work.needs for each in able], nodes)
      if not found:
        break
      number, chosen = found
      self._waiting.remove(able[number])
      attempt = cluster_tasks.Attempt(able[number], chosen, self._settings)
      self._running.append(attempt)
    if self._running or not self._waiting:
      self._idle_since = now
    elif now > self._idle_since + _WAITING_NOTE_SECONDS:
      self._idle_since = now
      needs = self._waiting[0].work.needs.amounts
      text = ', '.join(f'{amount:g} {name}' for name, amount in needs.items())
      self._send(
        messages.NOTE,
        f'{len(self._waiting)} runs wait for a machine with {text}: the '
        f'cluster has {len(self._nodes)} machines',
      )

  def _end(self):
    """Hear from attempts."""
    if not self._running:
      return
    generators = [g for each in self._running for g in each.generators]
    ready = []
    if generators:  # Else none of them could begin.
      ready, _ = ray.wait(generators, timeout=_TICK_SECONDS, fetch_local=False)
    for attempt in list(self._running):
      for place in attempt.hear(ready):
        self._send(messages.BEGAN, attempt.key, place)
        if self._stopped < float('inf'):
          attempt.signal(signal.SIGTERM)
      if attempt.generators:
        if time.monotonic() > self._stopped + _STOP_SECONDS:
          attempt.cancel()
        continue
      self._running.remove(attempt)
      attempt.give_back()
      self._conclude(attempt)
    if self._stopped < float('inf') and not self._running:
      self._stopped = float('inf')
      self._send(messages.IDLE)

  def _conclude(self, attempt):
    error = attempt.conclude()
    is_stopped = self._stopped < float('inf')
    if error is not None and not (error and is_stopped):
      self._send(messages.ENDED, attempt.key, error)
    elif not is_stopped:
      self._waiting.append(attempt.pending)

  def _stop(self):
    """Let what runs be saved, and begin nothing."""
    self._waiting = []
    self._stopped = time.monotonic()
    for attempt in self._running:
      attempt.signal(signal.SIGTERM)
    if not self._running:
      self._stopped = float('inf')
      self._send(messages.IDLE)

  def _request(self):
    """Tell an autoscaler what all jobs take that are not done."""
    now = time.monotonic()
    if now < self._requested + _REQUEST_EVERY or not self._is_ready:
      return
    self._requested = now
    works = [each.work for each in self._waiting]
    works += [each.pending.work for each in self._running]
    cluster_tasks.request([work.needs for work in works[:_MOST_REQUESTS]])


def main(descriptor: int) -> None:
  """Serve the study at the other end of a connection."""
  _ignore_signals()
  connection = connection_lib.Connection(descriptor)
  settings = connection.recv()
  try:
    address = cluster_head.find(settings.address)
    cluster_head.connect(address, settings)
  except errors.InputError as error:
    connection.send((messages.REFUSED, str(error)))
    return
  _ignore_signals()  # Ray has set its own.
  threading.Thread(
    target=cluster_head.watch, args=(address,), daemon=True
  ).start()
  Client(connection, settings).run()
  cluster_tasks.request([])
  ray.shutdown()


def _ignore_signals():
  """Leave it to the study to say when to stop."""
  for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)


if __name__ == '__main__':
  main(int(sys.argv[1]))
