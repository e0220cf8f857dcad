"""SIGTERM: save at the same step on all workers, then exit."""

from collections.abc import Callable
import os
import signal
import sys
import tempfile
import threading

import tensorflow as tf

# EX_TEMPFAIL of sysexits.h: start the same command again.
EXIT_CODE = 75


class PreemptionHandler:
  """Records SIGTERM inside its context; `check` acts on it.

  For several workers, TensorFlow's handler agrees on a step. It requires that
  `check` is called equally often on each of them, each time after a collective
  operation.
  """

  def __init__(
    self, strategy: tf.distribute.Strategy, save: Callable[[], None]
  ):
    """Initialize; `save` writes a checkpoint, on all workers at once."""
    self._save = save
    self._received = threading.Event()
    self._cluster = None
    self._scratch = tempfile.TemporaryDirectory(prefix='transfusion_tf_')
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
      self._cluster = self._handler_of(strategy.cluster_resolver)

  def __enter__(self) -> 'PreemptionHandler':
    self._before = signal.signal(
      signal.SIGTERM, lambda *_: self._received.set()
    )
    return self

  def __exit__(self, *_) -> None:
    signal.signal(signal.SIGTERM, self._before)

  def check(self) -> None:
    """Save and exit with `EXIT_CODE` if a worker has received the signal."""
    if self._cluster:
      self._cluster.save_checkpoint_if_preempted()
    elif self._received.is_set():
      self._save()
      _exit()

  def _handler_of(self, resolver):
    return tf.distribute.experimental.PreemptionCheckpointHandler(
      resolver,
      # It requires a checkpoint and a folder to restore it from, which
      # `Checkpoints` does here.
      tf.train.Checkpoint(),
      os.path.join(self._scratch.name, 'unused'),
      tf.distribute.experimental.TerminationConfig(
        termination_watcher_fn=self._received.is_set,
        exit_fn=_exit,
        grace_period=0,
        save_fn=self._save,
      ),
    )


def _exit():
  print(
    'stopped by SIGTERM: checkpoint saved; the same command continues',
    file=sys.stderr,
    flush=True,
  )
  sys.exit(EXIT_CODE)
