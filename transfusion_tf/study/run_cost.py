"""What a run of a network costs, in seconds of its parts.

Short runs, finished ones and estimates tell it in this form; forecasts and
plans read it.
"""

import dataclasses

from transfusion_tf import config


@dataclasses.dataclass(frozen=True)
class Cost:
  """Seconds of parts of a run.

  Attributes:
    compiling: Of the first run of a process, beside the others.
    run: Of each run, however long.
    weights: Of a run from pretrained weights, beside the others.
    step: Of a training step.
    evaluation: Of an evaluation on validation, with its checkpoint.
    image: Of a forward pass, for an image.
  """

  compiling: float
  run: float
  weights: float
  step: float
  evaluation: float
  image: float = 0.0

  def seconds(self, experiment: config.Experiment) -> float:
    """Return the seconds of a run after the first of its process."""
    return self.start(experiment) + self.work(experiment)

  def start(self, experiment: config.Experiment) -> float:
    """Return the seconds of a run that are neither steps nor evaluations."""
    return self.run + self.weights * bool(experiment.init.pretrained)

  def work(self, experiment: config.Experiment) -> float:
    """Return the seconds of a run's steps and evaluations."""
    steps = experiment.train.train_steps
    return self.step * steps + self.evaluation * num_evaluations(experiment)


def num_evaluations(experiment: config.Experiment) -> int:
  """Return how often a run of known steps is evaluated."""
  train = experiment.train
  return 1 + -(-train.train_steps // train.eval_every)


def num_checkpoints(experiment: config.Experiment) -> int:
  """Return how many checkpoints a run of known steps writes, but the first."""
  train, runtime = experiment.train, experiment.runtime
  return -(-train.train_steps // (runtime.checkpoint_every or train.eval_every))
