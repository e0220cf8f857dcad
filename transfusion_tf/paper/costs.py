"""The cost of a run of the paper's study, estimated before it runs."""

from transfusion_tf import config
from transfusion_tf.study import device_costs

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


def seconds(
  experiment: config.Experiment,
  device: device_costs.Kind,
  num_validation: int = 0,
) -> float:
  """Return seconds of a run, by itself, with its evaluations."""
  cost = device.cost(experiment, num_validation)
  return cost.compiling + cost.seconds(with_steps(experiment))


def with_steps(experiment: config.Experiment) -> config.Experiment:
  """Return a run with its length in steps."""
  return config.override(
    experiment, {'train.train_steps': num_steps(experiment)}
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
