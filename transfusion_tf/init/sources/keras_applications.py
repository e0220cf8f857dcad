"""Weights of `keras.applications` under the names of our networks.

Two of its networks coincide with ours: ResNet50, if ours strides in the first
unit of a block, and InceptionV3. The weights have other names, and ResNet50 has
biases before batch norm and another epsilon, which fold into the moving
statistics without changing the network's outputs.
"""

from collections.abc import Iterator, Mapping
import re

import keras
import numpy as np

from transfusion_tf import errors
from transfusion_tf.init import input_scaling
from transfusion_tf.models import resnet

_HEAD = 'predictions'
_RESNET_LAYER = re.compile(r'conv(\d)_block(\d)_(\d)_conv')


def coincide(source: keras.Model, like: keras.Model) -> bool:
  """Return whether `source` is Keras' version of our network `like`."""
  ours = {layer.name for layer in like.layers}
  theirs = {layer.name for layer in source.layers}
  resnets = 'block1.unit_1.conv1' in ours and 'conv1_conv' in theirs
  inceptions = 'Mixed_7c' in ours and 'mixed10' in theirs
  return resnets or inceptions


def check(like: keras.Model) -> None:
  """Raise InputError for our ResNet-50 if it strides elsewhere than Keras'."""
  if like.name == resnet.NAME and resnet.stride_in(like) != 'first':
    raise errors.InputError(
      "the weights of keras.applications' ResNet50 are of a net that strides "
      "in the first unit of a block; ours needs stride_in='first' for them"
    )


def for_normalized(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Return published weights, from `renamed`, for our normalized images.

  Keras' ResNet50 was trained on BGR less a mean color, its InceptionV3 on
  [-1, 1]; here images are RGB, normalized by ImageNet's mean and stddev.
  """
  rgb = dict(arrays)
  if 'conv1/kernel' in rgb:
    rgb['conv1/kernel'] = rgb['conv1/kernel'][:, :, ::-1]
  return input_scaling.for_normalized(rgb)


def renamed(source: keras.Model, like: keras.Model) -> dict[str, np.ndarray]:
  """Return the weights of `source` by the paths that `like` has for them.

  Args:
    source: A `keras.applications.ResNet50` or `InceptionV3`, with or without
      its top.
    like: Our `resnet50` with `stride_in='first'`, or our `inception_v3`.

  Raises:
    InputError: `like` strides elsewhere than Keras' ResNet50.
  """
  if any(layer.name == 'mixed10' for layer in source.layers):
    layers, suffix = _inception_layers(source, like), 'BatchNorm'
  else:
    check(like)
    layers, suffix = _resnet_layers(source), 'bn'
  arrays = {}
  for name, conv, bn in layers:
    ours = like.get_layer(f'{name}.{suffix}')
    arrays[f'{name}/kernel'] = np.asarray(conv.kernel)
    arrays |= {f'{ours.name}/{n}': a for n, a in _folded(conv, bn, ours)}
  if any(layer.name == _HEAD for layer in source.layers):
    head = source.get_layer(_HEAD)
    arrays |= {f'head/{v.name}': np.asarray(v) for v in head.weights}
  return arrays


def _folded(conv, bn, ours):
  """Return (name, array) of a BN(x) equal to BN(x + bias) at our epsilon."""
  arrays = {v.name: np.asarray(v) for v in bn.weights}
  if conv.use_bias:
    arrays['moving_mean'] = arrays['moving_mean'] - np.asarray(conv.bias)
  arrays['moving_variance'] = arrays['moving_variance'] + np.float32(
    bn.epsilon - ours.epsilon
  )
  return arrays.items()


def _resnet_layers(source) -> Iterator[tuple]:
  """Yield our convolution's name, their convolution, their batch norm."""
  for layer in source.layers:
    if not isinstance(layer, keras.layers.Conv2D):
      continue
    bn = source.get_layer(layer.name.removesuffix('conv') + 'bn')
    if layer.name == 'conv1_conv':
      yield 'conv1', layer, bn
    else:
      (stage, unit, conv), *_ = _RESNET_LAYER.findall(layer.name)
      place = 'shortcut' if conv == '0' else f'conv{conv}'
      yield f'block{int(stage) - 1}.unit_{unit}.{place}', layer, bn


def _inception_layers(source, like) -> Iterator[tuple]:
  # Their layers are anonymous: only the order of creation, kept in the number
  # that ends a name, says which is which. It is the sorted order of ours.
  ours = sorted(_of_type(like, keras.layers.Conv2D), key=lambda x: x.name)
  convs = sorted(_of_type(source, keras.layers.Conv2D), key=_number)
  norms = sorted(_of_type(source, keras.layers.BatchNormalization), key=_number)
  for layer, conv, bn in zip(ours, convs, norms, strict=True):
    yield layer.name, conv, bn


def _of_type(model, kind):
  return [layer for layer in model.layers if isinstance(layer, kind)]


def _number(layer):
  match = re.search(r'_(\d+)$', layer.name)
  return int(match[1]) if match else 0
