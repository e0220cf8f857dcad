"""Learning rates over time (Section 2, CheXpert)."""

from collections.abc import Sequence

import keras
import tensorflow as tf


class WarmUpSteps(keras.optimizers.schedules.LearningRateSchedule):
  """Linear warm-up from 0, then a fall by `factor` at each boundary."""

  def __init__(
    self,
    peak: float,
    warmup_steps: int = 0,
    boundaries: Sequence[int] = (),
    factor: float = 0.1,
  ):
    self._peak = peak
    self._warmup_steps = warmup_steps
    self._boundaries = tuple(boundaries)
    self._factor = factor

  def __call__(self, step):
    step = tf.cast(step, tf.float32)
    warmth = tf.minimum(1.0, step / max(self._warmup_steps, 1))
    if not self._warmup_steps:
      warmth = 1.0
    falls = tf.add_n(
      [tf.cast(step >= b, tf.float32) for b in self._boundaries] or [0.0]
    )
    return self._peak * warmth * self._factor**falls

  def get_config(self):
    return {
      'peak': self._peak,
      'warmup_steps': self._warmup_steps,
      'boundaries': self._boundaries,
      'factor': self._factor,
    }
