"""The paper's optimizers, from config."""

import keras
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.train import schedules


class Adam(keras.optimizers.Adam):
  """Keras' Adam, its update in one operation a weight instead of many.

  The same formula to rounding; ten updates of 24 million weights were measured
  at a third of the time on a CPU. There is less to trace, too.
  """

  def update_step(self, gradient, variable, learning_rate):
    index = self._get_variable_index(variable)
    momentum, velocity = self._momentums[index], self._velocities[index]
    step = tf.cast(self.iterations.value + 1, variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
      var=variable.handle,
      m=momentum.value.handle,
      v=velocity.value.handle,
      beta1_power=self.beta_1**step,
      beta2_power=self.beta_2**step,
      lr=tf.cast(learning_rate, variable.dtype),
      beta1=self.beta_1,
      beta2=self.beta_2,
      epsilon=self.epsilon,
      grad=tf.cast(gradient, variable.dtype),
    )


def _adam(settings, rate):
  del settings
  return Adam(rate, name='adam')


def _sgd(settings, rate):
  return keras.optimizers.SGD(
    rate, settings.momentum, settings.nesterov, name='sgd'
  )


# Named, for their slots' names in a checkpoint would else count the optimizers
# that the process has made.
_OPTIMIZERS = {'adam': _adam, 'sgd': _sgd}


def schedule(
  settings: config.Optimizer, steps_per_epoch: float
) -> schedules.WarmUpSteps:
  """Return the learning rate over time, its epochs turned into steps."""
  return schedules.WarmUpSteps(
    settings.learning_rate,
    round(settings.warmup_epochs * steps_per_epoch),
    [round(epoch * steps_per_epoch) for epoch in settings.decay_epochs],
    settings.decay_factor,
  )


def make(
  settings: config.Optimizer,
  rate: schedules.WarmUpSteps,
  precision: str = 'float32',
) -> keras.optimizers.Optimizer:
  """Return the optimizer that follows `rate`; it scales the loss in float16.

  Raises:
    InputError: No optimizer of that name.
  """
  if settings.name not in _OPTIMIZERS:
    raise errors.unknown('optimizer', settings.name, _OPTIMIZERS)
  optimizer = _OPTIMIZERS[settings.name](settings, rate)
  if precision == 'mixed_float16':
    return keras.optimizers.LossScaleOptimizer(optimizer, name='scaled')
  return optimizer
