"""Attempts of jobs as tasks of Ray, and what becomes of the jobs."""

from collections.abc import Sequence
import contextlib
import hashlib
import time
from typing import Any

import ray
from ray import exceptions
from ray.autoscaler import sdk
from ray.util import scheduling_strategies as strategies

from transfusion_tf import errors
from transfusion_tf.study import cluster_attempt as attempt_lib
from transfusion_tf.study import cluster_messages
from transfusion_tf.study import cluster_node
from transfusion_tf.study import cluster_pending as pending_lib
from transfusion_tf.study import cluster_room
from transfusion_tf.study import run_needs

_NODE_SECONDS = 10.0  # Until a machine that took no task is tried again.
_PLACING_SECONDS = 60.0
_NODE_LABEL = 'ray.io/node-id'
_GONE = (exceptions.NodeDiedError, exceptions.TaskUnschedulableError)
# Of several workers, what tells most of why a run ended.
_TELLING = (
  *(
    pending_lib.LOST,
    pending_lib.CRASHED,
    attempt_lib.STOPPED,
    attempt_lib.BUSY,
  ),
  attempt_lib.ENDED,
)


class Attempt:
  """A job that runs, on one machine or several.

  Attributes:
    pending: The job.
    key: Its name.
    generators: What its processes will yield.
  """

  def __init__(
    self,
    pending: pending_lib.Pending,
    nodes: Sequence[cluster_room.Node],
    settings: cluster_messages.Settings,
  ):
    """Begin.

    Args:
      pending: The job.
      nodes: The machines, with room for it.
      settings: Of the study.
    """
    self.pending, self.key = pending, pending.work.key
    self._settings = settings
    self._nodes = nodes
    self._group = None
    self._at: dict[Any, tuple[cluster_room.Node, Any]] = {}
    self._pids: dict[Any, int] = {}
    self._ends: list[tuple[str, str, str]] = []
    needs = pending.work.needs
    self._amounts = dict(needs.amounts)
    if needs.nodes:
      self._amounts |= cluster_room.whole(nodes)
    for node in nodes:
      node.take(self._amounts)
    self.generators: list[Any] = []
    begin = self._begin_several if needs.nodes else self._begin_one
    try:
      begin()
    except exceptions.RayError as error:
      self._ends.append(
        (pending_lib.LOST, errors.describe(error), nodes[0].name)
      )

  def _begin_one(self):
    (node,) = self._nodes
    self._submit(strategies.NodeAffinitySchedulingStrategy(node.name, False))

  def _begin_several(self):
    count = len(self._nodes)
    self._group = ray.util.placement_group(
      [self._amounts] * count,
      strategy='STRICT_SPREAD',
      bundle_label_selector=[{_NODE_LABEL: n.name} for n in self._nodes],
    )
    if not self._group.wait(_PLACING_SECONDS):
      raise exceptions.RaySystemError('its machines are not free')
    places = [
      strategies.PlacementGroupSchedulingStrategy(self._group, n)
      for n in range(count)
    ]
    asked = [_ADDRESS.options(scheduling_strategy=p).remote() for p in places]
    addresses = ray.get(asked, timeout=_PLACING_SECONDS)
    for index, place in enumerate(places):
      self._submit(place, tuple(addresses), index)

  def _submit(self, place, workers=(), index=0):
    work, amounts = self.pending.work, dict(self._amounts)
    cpus, gpus = amounts.pop('CPU', 0), amounts.pop('GPU', 0)
    # Several workers can only meet in a process that has computed nothing.
    alone = f' {time.monotonic_ns()}' if workers else ''
    group = hashlib.sha256(f'{work.group}{alone}'.encode()).hexdigest()[:16]
    order = attempt_lib.Order(
      work.job, group, self._settings.expected.folder, workers, index
    )
    # A process has one environment: another group is another process.
    variables = {
      'TRANSFUSION_TF_GROUP': group,
      'TF_NUM_INTRAOP_THREADS': str(int(cpus)),
    }
    if not gpus:
      variables['CUDA_VISIBLE_DEVICES'] = '-1'
    elif gpus < 1:
      variables['TF_FORCE_GPU_ALLOW_GROWTH'] = 'true'
    task = _ALONE if gpus or workers else _ATTEMPT
    generator = task.options(
      num_cpus=cpus,
      num_gpus=gpus,
      resources=amounts or None,
      num_returns='streaming',
      name=work.key,
      scheduling_strategy=place,
      runtime_env={'env_vars': dict(self._settings.environment) | variables},
    ).remote(order)
    self.generators.append(generator)
    self._at[generator] = self._nodes[index], place

  def hear(self, ready: Sequence[Any]) -> list[str]:
    """Take what processes say; return the machines on which they begin."""
    began = []
    for generator in [g for g in self.generators if g in ready]:
      node = self._at[generator][0]
      try:
        event = ray.get(next(generator))
      except StopIteration:
        self.generators.remove(generator)
        continue
      except Exception as error:
        self.generators.remove(generator)
        self._ends.append((*_why(error, node), node.name))
        self.cancel()  # Workers wait in vain for one that is gone.
        continue
      if event.kind == attempt_lib.BEGAN:
        self._pids[generator] = event.pid
        began.append(event.text)
      else:
        self._ends.append((event.kind, event.text, node.name))
    return began

  def signal(self, number: int) -> None:
    """Send a signal to the processes that have begun."""
    for generator, pid in self._pids.items():
      _, place = self._at[generator]
      _SIGNAL.options(scheduling_strategy=place).remote(pid, int(number))

  def cancel(self) -> None:
    """End the processes at once."""
    for generator in self.generators:
      with contextlib.suppress(exceptions.RayError, ValueError):
        ray.cancel(generator, force=True)

  def give_back(self) -> None:
    """Free the machines."""
    for node in self._nodes:
      node.give_back(self._amounts)
    if self._group is not None:
      ray.util.remove_placement_group(self._group)

  def conclude(self) -> str | None:
    """Return why the job failed, or ''; None if it is to be tried again."""
    ends = self._ends
    if len(ends) < len(self._nodes):  # One has ended without a word.
      ends = [*ends, (pending_lib.LOST, '', self._nodes[0].name)]
    return self.pending.conclude(*min(ends, key=_telling))


