"""The statistics of batch norm, estimated on images instead of in training.

A frozen stage keeps the moving statistics that it starts with. Those of a
pretrained network are of its weights; any other start has none that fit, and a
deep stack of layers that are normalized by the wrong ones explodes: with
identity statistics, the logits of a ResNet-50 have a standard deviation of a
thousand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from etils import epy
import numpy as np

from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages as stages_lib

with epy.lazy_imports():  # Help does without.
  import keras
  import tensorflow as tf

ESTIMATED = 'estimated'  # The scheme in the report of an initialization.


class Estimator:
  """Estimates the statistics of all batch norms of a network.

  It is traced once, however often the weights change.
  """

  def __init__(self, model: keras.Model):
    """Take a network; its moving statistics change with each call."""
    graph = graph_lib.Graph(model)
    self._model = model
    self._layers = [
      layer
      for layer in graph_lib.layers(model)
      if isinstance(layer, keras.layers.BatchNormalization)
    ]
    self._statistics = {
      graph.path(variable): variable
      for layer in self._layers
      for variable in (layer.moving_mean, layer.moving_variance)
    }
    self._forward = tf.function(
      self._replace_statistics, autograph=False, reduce_retracing=True
    )

  @property
  def is_needed(self) -> bool:
    """Whether the network has statistics at all."""
    return bool(self._statistics)

  def __call__(self, batches: Iterable) -> dict[str, np.ndarray]:
    """Return path -> mean over batches; the network's own change.

    Args:
      batches: Inputs of the network, [B, H, W, 3].
    """
    sums = {path: np.zeros(v.shape) for path, v in self._statistics.items()}
    num_batches = 0
    for batch in batches:
      self._forward(batch)
      num_batches += 1
      for path, variable in self._statistics.items():
        sums[path] += np.asarray(variable)
    return {
      path: (total / num_batches).astype(np.float32)
      for path, total in sums.items()
    }

  def _replace_statistics(self, batch):
    """Give the network the statistics of one batch."""
    momenta = [layer.momentum for layer in self._layers]
    try:
      for layer in self._layers:
        layer.momentum = 0.0
      return self._model(batch, training=True)
    finally:
      for layer, momentum in zip(self._layers, momenta, strict=True):
        layer.momentum = momentum


def estimate(
  model: keras.Model,
  stages: stages_lib.Stages,
  names: Collection[str],
  batches: Iterable,
) -> dict[str, np.ndarray]:
  """Return the mean over batches of the statistics of each batch norm.

  Args:
    model: A copy of the network; its statistics change.
    stages: Its stages.
    names: The stages whose batch norm is estimated.
    batches: Inputs of the network, [B, H, W, 3].

  Returns:
    Path -> moving mean or moving variance.
  """
  statistics = Estimator(model)(batches)
  return {
    path: values
    for path, values in statistics.items()
    if stages.stage_of(path) in names
  }
