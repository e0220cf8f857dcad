"""The recipe of a table of one's own images, fitted to their number.

The published recipes are for tens of thousands of images. From fewer, as many
passes are too few steps, and moving averages lag behind:

- Length: `train_epochs`, and at least `LEAST_STEPS`. Adam moves a weight by
  about the learning rate a step, so that random weights need hundreds of steps
  however few the images are.
- Evaluations: once an epoch, and at most `train_epochs` times in all.
- Batch norm keeps 1 - 3 / (steps of an epoch) of its moving averages, within
  `_MOMENTA`: after one epoch 5 % are left of the statistics that a network
  started with, and evaluation measures the network, not the lag.
- Floor of steps: patience counts evaluations after a third of the run.
"""

from collections.abc import Collection, Mapping
from typing import Any

from transfusion_tf import config

LEAST_STEPS = 500
# The average over about 10 batches; and over 100, enough for any set.
_MOMENTA = 0.9, 0.99
_MOMENTUM = 'model.bn_momentum'
# Fraction of a run whose evaluations patience does not count.
_FLOOR = 1 / 3


def fit(
  recipe: str, num_examples: int, changes: Mapping[str, Any]
) -> config.Experiment:
  """Return a recipe, with what it fits to the data, and changes to it.

  Args:
    recipe: Name of a recipe; one that fits nothing is only changed.
    num_examples: Number of training images, before `data.subset`.
    changes: Dotted field -> value; these are taken as they are.
  """
  experiment = config.override(config.RECIPES[recipe], changes)
  fitted = config.FITTED.get(recipe, ())
  if not fitted:
    return experiment
  train, data = experiment.train, experiment.data
  num_examples = min(data.subset or num_examples, num_examples)
  epoch = max(1, num_examples // train.batch_size)
  steps = train.train_steps or max(
    round(train.train_epochs * epoch), LEAST_STEPS
  )
  values = {
    _MOMENTUM: _momentum(epoch),
    'train.train_steps': steps,
    'train.eval_every': max(epoch, int(steps / max(train.train_epochs, 1))),
    'train.min_steps': _floor(steps),
  }
  return config.override(
    experiment,
    {f: values[f] for f in fitted if f in values and f not in changes},
  )


def on_subset(
  experiment: config.Experiment,
  num_images: int,
  num_examples: int,
  recipe: str,
) -> config.Experiment:
  """Return an experiment on some of its training images.

  It makes as many passes over them, but trains at least `LEAST_STEPS`, or as
  long as on all images, and is evaluated about as often.

  Args:
    experiment: The experiment on all images.
    num_images: Images to train on.
    num_examples: Number of all training images.
    recipe: Name of its recipe.
  """
  train = experiment.train
  epoch, whole = (
    max(1, n // train.batch_size) for n in (num_images, num_examples)
  )
  steps = max(
    round(train.train_steps * epoch / whole),
    min(LEAST_STEPS, train.train_steps),
  )
  part = steps / train.train_steps
  changes: dict[str, Any] = {
    'data.subset': num_images,
    'train.train_steps': steps,
    'train.eval_every': max(1, round(train.eval_every * part)),
    'train.min_steps': int(train.min_steps * part),
  }
  if _MOMENTUM in config.FITTED.get(recipe, ()):
    changes[_MOMENTUM] = _momentum(epoch)
  return config.override(experiment, changes)


def fair(
  experiment: config.Experiment, given: Collection[str]
) -> dict[str, Any]:
  """Return changes by which patience cuts no start that is merely slow.

  Args:
    experiment: An experiment, of any recipe.
    given: Dotted fields that stay as they are.
  """
  changes = {
    'train.patience_stderr': 1.0,
    'train.min_steps': _floor(experiment.train.train_steps),
  }
  return {f: value for f, value in changes.items() if f not in given}


def _momentum(epoch):
  low, high = _MOMENTA
  return round(min(max(1 - 3 / epoch, low), high), 4)


def _floor(total_steps):
  return int(total_steps * _FLOOR)
