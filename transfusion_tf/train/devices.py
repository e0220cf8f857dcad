"""What this machine can train on, as train.py --check_devices prints it."""

from collections.abc import Iterator
import os
import platform

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import tpu_settings
from transfusion_tf.train import compute
from transfusion_tf.train import strategy as strategy_lib

_VARIABLES = (
  'TF_CONFIG',
  'TPU_NAME',
  'TPU_LOAD_LIBRARY',
  'TPU_SKIP_MDS_QUERY',
  'PJRT_DEVICE',
  'TF_PLUGGABLE_DEVICE_LIBRARY_PATH',
)


def kinds(strategy: tf.distribute.Strategy) -> dict[str, int]:
  """Return the kinds of devices that a strategy uses -> their number.

  All workers of a run are taken to have what this one has.
  """
  types = {
    tf.DeviceSpec.from_string(device).device_type
    for device in strategy.extended.worker_devices
  }
  kind = ' and '.join(sorted(types))
  names = {'GPU': _gpu_name, 'CPU': _cpu_name}
  name = names[kind]() if kind in names else kind
  return {name: strategy.num_replicas_in_sync}


def _gpu_name():
  gpu = tf.config.list_physical_devices('GPU')[0]
  details = tf.config.experimental.get_device_details(gpu)
  return details.get('device_name', 'GPU')


def _cpu_name():
  """Return what Linux calls the processor."""
  try:
    with open('/proc/cpuinfo', encoding='utf-8', errors='replace') as file:
      lines = [line.partition(':') for line in file]
  except OSError:
    return platform.processor() or 'CPU'
  names = [value.strip() for name, _, value in lines if 'model name' in name]
  return names[0] if names else platform.machine()


def check(runtime: config.Runtime) -> Iterator[str]:
  """Yield lines on the machine, then make the strategy of a run.

  Raises:
    InputError: The strategy cannot be made: its devices do not exist.
  """
  installed = tpu_settings.wheels()
  yield f'Python {platform.python_version()}, ' + ', '.join(
    f'{name} {version}' for name, version in installed.items()
  )
  on_google_cloud = tpu_settings.is_on_google_cloud()
  yield f'On Google Cloud: {"yes" if on_google_cloud else "no"}'
  if 'tensorflow-tpu' not in installed:
    yield 'TPUs: not with this wheel; tensorflow-tpu has the kernels'
  elif not tpu_settings.has_chips():
    yield 'TPUs: none attached to this machine'
  for name in _VARIABLES:
    if name in os.environ:
      yield f'{name}={os.environ[name]}'
  for device in tf.config.list_physical_devices():
    yield f'Device: {device.name.removeprefix("/physical_device:")}'
  strategy = strategy_lib.make(runtime)
  yield (
    f'strategy={runtime.strategy}: {type(strategy).__name__}, '
    f'{strategy.num_replicas_in_sync} replicas on '
    f'{strategy_lib.num_hosts(strategy)} hosts; precision=auto is '
    f'{compute.precision(strategy, "auto")}'
  )
