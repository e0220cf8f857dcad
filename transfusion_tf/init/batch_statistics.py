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

ESTIMATED = 'estimated'  # The scheme in the report of an initialization.


def estimate(
  model: keras.Model,
  stages: stages_lib.Stages,
  names: Collection[str],
  batches: Iterable,
) -> dict[str, np.ndarray]:
  """Return the mean over batches of the statistics of each batch norm.

  Args:
    model: A copy of the network; its momenta and statistics change.
    stages: Its stages.
    names: The stages whose batch norm is estimated.
    batches: Inputs of the network, [B, H, W, 3].

  Returns:
    Path -> moving mean or moving variance.
  """
  layers = [
    layer
    for layer in graph_lib.layers(model)
    if isinstance(layer, keras.layers.BatchNormalization)
  ]
  graph = graph_lib.Graph(model)
  statistics = {
    graph.path(variable): variable
    for layer in layers
    for variable in (layer.moving_mean, layer.moving_variance)
  }
  for count, batch in enumerate(batches):
    for layer in layers:  # The moving average becomes the mean.
      layer.momentum = count / (count + 1)
    model(batch, training=True)
  return {
    path: np.asarray(variable)
    for path, variable in statistics.items()
    if stages.stage_of(path) in names
  }
