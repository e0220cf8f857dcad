"""The state of a network: its weights, and what layers keep besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epy

from transfusion_tf.models import graph as graph_lib

with epy.lazy_imports():  # Listing runs does without.
  import keras
  from keras.src.backend.common import global_state
  from keras.src.random import seed_generator
  import tensorflow as tf


def finalize_state(model: keras.Model) -> None:
  """Let layers know that weights were assigned.

  Some, as `keras.layers.Normalization`, compute with values that they derive
  from their weights.
  """
  for layer in graph_lib.layers(model):
    finalize = getattr(layer, 'finalize_state', None)
    if finalize is not None:
      finalize()


def assign(
  model: keras.Model, values: Sequence[Any] | Mapping[str, Any]
) -> None:
  """Assign weights, in the order of `model.weights` or by path."""
  if isinstance(values, Mapping):
    values = [values[weight.path] for weight in graph_lib.Graph(model).weights]
  for variable, value in zip(model.weights, values, strict=True):
    variable.assign(value)
  finalize_state(model)


def random_states(model: keras.Model) -> list[keras.Variable]:
  """Return the states of Dropout and its like, which are no weights.

  Their paths count the models that the process has built: only their order
  names them.
  """
  weights = {id(v) for v in model.weights}
  return [v for v in model.variables if id(v) not in weights]


def undrawn(model: keras.Model) -> list[keras.Variable]:
  """Return the variables to which no initialization gives a value."""
  kept = [
    w.variable
    for w in graph_lib.Graph(model).weights
    if w.role == graph_lib.STATE
  ]
  return kept + random_states(model)


def is_all_in_variables(model: keras.Model) -> bool:
  """Return whether networks of one config differ in their variables alone.

  The code of a user's layers may draw constants, and some layers of Keras
  derive values from their weights, which a traced function holds.
  """
  return all(
    _draws_from_its_own(layer) and not hasattr(layer, 'finalize_state')
    for layer in graph_lib.layers(model)
  )


def assigned_in_training(model: keras.Model) -> list[keras.Variable]:
  """Return the weights that a training step changes besides the trained ones.

  They are the moving statistics of batch norm and its like, in any layer.
  """
  weights = [
    w for w in graph_lib.Graph(model).weights if not w.variable.trainable
  ]
  if all(type(w.layer) is keras.layers.BatchNormalization for w in weights):
    return [
      w.variable
      for w in weights
      if w.layer.trainable and w.variable.name.startswith('moving_')
    ]
  # Only the code of other layers tells what they assign.
  return _assigned(model, model.non_trainable_weights)


def global_generator(model: keras.Model) -> Any:
  """Return Keras' global random generator, if training draws from it.

  Layers that draw random numbers without a seed do so, as the stochastic depth
  of `keras.applications.ConvNeXtTiny`; no model owns its `state`. It is made
  here, under the present strategy: inside of a step it would be too late.
  """
  if all(_draws_from_its_own(layer) for layer in graph_lib.layers(model)):
    return None
  generator = seed_generator.global_seed_generator()
  return generator if _assigned(model, [generator.state]) else None


def set_global_generator(generator: Any) -> None:
  """Let layers of this thread draw from a generator; each has its own."""
  name = seed_generator.GLOBAL_SEED_GENERATOR
  global_state.set_global_attribute(name, generator)


def _draws_from_its_own(layer):
  return type(layer).__module__.startswith(
    ('keras.src.layers.', 'keras.src.models.')
  ) and not isinstance(layer, keras.layers.Lambda)


def _assigned(model, variables):
  """Return those of `variables` that a training step assigns."""
  spec = tf.TensorSpec((1, *model.inputs[0].shape[1:]), model.inputs[0].dtype)
  with keras.StatelessScope() as scope:
    tf.function(
      lambda images: model(images, training=True), autograph=False
    ).get_concrete_function(spec)
  return [v for v in variables if scope.get_current_value(v) is not None]
