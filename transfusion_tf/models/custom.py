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
from transfusion_tf.models import initializers
from transfusion_tf.models import network_check
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import user_function

with epy.lazy_imports():  # Listing runs does without.
  import keras
  from keras.src.backend.common import global_state

_NAME = re.compile(r'[\w.]+:\w+')
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
    with _numbered_from_the_start(), initializers.recorded():
      result = function(name)(num_classes, input_shape)
    changed = keras.config.dtype_policy()
  finally:
    keras.config.set_dtype_policy(policy)
  if changed.name != policy.name:
    raise errors.InputError(
      f'{name} sets the dtype policy {changed.name}; leave it to --precision'
    )
  model, stages = _model_and_stages(name, result, input_shape)
  network_check.check(name, model, num_classes, input_shape, taken)
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
  set_stages(model, stages)
  for layer in graph_lib.layers(model):
    if bn_momentum and isinstance(layer, keras.layers.BatchNormalization):
      layer.momentum = bn_momentum
  return model


def set_stages(model: keras.Model, stages: stages_lib.Stages) -> None:
  """Let `stages_of` return the stages of a model."""
  _STAGES[model] = stages


def stages_of(model: keras.Model) -> stages_lib.Stages | None:
  """Return the stages of a model that `build` made; None for another."""
  return _STAGES.get(model)


def classes(model: keras.Model) -> dict[str, type]:
  """Return the classes of a model's layers that are not of Keras, by name.

  Keras needs them to load the model from a file. Its own would take the place
  of operations of the same name, as of `Add`.
  """
  found = {type(layer) for layer in graph_lib.layers(model)}
  return {
    c.__name__: c for c in found if c.__module__.partition('.')[0] != 'keras'
  }


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
    with initializers.recorded():
      return keras.Model(inputs, model(inputs), name=model.name)
  except Exception as error:  # Whatever its own code raises.
    while error.__context__ is not None:  # Keras tells it at length.
      error = error.__context__
    raise errors.InputError(
      f'{name} returns a model that keras.Input({input_shape}) does not go '
      f'through: {errors.describe(error)}'
    ) from None


def _body_and_head(name, model):
  """Return two stages: the last layer with weights, and all before it."""
  graph = graph_lib.Graph(model)
  heads = [graph.nodes[n] for n in graph.heads()]
  paths = {weight.path for node in heads for weight in node.weights}
  if len(paths) == len(graph.weights):
    raise errors.InputError(
      f'{name} returns a model with all weights in {heads[-1].name}: which are '
      "its head's? return its stages, too: model, {'body': PATTERN, 'head': "
      'PATTERN}'
    )
  return stages_lib.Stages.body_and_head(graph, sorted(paths))
