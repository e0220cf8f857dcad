"""The devices a run uses: the only file that knows the kinds of them."""

from collections.abc import Iterator
import contextlib
import dataclasses
import os

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors

# Without a fixed number of threads, sums come in another order on a machine
# with another number of cores.
_DETERMINISTIC_THREADS = 2
# A worker that waits longer than this for another gives up.
_COLLECTIVE_TIMEOUT_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Worker:
  """This process among those of the run."""

  index: int = 0
  count: int = 1

  @property
  def is_chief(self) -> bool:
    """Whether it is the one that writes the run folder."""
    return self.index == 0


def configure(experiment: config.Experiment) -> None:
  """Threads, determinism and virtual devices: before TensorFlow's first op.

  Raises:
    InputError: Too late in this process.
  """
  try:
    if experiment.train.deterministic:
      tf.config.threading.set_intra_op_parallelism_threads(
        _DETERMINISTIC_THREADS
      )
      tf.config.threading.set_inter_op_parallelism_threads(
        _DETERMINISTIC_THREADS
      )
      tf.config.experimental.enable_op_determinism()
    if experiment.runtime.num_virtual_cpus:
      tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices('CPU')[0],
        [tf.config.LogicalDeviceConfiguration()]
        * experiment.runtime.num_virtual_cpus,
      )
  except RuntimeError as error:
    raise errors.InputError(
      f'deterministic and num_virtual_cpus must be set in a fresh process: '
      f'{error}'
    ) from None


def make(runtime: config.Runtime) -> tf.distribute.Strategy:
  """The strategy that `runtime.strategy` names.

  Raises:
    InputError: No such strategy, or its devices are not there.
  """
  if runtime.strategy not in _STRATEGIES:
    raise errors.unknown('strategy', runtime.strategy, _STRATEGIES)
  return _STRATEGIES[runtime.strategy](runtime)


def worker(strategy: tf.distribute.Strategy) -> Worker:
  """Which of the run's processes this one is."""
  resolver = strategy.cluster_resolver
  if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
    return Worker()
  cluster = resolver.cluster_spec().as_dict()
  chiefs = len(cluster.get('chief', []))
  count = chiefs + len(cluster.get('worker', []))
  index = resolver.task_id + (chiefs if resolver.task_type == 'worker' else 0)
  return Worker(index, max(count, 1))


def wants_xla(strategy: tf.distribute.Strategy, choice: str) -> bool:
  """Whether to compile the step: XLA is slower than oneDNN on CPUs."""
  if choice not in ('auto', 'on', 'off'):
    raise errors.unknown('xla', choice, ('auto', 'on', 'off'))
  # TPUs compile by themselves.
  on_gpu = bool(tf.config.list_logical_devices('GPU'))
  return on_gpu if choice == 'auto' else choice == 'on'


@contextlib.contextmanager
def scope(
  strategy: tf.distribute.Strategy, precision: str = 'float32'
) -> Iterator[None]:
  """`strategy.scope()` in which all replicas share batch norm's statistics.

  Each replica normalises with its own batch, as one device would, but the
  moving statistics are averaged. Keras 3 creates them without aggregation:
  they drift apart and a checkpoint holds only the first replica's.

  Args:
    strategy: The strategy.
    precision: Keras' dtype policy of the layers built inside.
  """
  # Keras is slow to import, and `make` is called before it is needed.
  import keras

  def create(next_creator, **kwargs):
    name = kwargs.get('name') or ''
    if name.endswith(('moving_mean', 'moving_variance')):
      kwargs['aggregation'] = tf.VariableAggregation.MEAN
    return next_creator(**kwargs)

  before = keras.config.dtype_policy()
  keras.config.set_dtype_policy(precision)
  try:
    with strategy.scope(), tf.variable_creator_scope(create):
      yield
  finally:
    keras.config.set_dtype_policy(before)


def _auto(runtime):
  if 'TF_CONFIG' in os.environ:
    return _multi_worker(runtime)
  if runtime.tpu:
    return _tpu(runtime)
  return _mirrored(runtime) if len(_devices()) > 1 else _one_device(runtime)


def _one_device(runtime):
  del runtime
  return tf.distribute.OneDeviceStrategy(_devices()[0].name)


def _mirrored(runtime):
  del runtime
  return tf.distribute.MirroredStrategy([device.name for device in _devices()])


def _multi_worker(runtime):
  del runtime
  resolvers = tf.distribute.cluster_resolver
  if 'TF_CONFIG' in os.environ:
    resolver = resolvers.TFConfigClusterResolver()
  elif 'SLURM_STEP_NUM_TASKS' in os.environ:
    resolver = resolvers.SlurmClusterResolver()
  else:
    raise errors.InputError(
      'strategy=multi_worker needs TF_CONFIG, or Slurm: start one process a '
      'host, each with its own TF_CONFIG'
    )
  return tf.distribute.MultiWorkerMirroredStrategy(
    resolver,
    tf.distribute.experimental.CommunicationOptions(
      timeout_seconds=_COLLECTIVE_TIMEOUT_SECONDS
    ),
  )


def _tpu(runtime):
  try:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(runtime.tpu)
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)
  except (ValueError, IndexError, tf.errors.OpError) as error:
    raise errors.InputError(
      f'strategy=tpu, tpu={runtime.tpu or "(none)"}: no such TPU: {error}'
    ) from None


def _devices():
  gpus = tf.config.list_logical_devices('GPU')
  return gpus or tf.config.list_logical_devices('CPU')


_STRATEGIES = {
  'auto': _auto,
  'one_device': _one_device,
  'mirrored': _mirrored,
  'multi_worker': _multi_worker,
  'tpu': _tpu,
}
