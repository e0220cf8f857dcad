"""The cost of a run, estimated before it runs.

A step costs its multiplications and a fixed part for each convolution. The
devices' figures are fits to a few measured steps: expect errors of 50 %.
"""

import dataclasses

from transfusion_tf import config
from transfusion_tf.models import registry

_BACKWARD = 3  # Forward, gradients of inputs, gradients of weights.
# Training images of data sets; the config of a run does not have them.
_NUM_TRAIN = {
  'retina': 250_000,
  'chexpert': 223_000,
  'imagenet2012': 1_281_167,
  'natural': 1_200,
  'pneumoniamnist': 2_424,
  'nih_pneumonia': 532,
  'cifar10': 45_000,
}


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


# Two free cores: 85 % more than one, which was measured.
TWO_CORES = Device('two CPU cores', 80e9, 0.0025, 0.2)
# A data-center GPU in float32 with TF32: 10 % of its nominal 495 TFLOP/s.
GPU = Device('one H100-class GPU', 25e12, 2e-5, 0.5)


def seconds(
  experiment: config.Experiment, device: Device, num_validation: int = 0
) -> float:
  """Return seconds of training, and of its evaluations of validation images."""
  network = registry.NETWORKS[experiment.model.name]
  per_pixel: float = network.multiply_adds
  if experiment.model.slim_from:
    per_pixel *= 0.7
  train = experiment.train
  image = per_pixel * experiment.data.image_size**2 / device.rate
  step = _BACKWARD * train.batch_size * image
  step += device.per_convolution * network.convolutions
  evaluation = num_validation * image
  return (
    num_steps(experiment) * step
    + (1 + num_steps(experiment) // train.eval_every) * evaluation
    + device.start_up * network.convolutions
  )


def num_steps(experiment: config.Experiment) -> int:
  """Return the steps of a run that does not stop early."""
  train = experiment.train
  examples = experiment.data.subset or _NUM_TRAIN[experiment.data.dataset]
  return train.train_steps or round(
    train.train_epochs * examples / train.batch_size
  )


def duration(total: float) -> str:
  """Return seconds in words."""
  for unit, size in (('days', 86_400), ('hours', 3_600), ('minutes', 60)):
    if total >= size:
      return f'{total / size:.1f} {unit}'
  return f'{total:.0f} seconds'
