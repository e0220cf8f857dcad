"""Networks by name: images [B, H, W, 3] -> logits, float32."""

import keras

from transfusion_tf import errors
from transfusion_tf.models import cbr
from transfusion_tf.models import custom
from transfusion_tf.models import inception_v3
from transfusion_tf.models import resnet
from transfusion_tf.models import stages

NAMES = (resnet.NAME, inception_v3.NAME, *cbr.NETS)


def build(
  name: str,
  num_classes: int,
  input_shape: tuple[int | None, int | None, int],
  bn_momentum: float = 0.0,
  stride_in: str = 'last',
  slim_from: str = '',
) -> keras.Model:
  """Builds a network of `NAMES`, or one's own, with random weights.

  Args:
    name: Which one; `package.module:function` is one's own (`own`).
    num_classes: Number of logits.
    input_shape: (H, W, C); H and W may be None: any image size.
    bn_momentum: Share of the old moving average kept at each training step; 0
      is the network's own in TF-Slim.
    stride_in: Unit of a ResNet's block that strides: `last`, as the paper's,
      or `first`, as `keras.applications`.
    slim_from: First stage at half width: the Slim hybrids of Section 5.1.

  Raises:
    InputError: An unknown name, or something that this network cannot do.
  """
  if num_classes < 1:
    raise errors.InputError(f'num_classes is {num_classes}; must be at least 1')
  if name == resnet.NAME:
    return resnet.build(
      num_classes, input_shape, bn_momentum, stride_in, slim_from
    )
  if (name in NAMES or custom.is_own(name)) and stride_in != 'last':
    raise errors.InputError(
      f'stride_in={stride_in} is for {resnet.NAME}, not for {name}'
    )
  if name in cbr.NETS:
    return cbr.build(name, num_classes, input_shape, bn_momentum, slim_from)
  if name == inception_v3.NAME:
    if slim_from:
      raise errors.InputError(
        f'slim_from={slim_from}: {name} has no slim hybrid; '
        f'{resnet.NAME} and the CBR networks have'
      )
    return inception_v3.build(num_classes, input_shape, bn_momentum)
  if custom.is_own(name):
    return _own(name, num_classes, input_shape, bn_momentum, slim_from)
  raise errors.unknown('model', name, [*NAMES, 'package.module:function'])


def stages_of(model: keras.Model) -> stages.Stages:
  """The stages of a model that `build` made.

  Raises:
    InputError: Another model; `stages.Stages.of_patterns` makes stages for it.
  """
  if found := custom.stages_of(model):
    return found
  for module in (resnet, inception_v3):
    if model.name == module.NAME:
      return module.stages_of(model)
  if model.name in cbr.NETS:
    return cbr.stages_of(model)
  raise errors.InputError(
    f'the stages of {model.name!r} are not known here; make them with '
    'stages.Stages.of_patterns'
  )


def _own(name, num_classes, input_shape, bn_momentum, slim_from):
  if slim_from:
    raise errors.InputError(
      f'slim_from={slim_from}: {name} has no slim hybrid; build the narrower '
      'network in a function of its own'
    )
  model = custom.build(name, num_classes, input_shape, taken=NAMES)
  for layer in model._flatten_layers():
    if bn_momentum and isinstance(layer, keras.layers.BatchNormalization):
      layer.momentum = bn_momentum
  return model
