"""--cluster: where the runs of a study are made, and what each takes there."""

from collections.abc import Iterator, Sequence
import contextlib
import os

from absl import flags

from transfusion_tf import errors
from transfusion_tf.cli import time_limit
from transfusion_tf.study import executors
from transfusion_tf.study import run_needs

FLAGS = ('cluster', 'run_cpus', 'run_gpus', 'run_nodes', 'run_resources')

_CLUSTER = flags.DEFINE_string(
  'cluster',
  None,
  'Make the runs on a Ray cluster: HOST:PORT of its head, or auto for that of '
  'this machine (docs/clusters.md); as many at a time as it has room for.',
)
_RUN_CPUS = flags.DEFINE_integer(
  'run_cpus',
  None,
  'Cores of a run on the cluster (default: four a GPU, at least 1).',
  1,
  1024,
)
_RUN_GPUS = flags.DEFINE_float(
  'run_gpus',
  None,
  'GPUs of a run on the cluster, or a part of one, e.g. 0.25 (default: by its '
  'pixels and batch, where there are GPUs).',
  0,
  1024,
)
_RUN_NODES = flags.DEFINE_integer(
  'run_nodes',
  2,
  'Whole machines of a run on the cluster, with --strategy=multi_worker.',
  2,
  4096,
)
_RUN_RESOURCES = flags.DEFINE_list(
  'run_resources',
  [],
  'What else a run takes that the cluster counts, e.g. TPU-v5e-8-head=1.',
)


def is_given() -> bool:
  """Return whether the runs are to be made on a cluster."""
  return bool(_CLUSTER.value)


def leave_gpus() -> None:
  """Keep this process from GPUs, which are for the runs of a cluster.

  It is called before TensorFlow is imported, which would take all their memory.
  """
  if is_given():
    os.environ['CUDA_VISIBLE_DEVICES'] = '-1'


def check(forecasts: bool) -> None:
  """Refuse flags that mean nothing together.

  Args:
    forecasts: Whether --time_limit plans by what runs cost on this machine.

  Raises:
    InputError: They do not go together.
  """
  given = [f'--{name}' for name in FLAGS[1:] if flags.FLAGS[name].present]
  if given and not is_given():
    raise errors.InputError(
      f'{given[0]} is for runs on a cluster: give --cluster'
    )
  if is_given() and forecasts and time_limit.seconds() < float('inf'):
    raise errors.InputError(
      '--time_limit plans by what runs cost on this machine, and --cluster has '
      'others; give one of them (--time_limit= takes it back)'
    )
  if is_given():
    _wanted()


@contextlib.contextmanager
def executor(
  num_processes: int,
  root: str,
  data_dirs: Sequence[str],
  functions: Sequence[str] = (),
) -> Iterator[executors.Executor]:
  """Yield what does the runs: processes of this machine, or the cluster.

  Args:
    num_processes: Runs at a time, on this machine.
    root: Folder of the study.
    data_dirs: Folders of its data.
    functions: Names that may be a user's, as `package.module:function`.

  Raises:
    InputError: There is no cluster, or one of its machines cannot do the runs.
  """
  address = _CLUSTER.value
  if not address:
    yield executors.Local(num_processes)
    return
  from transfusion_tf.study import cluster

  study = cluster.Study(root, data_dirs, functions)
  with cluster.Cluster(address, study, _wanted()) as connected:
    count = connected.at_a_time
    print(f'Cluster: {address}, {count} runs at a time', flush=True)
    yield connected


def _wanted():
  gpus = _RUN_GPUS.value
  if gpus and gpus > 1 and gpus != int(gpus):
    raise errors.InputError(
      f'--run_gpus={gpus:g}: a part of one GPU, or a whole number of them'
    )
  return run_needs.Wanted(
    _RUN_CPUS.value, gpus, _RUN_NODES.value, dict(_resources())
  )


def _resources():
  for text in _RUN_RESOURCES.value:
    name, _, amount = text.partition('=')
    try:
      yield name, float(amount)
    except ValueError:
      raise errors.InputError(
        f'--run_resources={text}: write NAME=AMOUNT, e.g. TPU-v5e-8-head=1'
      ) from None
