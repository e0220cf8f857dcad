"""What runs cost on kinds of devices, estimated before the first one.

A step costs its multiplications and a fixed part for each convolution, on TPUs
what the compiler says that it takes at least. The figures of CPUs and GPUs are
fits to a few measured steps: expect errors of 50 %.
"""

import dataclasses
from typing import Protocol

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.models import registry
from transfusion_tf.study import run_cost
from transfusion_tf.tpu import chips
from transfusion_tf.tpu import step_bounds

_BACKWARD = 3  # Forward, gradients of inputs, gradients of weights.
# A network that is not known beforehand, e.g. a user's: as ResNet-50.
_USUAL = registry.Network(
  '', '', lambda: None, {}, multiply_adds=80_000, convolutions=53
)


class Kind(Protocol):
  """A kind of device."""

  @property
  def name(self) -> str:
    """Its name in texts."""

  def cost(
    self, experiment: config.Experiment, num_validation: int
  ) -> run_cost.Cost:
    """Return the cost of a run, given the number of validation images."""


@dataclasses.dataclass(frozen=True)
class Device:
  """The speed of a device.

  Attributes:
    name: Name in texts.
    rate: Multiply-adds a second.
    per_convolution: Seconds of a step that do not depend on its images.
    start_up: Seconds from nothing to the first step, for each convolution.
  """

  name: str
  rate: float
  per_convolution: float
  start_up: float

  def cost(
    self, experiment: config.Experiment, num_validation: int
  ) -> run_cost.Cost:
    """Return the cost of a run, given the number of validation images."""
    network = registry.NETWORKS.get(experiment.model.name, _USUAL)
    per_pixel: float = network.multiply_adds
    if experiment.model.slim_from:
      per_pixel *= 0.7
    image = per_pixel * experiment.data.image_size**2 / self.rate
    fixed = self.per_convolution * network.convolutions
    return run_cost.Cost(
      compiling=self.start_up * network.convolutions,
      run=0.0,
      weights=0.0,
      step=_BACKWARD * experiment.train.batch_size * image + fixed,
      evaluation=num_validation * image,
      image=image,
    )


@dataclasses.dataclass(frozen=True)
class Tpu:
  """A chip of a generation of TPUs.

  Attributes:
    generation: As in `chips.CHIPS`.
  """

  generation: str

  # Of the bound: the roofline counts no waiting. No TPU was available to
  # measure it on.
  _EFFICIENCY = 0.4

  @property
  def name(self) -> str:
    return f'TPU {self.generation}'

  def cost(
    self, experiment: config.Experiment, num_validation: int
  ) -> run_cost.Cost:
    """Return the cost of a run, given the number of validation images."""
    network = registry.NETWORKS.get(experiment.model.name, _USUAL)
    bound = step_bounds.seconds(experiment, self.generation)
    step = bound / self._EFFICIENCY
    image = step / experiment.train.batch_size / _BACKWARD
    return run_cost.Cost(
      compiling=GPU.start_up * network.convolutions,
      run=0.0,
      weights=0.0,
      step=step,
      evaluation=num_validation * image,
      image=image,
    )


# Two free cores: 85 % more than one, which was measured.
TWO_CORES = Device('two CPU cores', 80e9, 0.0025, 0.2)
# A data-center GPU in float32 with TF32: 10 % of its nominal 495 TFLOP/s.
GPU = Device('one H100-class GPU', 25e12, 2e-5, 0.5)

KINDS: dict[str, Kind] = {
  'cpu': TWO_CORES,
  'gpu': GPU,
  **{generation: Tpu(generation) for generation in chips.CHIPS},
}


def named(name: str) -> Kind:
  """Return a kind of device.

  Raises:
    InputError: There is none of that name.
  """
  if name not in KINDS:
    raise errors.unknown('plan_device', name, KINDS)
  return KINDS[name]
