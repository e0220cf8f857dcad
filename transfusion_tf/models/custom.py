"""User-defined Keras models, named `package.module:function`.

The function returns a model from float images to logits, with the stages if
there are more than a body and a head:

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

from collections.abc import Callable, Collection, Iterator
import contextlib
import re
import weakref

from etils import epy

from transfusion_tf import errors
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
  with _numbered_from_the_start():
    result = function(name)(num_classes, input_shape)
  model, stages = result if isinstance(result, tuple) else (result, None)
  _check(name, model, num_classes, taken)
  if stages is None:
    stages = _body_and_head(model)
  if not isinstance(stages, stages_lib.Stages):
    stages = stages_lib.Stages.from_patterns(stages, model)
  if stages.names[-1] != stages_lib.HEAD:
    raise errors.InputError(
      f'{name}: its last stage is {stages.names[-1]!r}; call the one that '
      f'makes the logits {stages_lib.HEAD!r}'
    )
  _STAGES[model] = stages
  for layer in stages_lib.all_layers(model):
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


def _check(name, model, num_classes, taken):
  wrong = None
  if not isinstance(model, keras.Model):
    wrong = f'returns {type(model).__name__}, not a keras.Model'
  elif not getattr(model, 'outputs', None):
    wrong = (
      'returns a subclassed model or one without keras.Input; make it of '
      'layers (functional or sequential), whose outputs can be looked at'
    )
  elif model.output_shape != (None, num_classes):
    wrong = (
      f'returns outputs of shape {model.output_shape}; must be '
      f'(None, {num_classes})'
    )
  elif (activation := _last_activation(model)) != 'linear':
    wrong = (
      f'ends with {activation}; must return logits: leave the last activation '
      'out'
    )
  elif model.name in taken:
    wrong = f'is called {model.name!r}, like one of ours; give it another name='
  if wrong:
    raise errors.InputError(f'{name} {wrong}')


def _last_activation(model):
  last = model.layers[-1]
  if isinstance(last, keras.layers.Softmax):
    return 'softmax'
  return getattr(getattr(last, 'activation', None), '__name__', 'linear')


def _body_and_head(model):
  """Return two stages: the last layer with weights, and all before it."""
  *_, head = [layer.name for layer in model.layers if layer.weights]
  name = re.escape(head)
  patterns = {'body': rf'(?!{name}(/|$))', stages_lib.HEAD: rf'{name}(/|$)'}
  return stages_lib.Stages.from_patterns(patterns, model)
