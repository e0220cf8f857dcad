"""What a run takes of a cluster: cores, GPUs, or whole machines."""

from collections.abc import Mapping
import dataclasses

from transfusion_tf import config
from transfusion_tf.models import registry

_MULTI_WORKER = 'multi_worker'
# Of memory that training takes, a pixel of each picture of a batch: ResNet-50
# keeps 22 million numbers for 224 x 224 px, and half as much again is scratch.
_BYTES_A_PIXEL = 2_200
_GPU_BYTES = 16e9  # The smallest of GPUs that are rented.
# Halves of halves: they fill a GPU without a rest, in whatever order.
_FRACTIONS = (0.25, 0.5)
_CPUS_A_GPU = 4  # They prepare the pictures.
# A network that is not known beforehand, e.g. a user's: as ResNet-50.
_MULTIPLY_ADDS = 80_000


@dataclasses.dataclass(frozen=True)
class Needs:
  """What a job takes of a machine.

  Attributes:
    cpus: Cores.
    gpus: GPUs; below 1 it shares one with others.
    nodes: Machines that it has all of; 0 for a part of one.
    resources: What else a cluster counts, e.g. slices of TPUs, by name.
  """

  cpus: int = 1
  gpus: float = 0.0
  nodes: int = 0
  resources: Mapping[str, float] = dataclasses.field(default_factory=dict)

  @property
  def amounts(self) -> dict[str, float]:
    """What it takes of one machine, by the cluster's names."""
    amounts = {'CPU': float(self.cpus), 'GPU': self.gpus, **self.resources}
    return {name: amount for name, amount in amounts.items() if amount}


ONE_CORE = Needs()


@dataclasses.dataclass(frozen=True)
class Wanted:
  """What a user says of it.

  Attributes:
    cpus: Cores of a run; None for what its GPUs need.
    gpus: GPUs of a run; None for an estimate.
    nodes: Machines of a run with the strategy `multi_worker`.
    resources: As in `Needs`.
  """

  cpus: int | None = None
  gpus: float | None = None
  nodes: int = 2
  resources: Mapping[str, float] = dataclasses.field(default_factory=dict)

  def of_run(self, experiment: config.Experiment, has_gpus: bool) -> Needs:
    """Return what a run takes.

    Args:
      experiment: The run.
      has_gpus: Whether the cluster has GPUs.
    """
    gpus = self.gpus
    if gpus is None:
      gpus = fraction_of_gpu(experiment) if has_gpus else 0.0
    cpus = self.cpus or max(1, round(_CPUS_A_GPU * gpus))
    whole = experiment.runtime.strategy == _MULTI_WORKER
    return Needs(cpus, gpus, self.nodes if whole else 0, self.resources)


def fraction_of_gpu(experiment: config.Experiment) -> float:
  """Return the part of a GPU that a run needs, by its pixels and batch.

  It is a quarter, a half or all of one, for GPUs of 16 GB.
  """
  pixels = experiment.data.image_size**2 * experiment.train.batch_size
  needed = pixels * _BYTES_A_PIXEL / _GPU_BYTES
  return next((each for each in _FRACTIONS if needed <= each), 1.0)


def size(experiment: config.Experiment) -> float:
  """Return about how many multiplications the steps of a run take."""
  train, network = experiment.train, experiment.model.name
  known = registry.NETWORKS.get(network)
  per_pixel = known.multiply_adds if known else _MULTIPLY_ADDS
  # Studies give steps; the paper's epochs are of sets of about one size.
  steps = train.train_steps or train.train_epochs * 1e5 / train.batch_size
  pixels = experiment.data.image_size**2 * train.batch_size
  return float(steps * pixels * per_pixel)
