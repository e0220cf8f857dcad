"""Learning rates over time (Appendix A, CheXpert)."""

from collections.abc import Sequence

import keras
import tensorflow as tf


class WarmUpSteps(keras.optimizers.schedules.LearningRateSchedule):
  """Linear warm-up from 0, then a decay by `factor` at each boundary.

  A compiled step reads the numbers from a variable, so that runs can share it.
  """

  def __init__(
    self,
    learning_rate: float,
    warmup_steps: int = 0,
    boundaries: Sequence[int] = (),
    factor: float = 0.1,
  ):
    self._numbers = tf.Variable(
      [learning_rate, warmup_steps, factor, *boundaries],
      dtype=tf.float32,
      trainable=False,
    )

  def __call__(self, step):
    """Return the learning rate of a step."""
    step = tf.cast(step, tf.float32)
    numbers = tf.convert_to_tensor(self._numbers)
    learning_rate, warmup_steps, factor = tf.unstack(numbers[:3])
    warmup = tf.where(
      warmup_steps > 0,
      tf.minimum(1.0, step / tf.maximum(warmup_steps, 1.0)),
      1.0,
    )
    num_decays = tf.reduce_sum(tf.cast(step >= numbers[3:], tf.float32))
    return learning_rate * warmup * factor**num_decays

  def assign(self, other: 'WarmUpSteps') -> None:
    """Take the numbers of a schedule with as many boundaries."""
    self._numbers.assign(other._numbers)

  def get_config(self):
    """Return the arguments of the constructor."""
    learning_rate, warmup_steps, factor, *boundaries = self._numbers.numpy()
    return {
      'learning_rate': float(learning_rate),
      'warmup_steps': int(warmup_steps),
      'boundaries': [int(boundary) for boundary in boundaries],
      'factor': float(factor),
    }
