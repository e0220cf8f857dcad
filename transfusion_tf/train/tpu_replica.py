"""One of the replicas of TPUs, traced without one: to compile its step.

TPUStrategy needs TPUs to exist. The operations of a replica are the same on any
device; what the strategy adds to them is how replicas communicate.
"""

import itertools

import tensorflow as tf

_GROUP = 1


class TpuReplica(tf.distribute.OneDeviceStrategy):
  """A strategy whose `run` traces one of `num_replicas`; it does not execute.

  All-reduces become operations that XLA has a kernel for; that of TPUStrategy
  is missing in TensorFlow's wheels for CPUs.
  """

  def __init__(self, num_replicas: int = 1):
    super().__init__('/cpu:0')
    self._num_replicas = num_replicas
    # As TPUStrategy: optimizers reduce gradients inside the replica.
    self.extended._use_merge_call = lambda: False

  @property
  def num_replicas_in_sync(self):
    """The number of replicas."""
    return self._num_replicas

  def run(self, fn, args=(), kwargs=None, options=None):
    """Trace `fn` as a replica."""
    del options
    with self.scope(), _Replica(self, replica_id_in_sync_group=0):
      return fn(*args, **(kwargs or {}))


class _Replica(tf.distribute.ReplicaContext):
  """The context of a replica: all-reduces over all replicas."""

  _numbers = itertools.count(1)

  def all_reduce(self, reduce_op, value, options=None):
    del options
    op = tf.distribute.ReduceOp(reduce_op)
    return tf.nest.map_structure(lambda x: self._all_reduce(op, x), value)

  def _all_reduce(self, op, value):
    if self.num_replicas_in_sync == 1:
      return value

    # As of TensorFlow's own contexts: each replica's loss depends on the values
    # of all, whose gradients are reduced as they were.
    @tf.custom_gradient
    def reduced(value):
      result = self._communicate(op, value)
      return result, lambda upstream: self._all_reduce(op, upstream)

    return reduced(value)

  def _communicate(self, op, value):
    count = self.num_replicas_in_sync
    total = tf.raw_ops.CollectiveReduceV2(
      input=value,
      group_size=count,
      group_key=_GROUP,
      instance_key=next(self._numbers),
      ordering_token=[],
      merge_op='Add',
      final_op='Id',
    )
    return total / count if op == tf.distribute.ReduceOp.MEAN else total
