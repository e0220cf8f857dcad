"""Whether a network with loaded weights computes what their source computes.

Weights can fit by name and shape and belong to another function: another
activation, stride, epsilon or input. Both networks therefore see the same
images, each normalized as its own.
"""

from __future__ import annotations

from collections.abc import Collection

from etils import epy
import numpy as np

from transfusion_tf.init import types
from transfusion_tf.input_pipeline import augment
from transfusion_tf.models import fingerprint
from transfusion_tf.models import graph as graph_lib

with epy.lazy_imports():  # Help does without.
  import keras
  import tensorflow as tf

_NUM_IMAGES = 2
_COARSE = 8  # Height and width of the noise before it is enlarged.
_SIZE = 64  # Of images for networks of any size.


def difference(
  model: keras.Model,
  source: types.WeightSource,
  transferred: Collection[str],
  normalization: str,
) -> float | None:
  """Return how much features differ from the source's, in their stddev.

  Compared are the outputs of the last layer below which all weights were
  transferred, averaged over positions, with the most similar of the source.

  Args:
    model: The network, with its initial weights.
    source: The weights' source.
    transferred: Paths of the weights of `model` that were.
    normalization: Kind of the images that `model` is given.

  Returns:
    The largest difference; None if the source holds no network, is not one of
    layers, or takes no images of this size.
  """
  graph = graph_lib.Graph(model)
  last = _last_transferred(graph, set(transferred))
  if last is None or source.model is None:
    return None
  theirs = graph_lib.Graph(source.model)
  if not theirs.nodes or len(theirs.inputs) != 1:
    return None
  images = _images([size or _SIZE for size in model.inputs[0].shape[1:3]])
  (tensor,) = graph.nodes[last].outputs[:1]
  features = _pooled(graph, images, normalization, [tensor])[0]
  read = [node.outputs[0] for node in theirs.nodes]
  kind = source.trained_on or normalization
  try:
    candidates = _pooled(theirs, images, kind, read)
  except (ValueError, tf.errors.OpError):
    return None  # It takes images of another size.
  scale = features.std() or 1
  return min(
    (
      float(np.abs(features - x).max() / scale)
      for x in candidates
      if x.shape == features.shape
    ),
    default=None,
  )


def changes(
  model: keras.Model, source: types.WeightSource, transferred: Collection[str]
) -> str:
  """Return how the layers of transferred weights differ from the source's.

  Empty if they do not, or if the source does not describe its network.
  """
  graph = graph_lib.Graph(model)
  last = _last_transferred(graph, set(transferred))
  if last is None or not source.layers:
    return ''
  return fingerprint.differences(
    source.layers, fingerprint.describe(model), graph.nodes[last].name
  )


def _last_transferred(graph, transferred):
  last = None
  paths = [{w.path for w in node.weights} for node in graph.nodes]
  for number, node in enumerate(graph.nodes):
    needed = paths[number].union(*(paths[n] for n in node.ancestors))
    if paths[number] and needed <= transferred:
      last = number
  return last


def _images(size):
  rng = np.random.default_rng(0)
  coarse = rng.uniform(size=(_NUM_IMAGES, _COARSE, _COARSE, 3))
  return tf.image.resize(coarse, size)


def _pooled(graph, images, normalization, read):
  values = graph.run(augment.normalize(images, normalization), read)
  arrays = [np.asarray(values[tensor], np.float64) for tensor in read]
  return [a.mean(axis=tuple(range(1, a.ndim - 1))) for a in arrays]