def _telling(end):
  kind, text, _ = end
  return _TELLING.index(kind), not text


def _why(error, node):
  """Return how a process of an attempt has ended, and why."""
  text = ' '.join(str(error).split())
  if isinstance(error, _GONE):
    node.not_before = time.monotonic() + _NODE_SECONDS
    return pending_lib.LOST, text
  if isinstance(error, exceptions.TaskCancelledError):
    return pending_lib.LOST, text
  if isinstance(error, exceptions.OutOfMemoryError):
    return (
      pending_lib.CRASHED,
      f'killed, since the memory of {node.host} was full',
    )
  if isinstance(error, exceptions.WorkerCrashedError):
    return pending_lib.CRASHED, f'it was killed on {node.host}, or crashed'
  return pending_lib.CRASHED, errors.describe(error)


def _own_address():
  return cluster_node.address(ray.util.get_node_ip_address())


_FREE: dict[str, Any] = {'num_cpus': 0, 'max_retries': 0}
_ATTEMPT = ray.remote(max_retries=0)(attempt_lib.run)
# What has used a GPU keeps its memory until the process ends.
_ALONE = ray.remote(max_retries=0, max_calls=1)(attempt_lib.run)
_CHECK = ray.remote(**_FREE)(cluster_node.problems)
_SIGNAL = ray.remote(**_FREE)(cluster_node.send_signal)
_ADDRESS = ray.remote(**_FREE)(_own_address)


def check(node: str, settings: cluster_messages.Settings) -> Any:
  """Ask a machine what it lacks; `result` has the answer."""
  place = strategies.NodeAffinitySchedulingStrategy(node, False)
  return _CHECK.options(scheduling_strategy=place).remote(settings.expected)


def result(check: Any) -> list[str] | None:
  """Return what a machine lacks, as `cluster_node.problems`.

  None is no answer, since the machine or the process that was asked has died.
  """
  try:
    return ray.get(check)
  except (*_GONE, exceptions.WorkerCrashedError):
    return None
  except exceptions.RayError as error:
    return [errors.describe(error)]


def request(needs: Sequence[run_needs.Needs]) -> None:
  """Ask an autoscaler for room for all jobs at a time; nobody may hear it."""
  with contextlib.suppress(Exception):
    bundles = [each.amounts for each in needs for _ in range(each.nodes or 1)]
    sdk.request_resources(bundles=bundles)
