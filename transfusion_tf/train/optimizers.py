"""The paper's optimizers, from config."""

import keras

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.train import schedules


def _adam(settings, rate):
  del settings
  return keras.optimizers.Adam(rate, name='adam')


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
  """The learning rate over time, its epochs turned into steps."""
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
  """The optimizer that follows `rate`; it scales the loss in float16.

  Raises:
    InputError: No optimizer of that name.
  """
  if settings.name not in _OPTIMIZERS:
    raise errors.unknown('optimizer', settings.name, _OPTIMIZERS)
  optimizer = _OPTIMIZERS[settings.name](settings, rate)
  if precision == 'mixed_float16':
    return keras.optimizers.LossScaleOptimizer(optimizer, name='scaled')
  return optimizer
