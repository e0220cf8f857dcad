"""The initializer that a layer gave a weight."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any

from etils import epy

from transfusion_tf.models import graph as graph_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras

# Of a variable.
_INITIALIZER = '_transfusion_initializer'


@contextlib.contextmanager
def recorded() -> Iterator[None]:
  """Record the initializer of each weight that layers make in this context.

  A layer does not tell it afterwards: LSTM makes one of its own for its bias,
  and others take one that no attribute holds.
  """
  add_weight = keras.layers.Layer.add_weight

  def recording(layer, *args, **kwargs):
    variable = add_weight(layer, *args, **kwargs)
    initializer = kwargs.get('initializer', args[1] if len(args) > 1 else None)
    if initializer is None:  # As Keras chooses.
      is_float = 'float' in variable.dtype
      initializer = 'glorot_uniform' if is_float else 'zeros'
    setattr(variable, _INITIALIZER, keras.initializers.get(initializer))
    return variable

  keras.layers.Layer.add_weight = recording
  try:
    yield
  finally:
    keras.layers.Layer.add_weight = add_weight


def for_weight(weight: graph_lib.Weight) -> Any:
  """Return the initializer that the layer gave a weight, or None."""
  recorded = getattr(weight.variable, _INITIALIZER, None)
  if recorded is not None:
    return recorded
  # Layers name it after the weight, but DepthwiseConv2D's `kernel` goes by
  # `depthwise_initializer` and `pointwise_kernel` by `pointwise_initializer`.
  name = weight.path.rsplit('/', 1)[-1]
  for stem in (name, name.removesuffix('_kernel'), 'depthwise'):
    named = getattr(weight.layer, f'{stem}_initializer', None)
    if named is not None:
      return named
  return None
