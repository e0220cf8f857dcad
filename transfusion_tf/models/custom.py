"""User-defined Keras models, named `package.module:function`.

The function returns a model from float images to logits, with the stages if
there are more than a body and a head. The head is then the last layer with
weights, wherever it sits. A model that is no graph of layers, or has a layer
that holds both, needs the stages:

  def small_net(num_classes, input_shape):
    model = keras.applications.MobileNetV2(
      weights=None, input_shape=input_shape, classes=num_classes,
      classifier_activation=None,
    )
    return model, {
      'conv1': 'Conv1|bn_Conv1',
      'blocks': 'expanded_conv|block_',
      'top': 'Conv_1',
      'head': 'predictions',
    }

Modules are also looked up in the current folder, first of all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import re
import weakref

from etils import epy

from transfusion_tf import errors
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import user_function

with epy.lazy_imports():  # Listing runs does without.
  import keras
  from keras.src.backend.common import global_state
  import numpy as np
  import tensorflow as tf

_NAME = re.compile(r'[\w.]+:\w+')
_FACTOR = 1e6  # Of the head's weights: logits leave [0, 1].
_SHAPES_ONLY = ('Reshape', 'Flatten', 'Squeeze', 'Dropout', 'Identity', 'Cast')
_STAGES: weakref.WeakKeyDictionary[keras.Model, stages_lib.Stages] = (
  weakref.WeakKeyDictionary()
)


def is_custom(name: str) -> bool:
  """Return whether `name` has the form `package.module:function`."""
  return bool(_NAME.fullmatch(name))


def function(name: str) -> Callable:
  """Return the function `package.module:function`.

  Raises:
    InputError: There is none, or its module cannot be imported; calling it
      raises one with whatever the function raises.
  """
  return user_function.find(name)


def build(
  name: str,
  num_classes: int,
  input_shape: tuple[int | None, int | None, int],
  bn_momentum: float,
  taken: Collection[str],
) -> keras.Model:
  """Return the model of the function `name`, checked.

  Args:
    name: `package.module:function`.
    num_classes: Number of logits, K.
    input_shape: (H, W, C).
    bn_momentum: Momentum of the moving averages; 0 leaves the network's own.
    taken: Names that its model must not have.

  Raises:
    InputError: No such function, or its model is not layers from images to
      logits [B, K], or its stages do not fit it.
  """
  policy = keras.config.dtype_policy()
  try:
    with _numbered_from_the_start(), graph_lib.recorded_initializers():
      result = function(name)(num_classes, input_shape)
    changed = keras.config.dtype_policy()
  finally:
    keras.config.set_dtype_policy(policy)
  if changed.name != policy.name:
    raise errors.InputError(
      f'{name} sets the dtype policy {changed.name}; leave it to --precision'
    )
  model, stages = _model_and_stages(name, result, input_shape)
  _check(name, model, num_classes, input_shape, taken)
  if stages is None:
    stages = _body_and_head(name, model)
  try:
    if not isinstance(stages, stages_lib.Stages):
      stages = stages_lib.Stages.from_patterns(stages, model)
  except errors.InputError as error:
    raise errors.InputError(f'{name}: {error}') from None
  if stages.names[-1] != stages_lib.HEAD:
    raise errors.InputError(
      f'{name}: its last stage is {stages.names[-1]!r}; call the one that '
      f'makes the logits {stages_lib.HEAD!r}'
    )
  _STAGES[model] = stages
  for layer in graph_lib.layers(model):
    if bn_momentum and isinstance(layer, keras.layers.BatchNormalization):
      layer.momentum = bn_momentum
  return model


def stages_of(model: keras.Model) -> stages_lib.Stages | None:
  """Return the stages of a model that `build` made; None for another."""
  return _STAGES.get(model)


@contextlib.contextmanager
def _numbered_from_the_start() -> Iterator[None]:
  """Name unnamed layers as in a fresh process.

  Otherwise the second model of a process could not read the first one's
  weights. Public Keras (`clear_session`) resets its counters only together with
  all other global state.
  """
  counters = 'object_name_uids'
  before = global_state.get_global_attribute(counters)
  global_state.set_global_attribute(counters, None)
  try:
    yield
  finally:
    global_state.set_global_attribute(counters, before)


def _model_and_stages(name, result, input_shape):
  """Return the parts of what a function returned; a model as a graph."""
  model, stages = result, None
  if isinstance(result, tuple):
    if len(result) != 2:
      raise errors.InputError(
        f'{name} returns {len(result)} values; must return the model, or the '
        'model and its stages'
      )
    model, stages = result
  if stages is not None and not isinstance(stages, stages_lib.Stages | Mapping):
    raise errors.InputError(
      f'{name}: its stages are {type(stages).__name__}; must be a mapping of '
      'name -> regular expression'
    )
  if isinstance(model, keras.Model) and not graph_lib.Graph(model).nodes:
    model = _as_layer(name, model, input_shape)
  return model, stages


def _as_layer(name, model, input_shape):
  """Return a graph of one layer, a subclassed model."""
  inputs = keras.Input(input_shape)
  try:
    with graph_lib.recorded_initializers():
      return keras.Model(inputs, model(inputs), name=model.name)
  except Exception as error:  # Whatever its own code raises.
    while error.__context__ is not None:  # Keras tells it at length.
      error = error.__context__
    raise errors.InputError(
      f'{name} returns a model that keras.Input({input_shape}) does not go '
      f'through: {errors.describe(error)}'
    ) from None


def _check(name, model, num_classes, input_shape, taken):
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
  """Return whether outputs are in [0, 1] however large the head's weights.

  It finds sigmoid and softmax in any disguise. Several devices compute it only
  inside a step.
  """
  if tf.distribute.get_strategy().num_replicas_in_sync > 1:
    return False
  shape = [size or 64 for size in model.inputs[0].shape[1:]]
  images = np.random.default_rng(0).normal(size=(2, *shape))
  head = [
    (weight.variable, weight.variable * _FACTOR)
    for node in _heads(graph)
    for weight in graph.nodes[node].weights
    if weight.role == graph_lib.KERNEL
  ]
  with keras.StatelessScope(head):
    outputs = model(images.astype(np.float32), training=False)
  outputs = np.asarray(outputs)
  return bool(((outputs >= 0) & (outputs <= 1)).all() and outputs.any())


def _heads(graph):
  """Return the nodes with weights that no other node with weights follows."""
  weighted = [n for n, node in enumerate(graph.nodes) if node.weights]
  followed = {a for n in weighted for a in graph.nodes[n].ancestors}
  return [n for n in weighted if n not in followed]


def _body_and_head(name, model):
  """Return two stages: the last layer with weights, and all before it."""
  graph = graph_lib.Graph(model)
  heads = [graph.nodes[n] for n in _heads(graph)]
  paths = {weight.path for node in heads for weight in node.weights}
  if len(paths) == len(graph.weights):
    raise errors.InputError(
      f'{name} returns a model with all weights in {heads[-1].name}: which are '
      "its head's? return its stages, too: model, {'body': PATTERN, 'head': "
      'PATTERN}'
    )
  return stages_lib.Stages.body_and_head(graph, sorted(paths))
