"""Learning rates over time (Appendix A, CheXpert)."""

from collections.abc import Sequence

import keras
import tensorflow as tf


class WarmUpSteps(keras.optimizers.schedules.LearningRateSchedule):
  """Linear warm-up from 0, then a decay by `factor` at each boundary."""

  def __init__(
    self,
    learning_rate: float,
    warmup_steps: int = 0,
    boundaries: Sequence[int] = (),
    factor: float = 0.1,
  ):
    self._learning_rate = learning_rate
    self._warmup_steps = warmup_steps
    self._boundaries = tuple(boundaries)
    self._factor = factor

  def __call__(self, step):
    """Return the learning rate of a step."""
    step = tf.cast(step, tf.float32)
    warmup = tf.minimum(1.0, step / max(self._warmup_steps, 1))
    if not self._warmup_steps:
      warmup = 1.0
    num_decays = tf.add_n(
      [tf.cast(step >= b, tf.float32) for b in self._boundaries] or [0.0]
    )
    return self._learning_rate * warmup * self._factor**num_decays

  def get_config(self):
    """Return the arguments of the constructor."""
    return {
      'learning_rate': self._learning_rate,
      'warmup_steps': self._warmup_steps,
      'boundaries': self._boundaries,
      'factor': self._factor,
    }
