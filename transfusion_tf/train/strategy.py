"""The devices a run uses: the only file that knows the kinds of them."""

from collections.abc import Iterator
import contextlib

import tensorflow as tf

from transfusion_tf import errors


def _auto() -> tf.distribute.Strategy:
  return _mirrored() if len(_accelerators()) > 1 else _one_device()


def _one_device() -> tf.distribute.Strategy:
  device = '/gpu:0' if tf.config.list_logical_devices('GPU') else '/cpu:0'
  return tf.distribute.OneDeviceStrategy(device)


def _mirrored() -> tf.distribute.Strategy:
  return tf.distribute.MirroredStrategy(
    [device.name for device in _accelerators()]
  )


def _accelerators():
  gpus = tf.config.list_logical_devices('GPU')
  return gpus or tf.config.list_logical_devices('CPU')


_STRATEGIES = {
  'auto': _auto,
  'one_device': _one_device,
  'mirrored': _mirrored,
}


def make(name: str) -> tf.distribute.Strategy:
  """The strategy called `name`.

  Raises:
    InputError: No such strategy.
  """
  if name not in _STRATEGIES:
    raise errors.unknown('strategy', name, _STRATEGIES)
  return _STRATEGIES[name]()


@contextlib.contextmanager
def scope(strategy: tf.distribute.Strategy) -> Iterator[None]:
  """`strategy.scope()` in which all replicas share batch norm's statistics.

  Each replica normalises with its own batch, as one device would, but the
  moving statistics are averaged. Keras 3 creates them without aggregation:
  they drift apart and a checkpoint holds only the first replica's.
  """

  def create(next_creator, **kwargs):
    name = kwargs.get('name') or ''
    if name.endswith(('moving_mean', 'moving_variance')):
      kwargs['aggregation'] = tf.VariableAggregation.MEAN
    return next_creator(**kwargs)

  with strategy.scope(), tf.variable_creator_scope(create):
    yield
