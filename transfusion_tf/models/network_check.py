"""Checks that a network is one from images to logits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
import re

from etils import epy

from transfusion_tf import errors
from transfusion_tf.models import graph as graph_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras
  import numpy as np
  import tensorflow as tf

_SCOPE = re.compile(r'[A-Za-z0-9_.\\/>-]*')  # Of tf.Graph.name_scope.
_FACTOR = 1e6  # Of the head's kernels: logits leave [0, 1].
_SHAPES_ONLY = ('Reshape', 'Flatten', 'Squeeze', 'Dropout', 'Identity', 'Cast')


def check(
  name: str,
  model: keras.Model,
  num_classes: int,
  input_shape: Sequence[int | None],
  taken: Collection[str],
) -> None:
  """Check a model that a user's function returns.

  Args:
    name: The function, for the message.
    model: The model.
    num_classes: Number of logits, K.
    input_shape: (H, W, C) of the images.
    taken: Names that it must not have.

  Raises:
    InputError: It is not layers from one image [H, W, C] to logits [K], has
      nothing to train, or computes in half precision on its own.
  """
  if not isinstance(model, keras.Model):
    wrong = f'returns {type(model).__name__}, not a keras.Model'
  elif len(model.inputs) != 1:
    wrong = f'takes {len(model.inputs)} inputs; must take one, the images'
  elif not _takes(model.inputs[0].shape[1:], input_shape):
    wrong = (
      f'takes images {tuple(model.inputs[0].shape[1:])}, the run has '
      f'{tuple(input_shape)}: build the input of its second argument'
    )
  elif model.output_shape != (None, num_classes):
    wrong = (
      f'returns outputs of shape {model.output_shape}; must be '
      f'(None, {num_classes})'
    )
  elif activation := _last_activation(model):
    wrong = (
      f'ends with {activation}; must return logits: leave the last activation '
      'out'
    )
  elif model.name in taken:
    wrong = f'is called {model.name!r}, like one of ours; give it another name='
  elif odd := _odd_names(model):
    wrong = (
      f'has a layer called {odd[0]!r}, which TensorFlow cannot name operations '
      'after; use letters, digits and . _ -'
    )
  elif half := _layers_in_half(model):
    wrong = (
      f'computes {half[0]} in float16 without scaling the loss; leave the '
      'dtype to --precision=mixed_float16'
    )
  elif not model.trainable_weights:
    wrong = 'returns a model with nothing to train: leave trainable = False out'
  else:
    return
  raise errors.InputError(f'{name} {wrong}')


def _odd_names(model):
  layers = [*model.layers, *graph_lib.layers(model)]
  return [x.name for x in layers if not _SCOPE.fullmatch(x.name)]


def _takes(shape, input_shape):
  return len(shape) == len(input_shape) and all(
    size in (None, given)
    for size, given in zip(shape, input_shape, strict=True)
  )


def _layers_in_half(model):
  if keras.config.dtype_policy().name == 'mixed_float16':
    return []
  return [
    layer.name
    for layer in graph_lib.layers(model)
    if layer.weights and layer.compute_dtype == 'float16'
  ]


def _last_activation(model):
  """Return the name of what the outputs go through, or an empty text."""
  graph = graph_lib.Graph(model)
  name = _named_activation(graph)
  if not name and _stays_below_one(model, graph):
    return 'probabilities'
  return name


def _named_activation(graph):
  last = graph.producer(graph.outputs[0])
  while type(last.operation).__name__ in _SHAPES_ONLY:
    parents = graph.parents(last)
    if len(parents) != 1:
      return ''
    (last,) = parents
  operation = last.operation
  if isinstance(operation, keras.layers.Softmax):
    return 'softmax'
  name = getattr(getattr(operation, 'activation', None), '__name__', 'linear')
  if name == 'linear' and not isinstance(operation, keras.layers.Layer):
    name = type(operation).__name__.lower()
    return name if hasattr(keras.activations, name) else ''
  return '' if name == 'linear' else name


def _stays_below_one(model, graph):
  """Return whether outputs are in [0, 1], with the head's kernels negated too.

  Logits change their sign. It finds sigmoid and softmax in any disguise.
  Several devices compute it only inside a step.
  """
  if tf.distribute.get_strategy().num_replicas_in_sync > 1:
    return False
  shape = [size or 64 for size in model.inputs[0].shape[1:]]
  images = np.random.default_rng(0).normal(size=(2, *shape))
  for factor in (_FACTOR, -_FACTOR):
    head = [
      (w.variable, w.variable * (factor if w.role == graph_lib.KERNEL else 0))
      for node in graph.heads()
      for w in graph.nodes[node].weights
      if w.role in (graph_lib.KERNEL, graph_lib.BIAS)
    ]
    with keras.StatelessScope(head):
      outputs = model(images.astype(np.float32), training=False)
    outputs = np.asarray(outputs)
    if not ((outputs >= 0) & (outputs <= 1)).all() or not outputs.any():
      return False
  return True
