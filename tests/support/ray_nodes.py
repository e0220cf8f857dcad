"""A cluster of Ray on this machine: real processes, and nodes of one core.

Its head has no cores, as the head of a large cluster has none to spare.
"""

import contextlib
import os
import time

from ray import cluster_utils

_HEAD = {'num_cpus': 0, 'include_dashboard': False}
_MEMORY = 100 * 2**20  # Of the store of objects, which nothing here needs.


class Nodes:
  """A head and nodes that tests begin and kill."""

  def __init__(self, count=2, **resources):
    """Begin.

    Args:
      count: Nodes besides the head.
      **resources: What each has; one core if nothing is said.
    """
    self._cluster = cluster_utils.Cluster(
      initialize_head=True,
      head_node_args=_HEAD | {'object_store_memory': _MEMORY},
    )
    self.address = self._cluster.address
    self.nodes = [self.add(**resources) for _ in range(count)]
    self._cluster.wait_for_nodes()

  def add(self, **resources):
    """Add a node."""
    return self._cluster.add_node(
      **{'num_cpus': 1, 'object_store_memory': _MEMORY} | resources
    )

  def kill(self, node):
    """Kill a node with all its processes, as a power cut does."""
    self._cluster.remove_node(node, allow_graceful=False)
    if node in self.nodes:
      self.nodes.remove(node)

  def kill_head(self):
    """Kill the head; nodes are left without."""
    self._cluster.head_node.kill_all_processes(
      check_alive=False, allow_graceful=False, wait=True
    )

  def close(self):
    with contextlib.suppress(Exception):
      self._cluster.shutdown()


@contextlib.contextmanager
def begun(count=2, **resources):
  """Yield `Nodes`, and end them."""
  nodes = Nodes(count, **resources)
  try:
    yield nodes
  finally:
    nodes.close()


def wait_for(condition, seconds=60.0):
  """Return once something holds; fail if it takes too long."""
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, 'it takes too long'
    time.sleep(0.1)


def environment():
  """Return an environment in which Ray finds no cluster by itself."""
  return {k: v for k, v in os.environ.items() if k != 'RAY_ADDRESS'}
