"""SIGTERM or SIGHUP: save at the same step on all workers, then exit."""

from collections.abc import Callable
import signal
import sys
import threading

import tensorflow as tf

from transfusion_tf import stop_signals


class PreemptionHandler:
  """Records signals inside its context; `check` acts on them.

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
    self._signal = signal.SIGTERM
    self._cluster = None
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
      self._cluster = self._handler_of(strategy.cluster_resolver)

  def __enter__(self) -> 'PreemptionHandler':
    self._before = {
      number: signal.signal(number, self._receive)
      for number in stop_signals.SIGNALS
      if signal.getsignal(number) != signal.SIG_IGN
    }
    return self

  def __exit__(self, kind, *_) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
    if self._received.is_set() and kind is SystemExit:
      stop_signals.ignore()  # It is acted upon.
    elif self._received.is_set():
      signal.raise_signal(self._signal)  # It came after the last `check`.

  def check(self) -> None:
    """Save and exit with 75 if a worker has received a signal."""
    if self._cluster:
      self._cluster.save_checkpoint_if_preempted()
    elif self._received.is_set():
      self._save()
      self._exit()

  def _receive(self, number, frame):
    del frame
    self._signal = signal.Signals(number)
    self._received.set()

  def _handler_of(self, resolver):
    return tf.distribute.experimental.PreemptionCheckpointHandler(
      resolver,
      # It requires a checkpoint and a folder to restore it from, which
      # `Checkpoints` does here. In memory, nothing is left of it.
      tf.train.Checkpoint(),
      'ram://preemption/unused',
      tf.distribute.experimental.TerminationConfig(
        termination_watcher_fn=self._received.is_set,
        exit_fn=self._exit,
        grace_period=0,
        save_fn=self._save,
      ),
    )

  def _exit(self):
    print(
      f'stopped by {self._signal.name}: checkpoint saved; the same command '
      'continues',
      file=sys.stderr,
      flush=True,
    )
    sys.exit(stop_signals.EXIT_CODE)
