"""Networks by name: images [B, H, W, 3] -> logits, float32."""

from __future__ import annotations

from collections.abc import Sequence

from etils import epy

from transfusion_tf import errors

# isort: off
# Networks register in the paper's order, which `NAMES` and messages keep.
from transfusion_tf.models import resnet
from transfusion_tf.models import inception_v3  # noqa: F401
from transfusion_tf.models import cbr  # noqa: F401

# isort: on
from transfusion_tf.models import custom
from transfusion_tf.models import registry
from transfusion_tf.models import stages

with epy.lazy_imports():  # Listing runs does without.
  import keras

NAMES = registry.NETWORKS.keys()  # A view: it shows what registers later.


def build(
  name: str,
  num_classes: int,
  input_shape: tuple[int | None, int | None, int],
  bn_momentum: float = 0.0,
  stride_in: str = 'last',
  slim_from: str = '',
) -> keras.Model:
  """Build a network of `NAMES`, or a user-defined one, with random weights.

  Args:
    name: Its name; `package.module:function` is user-defined (`custom`).
    num_classes: Number of logits.
    input_shape: (H, W, C); H and W may be None: any image size.
    bn_momentum: Fraction of the old moving average kept at each training step;
      0 is the network's value in TF-Slim.
    stride_in: Unit of a ResNet's block that strides: `last`, as the paper's,
      or `first`, as `keras.applications`.
    slim_from: First stage at half width: the Slim hybrids of Section 5.

  Raises:
    InputError: An unknown name, an option that the network lacks, or settings
      of Keras that make another network.
  """
  _check_keras()
  if num_classes < 1:
    raise errors.InputError(f'num_classes is {num_classes}; must be at least 1')
  if custom.is_custom(name):
    known: Sequence[str] = ()
    hint = 'build the narrower network in a function of its own'
  elif name in registry.NETWORKS:
    known = registry.NETWORKS[name].options
    hint = f'{resnet.NAME} and the CBR networks have'
  else:
    raise errors.unknown('model', name, [*NAMES, 'package.module:function'])
  if stride_in != 'last' and 'stride_in' not in known:
    raise errors.InputError(
      f'stride_in={stride_in} is for {resnet.NAME}, not for {name}'
    )
  if slim_from and 'slim_from' not in known:
    raise errors.InputError(
      f'slim_from={slim_from}: {name} has no slim hybrid; {hint}'
    )
  if custom.is_custom(name):
    return custom.build(name, num_classes, input_shape, bn_momentum, NAMES)
  options = {'stride_in': stride_in, 'slim_from': slim_from}
  return registry.NETWORKS[name].build(
    num_classes,
    input_shape,
    bn_momentum,
    **{key: value for key, value in options.items() if key in known},
  )


def _check_keras():
  """Raise an InputError if the process has settings that no command has."""
  backend, order = keras.config.backend(), keras.config.image_data_format()
  if backend != 'tensorflow':
    raise errors.InputError(
      f"Keras' backend is {backend}, and these networks run on tensorflow: set "
      'KERAS_BACKEND=tensorflow before keras is imported'
    )
  if order != 'channels_last':
    raise errors.InputError(
      f"Keras' image_data_format is {order}, and images here are [H, W, C]: "
      "call keras.config.set_image_data_format('channels_last')"
    )


def stages_of(model: keras.Model) -> stages.Stages:
  """Return the stages of a model that `build` made.

  Raises:
    InputError: Another model; `stages.Stages.from_patterns` is for those.
  """
  custom_stages = custom.stages_of(model)
  if custom_stages is not None:
    return custom_stages
  if model.name in registry.NETWORKS:
    return registry.NETWORKS[model.name].stages_of(model)
  raise errors.InputError(
    f'the stages of {model.name!r} are not known here; make them with '
    'stages.Stages.from_patterns'
  )
