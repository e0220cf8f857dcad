"""SIGTERM: save at the same step on all workers, then leave.

TensorFlow's own handler spreads the signal over the workers. It wants to be
asked the same number of times on each of them: after every call of the
compiled steps and after every evaluated batch.
"""

from collections.abc import Callable
import sys
import tempfile

import tensorflow as tf

# EX_TEMPFAIL of sysexits.h: start the same command again.
EXIT_CODE = 75


class Watch:
  """Watches for SIGTERM while a run trains."""

  def __init__(
    self, strategy: tf.distribute.Strategy, save: Callable[[], None]
  ):
    """`save` writes a checkpoint of the run as it is."""
    self._handler = tf.distribute.experimental.PreemptionCheckpointHandler(
      strategy.cluster_resolver
      if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
      else None,
      # The handler insists on a checkpoint and a folder to restore it from;
      # restoring is `Checkpoints`' work.
      tf.train.Checkpoint(),
      tempfile.mkdtemp(prefix='transfusion_tf_'),
      tf.distribute.experimental.TerminationConfig(
        exit_fn=_leave, save_fn=save
      ),
    )

  def check(self) -> None:
    """Saves and exits with `EXIT_CODE` if a worker has had the signal."""
    self._handler.save_checkpoint_if_preempted()


def _leave():
  print(
    'preempted: checkpoint saved; the same command continues',
    file=sys.stderr,
    flush=True,
  )
  sys.exit(EXIT_CODE)
