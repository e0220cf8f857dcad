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
  low, high = _MOMENTA
  values = {
    'model.bn_momentum': round(min(max(1 - 3 / epoch, low), high), 4),
    'train.train_steps': steps,
    'train.eval_every': max(epoch, int(steps / max(train.train_epochs, 1))),
    'train.min_steps': _floor(steps),
  }
  return config.override(
    experiment,
    {f: values[f] for f in fitted if f in values and f not in changes},
  )


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


def _floor(total_steps):
  return int(total_steps * _FLOOR)
