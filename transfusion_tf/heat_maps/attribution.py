"""Integrated gradients (arXiv 1703.01365) and Grad-CAM (arXiv 1610.02391).

Both are of the log-odds of one output, which a sigmoid and a softmax have
alike. Own code: the package `saliency` sums gradients at both ends of the path
in full, so that its maps miss the change of the output by a part of the first
order in the number of steps, and calls the network from Python at each of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import tasks
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages as stages_lib

_BATCH = 16  # Points of a path that go through the network together.


class Maps(NamedTuple):
  """The maps of one picture.

  Attributes:
    gradients: [H, W], integrated gradients, summed over channels: what each
      pixel adds to the log-odds, in comparison with a black picture.
    cam: [h, w], Grad-CAM at the last stage whose output has places; not
      negative.
    missed: What the sum of `gradients` lacks of the change of the log-odds.
  """

  gradients: np.ndarray
  cam: np.ndarray
  missed: float


class Attribution:
  """Makes maps of a network with its present weights.

  Attributes:
    stage: The stage of Grad-CAM.
  """

  def __init__(
    self,
    model: keras.Model,
    stages: stages_lib.Stages,
    task: tasks.Task,
    num_steps: int = 64,
  ):
    """Find the stage of Grad-CAM.

    Raises:
      InputError: No stage's output has places.
    """
    self._model = model
    self._graph = graph_lib.Graph(model)
    self._is_choice = isinstance(task, tasks.Classes)
    self._points = (np.arange(num_steps, dtype=np.float32) + 0.5) / num_steps
    self.stage, self._tensor = self._last_with_places(stages)

  def __call__(self, image: tf.Tensor, black: tf.Tensor, output: int) -> Maps:
    """Return the maps of one output.

    Args:
      image: [H, W, 3], as the network takes it.
      black: The same of a black picture.
      output: Its number.
    """
    number = tf.constant(output)
    total = np.zeros(image.shape, np.float64)
    for start in range(0, len(self._points), _BATCH):
      total += self._path_gradients(
        image, black, self._points[start : start + _BATCH], number
      ).numpy()
    gradients = total / len(self._points) * (image - black).numpy()
    change = np.subtract(
      *self.log_odds(tf.stack([image, black]), number).numpy()
    )
    return Maps(
      gradients.sum(axis=-1),
      self._cam(image, number).numpy(),
      float(change - gradients.sum()),
    )

  @tf.function(reduce_retracing=True, autograph=False)
  def log_odds(self, images: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Return log(p / (1 - p)) of an output, [B]."""
    return self._odds(self._model(images, training=False), output)

  @tf.function(reduce_retracing=True, autograph=False)
  def _path_gradients(self, image, black, points, output):
    """Return the sum of the gradients at points between two images."""
    images = black + points[:, None, None, None] * (image - black)
    with tf.GradientTape() as tape:
      tape.watch(images)
      odds = self._odds(self._model(images, training=False), output)
    return tf.reduce_sum(tape.gradient(odds, images), axis=0)

  @tf.function(reduce_retracing=True, autograph=False)
  def _cam(self, image, output):
    (last,) = self._graph.outputs
    with tf.GradientTape() as tape:
      tape.watch(image)  # All that follows from it is then recorded.
      values = self._graph.run(image[None], (self._tensor, last))
      activations = values[self._tensor]
      odds = self._odds(values[last], output)
    slopes = tape.gradient(
      odds, activations, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    weights = tf.reduce_mean(tf.cast(slopes, tf.float32), axis=(1, 2))
    cam = tf.einsum('bhwc,bc->hw', tf.cast(activations, tf.float32), weights)
    return tf.nn.relu(cam)

  def _odds(self, logits, output):
    logits = tf.cast(logits, tf.float32)
    of_output = tf.gather(logits, output, axis=1)
    if not self._is_choice:
      return of_output
    is_output = tf.range(logits.shape[1]) == output
    others = tf.where(is_output[None], -np.inf, logits)
    return of_output - tf.reduce_logsumexp(others, axis=1)

  def _last_with_places(self, stages) -> tuple[str, int]:
    for stage in reversed(tuple(stages)):
      node = self._graph.find(stage.endpoint) if stage.endpoint else None
      if node is None or stage.name == stages_lib.HEAD:
        continue
      shape = self._graph.nodes[node].shape
      if len(shape) == 4 and 1 not in shape[1:3]:
        return stage.name, self._graph.nodes[node].outputs[0]
    raise errors.InputError(
      f'{self._model.name} has no stage below its head whose output has height '
      'and width: Grad-CAM has nothing to show'
    )


def explained(task: tasks.Task, probabilities: Sequence[float]) -> int:
  """Return the number of the output that a picture's maps are of.

  Of grades that mean "at least" it is the lowest referable one, else the most
  probable.
  """
  if isinstance(task, tasks.Grades) and task.cumulative:
    return task.referable_from
  return int(np.argmax(probabilities))
