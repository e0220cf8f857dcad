"""The devices a run uses, through tf.distribute."""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import os
import socket

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf import tpu_settings
from transfusion_tf.train import rendezvous
from transfusion_tf.train import tpu_replica

_CONNECT_SECONDS = 10.0
_NO_KERNELS = (
  '; and the installed TensorFlow has no kernels for TPUs: tensorflow-tpu has'
)


def make(runtime: config.Runtime) -> tf.distribute.Strategy:
  """Return the strategy that `runtime.strategy` names.

  Raises:
    InputError: There is no such strategy, or its devices do not exist.
  """
  if runtime.strategy not in _STRATEGIES:
    raise errors.unknown('strategy', runtime.strategy, _STRATEGIES)
  return _STRATEGIES[runtime.strategy](runtime)


def is_tpu(strategy: tf.distribute.Strategy) -> bool:
  """Return whether the replicas of a strategy are compiled for TPUs."""
  kinds = (tf.distribute.TPUStrategy, tpu_replica.TpuReplica)
  return isinstance(strategy, kinds)


def is_in_tpu_replica() -> bool:
  """Return whether what is being traced is compiled for a TPU.

  A run on TPUs computes on its host, too, outside of replicas.
  """
  in_replica = not tf.distribute.in_cross_replica_context()
  return in_replica and is_tpu(tf.distribute.get_strategy())


def num_hosts(strategy: tf.distribute.Strategy) -> int:
  """Return the number of hosts, each with its own input pipeline."""
  counts = []

  def count_pipelines(context):
    counts.append(context.num_input_pipelines)
    return tf.data.Dataset.range(1)

  strategy.distribute_datasets_from_function(count_pipelines)
  return counts[0]


def distribute(
  strategy: tf.distribute.Strategy,
  make_dataset: Callable[[tf.distribute.InputContext], 'tf.data.Dataset'],
) -> Iterable:
  """Distribute the data sets of the hosts over their devices."""
  devices = strategy.extended.worker_devices
  if len(devices) == 1 and _is_cpu(devices[0]) and num_hosts(strategy) == 1:
    # Nothing needs to be sent. Deleting a distributed iterator can block for as
    # long as it existed, up to a minute (TensorFlow 2.21; see `pipeline`).
    return make_dataset(tf.distribute.InputContext())
  return strategy.distribute_datasets_from_function(make_dataset)


def _is_cpu(device):
  return tf.DeviceSpec.from_string(device).device_type == 'CPU'


@contextlib.contextmanager
def scope(
  strategy: tf.distribute.Strategy, policy: str = 'float32'
) -> Iterator[None]:
  """Enter `strategy.scope()` with a Keras dtype policy."""
  # Keras is slow to import, and `make` is called before it is needed.
  import keras

  before = keras.config.dtype_policy()
  keras.config.set_dtype_policy(policy)
  try:
    with strategy.scope():
      yield
  finally:
    keras.config.set_dtype_policy(before)


def _auto(runtime):
  if 'TF_CONFIG' in os.environ:
    return _multi_worker(runtime)
  if runtime.tpu:
    return _tpu(runtime)
  several = len(_devices(runtime)) > 1
  return _mirrored(runtime) if several else _one_device(runtime)


def _one_device(runtime):
  return tf.distribute.OneDeviceStrategy(_devices(runtime)[0].name)


def _mirrored(runtime):
  return tf.distribute.MirroredStrategy([d.name for d in _devices(runtime)])


def _multi_worker(runtime):
  if 'TF_CONFIG' in os.environ:
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
  elif 'SLURM_STEP_NUM_TASKS' in os.environ:
    resolver = _slurm()
  else:
    raise errors.InputError(
      'strategy=multi_worker needs TF_CONFIG or a Slurm step: start one '
      'process a host, each with its own TF_CONFIG, or all with srun'
    )
  timeout = float(runtime.worker_timeout)
  own, others = _addresses(resolver)
  with contextlib.ExitStack() as stack:
    if others:
      rendezvous.wait(own, others, timeout)
      stack.enter_context(rendezvous.limit(timeout))
    return tf.distribute.MultiWorkerMirroredStrategy(
      resolver,
      # A dead worker is detected in seconds; this is for one that hangs.
      tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout),
    )


def _addresses(resolver):
  """Return this worker's address, and name -> address of the others."""
  try:
    jobs = resolver.cluster_spec().as_dict()
    own = (resolver.task_type, resolver.task_id)
  except (AttributeError, TypeError, ValueError) as error:
    raise errors.InputError(f'TF_CONFIG: {error}; correct it') from None
  addresses = {
    (job, task): address
    for job, tasks in jobs.items()
    if job in ('chief', 'worker')
    for task, address in enumerate(tasks)
  }
  if addresses and own not in addresses:
    raise errors.InputError(
      f'TF_CONFIG: its task, {own[0]} {own[1]}, is none of its workers; '
      'correct it'
    )
  return addresses.pop(own, ''), {
    f'{job} {task}': address for (job, task), address in addresses.items()
  }


def _slurm():
  """Resolve the tasks of a Slurm step; each keeps the GPUs that Slurm gave it.

  TensorFlow's resolver assigns GPUs itself, counts them with nvidia-smi and
  fails if there are none; here it only finds the hosts.
  """
  resolvers = tf.distribute.cluster_resolver
  tasks = int(os.environ['SLURM_STEP_NUM_TASKS'])
  resolver = resolvers.SlurmClusterResolver(
    gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
  )
  spec = resolver.cluster_spec()
  return resolvers.SimpleClusterResolver(
    spec,
    task_type=resolver.task_type,
    task_id=resolver.task_id,
    num_accelerators={'GPU': len(tf.config.list_physical_devices('GPU'))},
    rpc_layer='grpc',
  )


def _tpu(runtime):
  try:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(runtime.tpu)
    _check_reachable(resolver.master())
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)
  # The clients of Google Cloud raise errors of many kinds.
  except Exception as error:
    lacking = '' if 'tensorflow-tpu' in tpu_settings.wheels() else _NO_KERNELS
    raise errors.InputError(
      f'strategy=tpu, tpu={runtime.tpu or "(none)"}: no such TPU: '
      f'{storage.reason(error)}{lacking}'
    ) from None


def _check_reachable(master):
  """Connect to a TPU's address: TensorFlow would try for minutes."""
  address = master.removeprefix('grpc://')
  if not address:  # Attached to this machine.
    return
  host, _, port = address.rpartition(':')
  with socket.create_connection((host, int(port)), _CONNECT_SECONDS):
    pass


def _devices(runtime):
  """Return the GPUs if there are any, or the CPUs if they are requested."""
  gpus = tf.config.list_logical_devices('GPU')
  if runtime.num_virtual_cpus or not gpus:
    return tf.config.list_logical_devices('CPU')
  return gpus


_STRATEGIES = {
  'auto': _auto,
  'one_device': _one_device,
  'mirrored': _mirrored,
  'multi_worker': _multi_worker,
  'tpu': _tpu,
}
