"""Weights that were trained on an input that is normalized in another way.

The first convolution and the bias or batch norm after it absorb the change, so
that the network computes the same as its source. Where it pads, the border
must stand for the same color in both; where it does not absorb the change, the
run can give the network the input that it was trained on.
"""

from collections.abc import Mapping
import dataclasses

import keras
import numpy as np

from transfusion_tf import errors
from transfusion_tf.init import types
from transfusion_tf.input_pipeline import normalization
from transfusion_tf.models import graph as graph_lib

_COLORS = 3


@dataclasses.dataclass(frozen=True)
class _FirstLayer:
  """The convolution that takes the input.

  Attributes:
    kernel: Path of its kernel, [h, w, 3, N].
    bias: Path of its bias [N], or empty.
    moving_mean: Path of the moving mean [N] of the batch norm on its output, or
      empty.
    is_padded: Whether it sees zeros around the image.
  """

  kernel: str
  bias: str
  moving_mean: str
  is_padded: bool


class _CannotAbsorbError(Exception):
  """Raised with the reason why a model cannot take another input."""


def fit(
  arrays: types.WeightSource,
  model: keras.Model | None,
  trained_on: str,
  given: str,
) -> types.WeightSource:
  """Return weights that compute the same on another input.

  Args:
    arrays: The weights, by the paths of `model`.
    model: The model to initialize.
    trained_on: Kind of input that the weights were trained on, a key of
      `normalization.KINDS`.
    given: Kind of input that `model` gets.

  Raises:
    InputError: No such kind, or the model cannot absorb the change.
  """
  old = normalization.kind(trained_on, 'pretrained_input')
  new = normalization.kind(given)
  if trained_on == given:
    return arrays
  name = arrays.name
  if model is None:
    raise errors.InputError(
      f'{name}: to fit the weights to another input ({trained_on} -> {given}) '
      'takes the model; give it too'
    )
  try:
    first = _first_layer(model)
    if first.is_padded and not old.has_zero_of(new):
      raise _CannotAbsorbError(
        'its first convolution pads the image, with another color'
      )
    changed = _folded(arrays, first, old, new)
  except _CannotAbsorbError as reason:
    raise errors.InputError(
      f'{name}: trained on images normalized as {trained_on}, here they are '
      f'{given}, and {model.name} cannot absorb the change: {reason}; give it '
      f'the images that it was trained on: --normalization={trained_on}'
    ) from None
  return types.WeightSource({**arrays, **changed}, name)


def _folded(arrays, first, old, new) -> Mapping[str, np.ndarray]:
  """Return the first layer's weights that change."""
  kernel = np.asarray(arrays.get(first.kernel, 0.0), float)
  if kernel.ndim != 4 or kernel.shape[2] != _COLORS:
    return {}  # `init.apply` reports it.
  # With u = RGB in [0, 1], old = (u - m) / s is slope * new + shift.
  stddev = np.array(old.stddev)
  slope = np.array(new.stddev) / stddev
  shift = (np.array(new.mean) - old.mean) / stddev
  kernel = kernel[:, :, ::-1] if old.bgr else kernel
  constant = np.einsum('hwcn,c->n', kernel, shift)
  kernel = kernel * slope[:, None]
  changed = {first.kernel: kernel[:, :, ::-1] if new.bgr else kernel}
  if first.bias in arrays:
    changed[first.bias] = arrays[first.bias] + constant
  elif first.moving_mean in arrays:
    changed[first.moving_mean] = arrays[first.moving_mean] - constant
  elif shift.any():
    raise _CannotAbsorbError(
      'after its first convolution is neither a bias nor a batch norm'
    )
  return {
    path: np.ascontiguousarray(array, np.float32)
    for path, array in changed.items()
  }


def _first_layer(model) -> _FirstLayer:
  graph, tensor, is_padded = model, _input(model), False
  while True:
    graph, layer, tensor = _user(graph, tensor)
    if isinstance(layer, keras.layers.Conv2D):
      break
    if not isinstance(layer, keras.layers.ZeroPadding2D):
      raise _CannotAbsorbError(
        f'its first layer is {layer.name} ({type(layer).__name__})'
      )
    is_padded = True
  if isinstance(layer, keras.layers.DepthwiseConv2D) or layer.groups > 1:
    raise _CannotAbsorbError(f'{layer.name} keeps the colors apart')
  if layer.data_format != 'channels_last':
    raise _CannotAbsorbError(f'{layer.name} is not channels_last')
  is_padded |= layer.padding != 'valid' and layer.kernel_size != (1, 1)
  moving_mean = ''
  if layer.activation is keras.activations.linear:
    moving_mean = _moving_mean(model, graph, tensor)
  path = graph_lib.Graph(model).path
  return _FirstLayer(
    path(layer.kernel),
    path(layer.bias) if layer.use_bias else '',
    moving_mean,
    is_padded,
  )


def _moving_mean(model, graph, tensor):
  try:
    _, layer, _ = _user(graph, tensor)
  except _CannotAbsorbError:
    return ''
  if not isinstance(layer, keras.layers.BatchNormalization):
    return ''
  return graph_lib.Graph(model).path(layer.moving_mean)


def _input(model):
  inputs = getattr(model, 'inputs', None)
  if not inputs or len(inputs) > 1:
    raise _CannotAbsorbError(
      f'{model.name} is not of layers after one keras.Input'
    )
  return inputs[0]


def _user(graph, tensor):
  """Return the layer that uses a tensor, its (inner) model and its output."""
  # Public Keras has a layer's tensors only if it was called once.
  users = [
    (layer, node.output_tensors[0])
    for layer in graph.layers
    for node in layer._inbound_nodes
    if any(x is tensor for x in node.input_tensors)
  ]
  if len(users) != 1:
    raise _CannotAbsorbError(f'{len(users)} layers share its input')
  layer, output = users[0]
  if isinstance(layer, keras.Model):
    return _user(layer, _input(layer))
  return graph, layer, output
