"""How a run computes: threads, precision and compilation."""

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import tpu_settings
from transfusion_tf.train import strategy as strategy_lib

# Without a fixed number of threads, the order of sums depends on the number of
# cores.
_DETERMINISTIC_THREADS = 2
# GPUs from this compute capability on (Ampere) multiply bfloat16.
_BFLOAT16_CAPABILITY = (8, 0)


def configure(experiment: config.Experiment) -> None:
  """Set threads, determinism and virtual devices, before TensorFlow's first op.

  Raises:
    InputError: TensorFlow is already initialized in this process.
  """
  threading = tf.config.threading
  try:
    if experiment.train.deterministic:
      threading.set_intra_op_parallelism_threads(_DETERMINISTIC_THREADS)
      threading.set_inter_op_parallelism_threads(_DETERMINISTIC_THREADS)
      tf.config.experimental.enable_op_determinism()
    if experiment.runtime.num_virtual_cpus:
      _split_cpu(experiment.runtime.num_virtual_cpus)
  except RuntimeError as error:
    raise errors.InputError(
      f'deterministic and num_virtual_cpus must be set in a fresh process: '
      f'{error}'
    ) from None


def wants_xla(
  strategy: tf.distribute.Strategy, experiment: config.Experiment
) -> bool:
  """Return whether to compile the forward and backward pass.

  `auto` compiles on GPUs only: on CPUs XLA is slower than oneDNN, and TPUs
  always compile. It is off for what XLA does not support: deterministic
  gradients of max-pooling, and communication between devices in the forward
  pass.

  Raises:
    InputError: `on` is not possible for this experiment.
  """
  choice, train = experiment.runtime.xla, experiment.train
  if choice not in ('auto', 'on', 'off'):
    raise errors.unknown('xla', choice, ('auto', 'on', 'off'))
  communicates = train.sync_batch_norm and strategy.num_replicas_in_sync > 1
  if choice == 'on' and (communicates or train.deterministic):
    raise errors.InputError(
      f'xla=on does not go with '
      f'{"sync_batch_norm" if communicates else "deterministic"}; choose one'
    )
  on_tpu = strategy_lib.is_tpu(strategy)
  if choice == 'on' and not on_tpu and not tpu_settings.has_host_xla():
    raise errors.InputError(
      'xla=on: the wheel of TensorFlow for TPUs compiles for TPUs only'
    )
  if choice == 'auto':
    gpus = tf.config.list_logical_devices('GPU')
    return bool(gpus) and not communicates and not train.deterministic
  return choice == 'on' and not on_tpu


def precision(strategy: tf.distribute.Strategy, choice: str) -> str:
  """Return the Keras dtype policy for `choice`.

  `auto` is mixed_bfloat16 where the device multiplies it, else float32. Weights
  and the statistics of batch norm are float32 in every policy.

  Raises:
    InputError: No such precision.
  """
  known = ('float32', 'mixed_bfloat16', 'mixed_float16', 'auto')
  if choice not in known:
    raise errors.unknown('precision', choice, known)
  if choice != 'auto':
    return choice
  on_tpu = strategy_lib.is_tpu(strategy)
  capabilities = [
    tf.config.experimental.get_device_details(gpu).get('compute_capability')
    for gpu in tf.config.list_physical_devices('GPU')
  ]
  on_gpu = bool(capabilities) and all(
    capability and capability >= _BFLOAT16_CAPABILITY
    for capability in capabilities
  )
  return 'mixed_bfloat16' if on_tpu or on_gpu else 'float32'


def split_cpu(count: int) -> None:
  """Make several devices of the CPU, before TensorFlow's first op.

  Raises:
    InputError: TensorFlow is already initialized in this process.
  """
  try:
    _split_cpu(count)
  except RuntimeError as error:
    raise errors.InputError(
      f'num_virtual_cpus must be set in a fresh process: {error}'
    ) from None


def _split_cpu(count):
  cpu = tf.config.list_physical_devices('CPU')[0]
  devices = [tf.config.LogicalDeviceConfiguration()] * count
  if tf.config.get_logical_device_configuration(cpu) != devices:
    tf.config.set_logical_device_configuration(cpu, devices)
