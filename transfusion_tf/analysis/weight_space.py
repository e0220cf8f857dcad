"""Networks between and beside trained ones, made of their checkpoints.

- One stage at its values before training, the others as trained (Zhang et al.,
  arXiv 1902.01996): how much the score drops tells what training that stage was
  worth to the trained network.
- The straight line between two trained networks (Neyshabur et al., arXiv
  2008.11687): without a barrier of the loss, both lie in one basin.

The statistics of batch norm are computed anew on training images for every
network, the trained ones included: those of a checkpoint are of its weights,
and alone would make a barrier.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses

import numpy as np
import tensorflow as tf

from transfusion_tf import metrics
from transfusion_tf.analysis import stage_features
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.run import build as run_lib

Arrays = Mapping[str, np.ndarray]  # Path -> array.


@dataclasses.dataclass(frozen=True)
class Scored:
  """A network on a split: the mean loss, and the primary metric."""

  loss: float
  metric: metrics.Metric


class Scorer:
  """Scores the network of a run with any weights.

  Attributes:
    patients: Number [N] of each image's patient.
  """

  def __init__(self, run: run_lib.Run, split: str, most: int):
    """Take at most `most` evenly spaced images of `split`."""
    total = run.source.prepared.num_examples(split)
    self._every = stage_features.spacing(total, most)
    self._network = stage_features.Network(run)
    self._split = split
    self._labels = tf.nest.map_structure(
      lambda values: np.asarray(values)[:: self._every], run.labels(split)
    )
    index = run.source.prepared.index(split)
    self.patients = metrics.patient_numbers(index.patient_ids[:: self._every])

  @property
  def run(self) -> run_lib.Run:
    """The run whose network it is."""
    return self._network.run

  def __call__(self, weights: Arrays) -> Scored:
    """Return the scores with weights by path."""
    task = self.run.task
    self._network.assign(weights)
    self._network.estimate_statistics()
    logits = self._network.logits(self._split, self._every)
    losses = task.loss(logits, *task.targets(self._labels))
    name = self.run.primary_metric
    probabilities = task.probabilities(logits).numpy()
    scored = task.metrics(probabilities, self._labels, {name})
    return Scored(float(np.mean(losses, dtype=float)), scored[name])

  def read(self, run_dir: str, step: int) -> dict[str, np.ndarray]:
    """Return the weights of a checkpoint of the same network, by path."""
    paths = [w.path for w in graph_lib.Graph(self.run.model).weights]
    values = run_lib.read_weights(self.run, run_dir, step)
    return dict(zip(paths, values, strict=True))


def with_stage_reset(
  trained: Arrays, initial: Arrays, stages: stages_lib.Stages
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
  """Yield each stage and the weights with it as before training.

  The head is left out: one that is not trained classifies nothing.
  """
  for name in stages.names:
    own = [path for path in trained if stages.stage_of(path) == name]
    if own and name != stages_lib.HEAD:
      yield name, dict(trained) | {path: initial[path] for path in own}


def interpolate(a: Arrays, b: Arrays, position: float) -> dict[str, np.ndarray]:
  """Return the weights at a position of the line: 0 is `a`, 1 is `b`."""
  return {
    path: ((1 - position) * values + position * b[path]).astype(values.dtype)
    for path, values in a.items()
  }


def barrier(positions: Sequence[float], losses: Sequence[float]) -> float:
  """Return how far losses rise above the line between their ends, at most.

  Frankle et al. (2020). It is not negative: at the ends it is 0.

  Args:
    positions: Positions, from 0 to 1.
    losses: The loss at each.
  """
  values = np.asarray(losses, float)
  line = np.interp(positions, [0, 1], [values[0], values[-1]])
  return float(np.max(values - line))
