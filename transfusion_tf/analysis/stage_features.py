"""What a network computes with other weights: features of stages, logits.

The features of a stage are its output, averaged over places.

Images pass through the network once, in batches, and nothing but the averages
[N, D] is kept. They are prepared as for evaluation; of a large split, evenly
spaced images are taken.
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from transfusion_tf.analysis import endpoints
from transfusion_tf.init import batch_statistics
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import state as state_lib
from transfusion_tf.run import build as run_lib

# Training images on which statistics of batch norm are computed.
_STATISTICS_IMAGES = 256


def spacing(num_examples: int, most: int) -> int:
  """Return the distance of images of which there are `most` or fewer."""
  return max(1, -(-num_examples // most))


class Network:
  """The network of a run with changing weights, and what it computes.

  Attributes:
    run: The run; the weights of its model are those that count.
    stages: The stages whose output can be read, without the head.
  """

  def __init__(self, run: run_lib.Run):
    self.run = run
    self.stages = tuple(
      name for name in run.stages.readable if name != stages_lib.HEAD
    )
    self._extract = endpoints.Extractor(run.model, self.stages)
    self._estimator = batch_statistics.Estimator(run.model)
    self._forward: Callable | None = None
    self._predict: Callable | None = None
    # Split and distance -> its batches; making them takes a fifth of a second.
    self._datasets: dict[tuple[str, int], tf.data.Dataset] = {}

  def assign(self, weights) -> None:
    """Assign weights, in the order of `model.weights` or by path."""
    state_lib.assign(self.run.model, weights)
    self._weights_changed()

  def estimate_statistics(self) -> None:
    """Give batch norm the statistics of training images under the weights.

    The mean over batches, of images prepared as for evaluation.
    """
    if not self._estimator.is_needed:
      return
    estimated = self._estimator(self._training_inputs())
    for weight in graph_lib.Graph(self.run.model).weights:
      if weight.path in estimated:
        weight.variable.assign(estimated[weight.path])
    self._weights_changed()

  def features(self, split: str, every: int = 1) -> dict[str, np.ndarray]:
    """Return stage -> features [N, D] of a split, in stored order.

    Args:
      split: Name of the split.
      every: Distance of the images that are taken, from the first on.
    """
    if self._forward is None:
      self._forward = tf.function(
        self._pooled, autograph=False, reduce_retracing=True
      )
    parts: dict[str, list[np.ndarray]] = {name: [] for name in self.stages}
    for images, count in self._batches(split, every):
      for name, values in self._forward(images).items():
        parts[name].append(values.numpy()[:count])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}

  def logits(self, split: str, every: int = 1) -> np.ndarray:
    """Return the outputs [N, K] for a split, as `features` takes it."""
    if self._predict is None:
      self._predict = tf.function(
        self._logits, autograph=False, reduce_retracing=True
      )
    return np.concatenate(
      [
        self._predict(images).numpy()[:count]
        for images, count in self._batches(split, every)
      ]
    )

  def _logits(self, images):
    inputs = self.run.prepare_evaluation(images)
    return tf.cast(self.run.model(inputs, training=False), tf.float32)

  def _pooled(self, images):
    activations = self._extract(self.run.prepare_evaluation(images))
    return {
      name: tf.reduce_mean(
        tf.cast(x, tf.float32), list(range(1, x.shape.rank - 1))
      )
      for name, x in activations.items()
    }

  def _batches(self, split, every) -> Iterator[tuple[tf.Tensor, int]]:
    """Yield batches of images, with the number that is no padding."""
    run = self.run
    batch_size = run.experiment.runtime.eval_batch_size
    if (split, every) not in self._datasets:
      # A worker reads every n-th image, and decodes no other.
      self._datasets[split, every] = pipeline.evaluation(
        run.source, split, batch_size, 0, every
      )
    with pipeline.convert_image_errors(run.source):
      for batch in self._datasets[split, every]:
        if count := int(np.sum(batch['weight'])):
          yield batch['image'], count

  def _training_inputs(self):
    total = self.run.source.prepared.num_examples(tfds_folder.TRAIN)
    every = spacing(total, _STATISTICS_IMAGES)
    size = self.run.experiment.runtime.eval_batch_size
    for number, (images, count) in enumerate(
      self._batches(tfds_folder.TRAIN, every)
    ):
      if count == size or not number:  # Small batches would weigh as much.
        yield self.run.prepare_evaluation(images[:count])

  def _weights_changed(self):
    """Forget functions that hold values which layers derive from weights."""
    if not state_lib.is_all_in_variables(self.run.model):
      self._forward = self._predict = None
