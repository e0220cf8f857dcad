"""Weights of `keras.applications` under the names of our networks.

Two of its networks coincide with ours: ResNet50, if ours strides in the first
unit of a block, and InceptionV3. The weights have other names, and ResNet50 has
biases before batch norm and another epsilon, which fold into the moving
statistics without changing the network's outputs.
"""

from collections.abc import Collection, Iterator
import re

import keras
import numpy as np

from transfusion_tf import errors
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import resnet

HEAD = 'predictions'
_INCEPTION_CONVOLUTIONS = 94
# Kind of input -> layers that only the networks published for it have.
_PUBLISHED_INPUTS = {
  'caffe': (
    {'conv1_conv', 'conv1_bn', 'conv5_block3_3_bn'},  # ResNet.
    {'block1_conv1', 'block5_conv3'},  # VGG.
  ),
  'inception': (
    {'mixed0', 'mixed10'},  # InceptionV3.
    {'mixed_5b', 'conv_7b'},  # InceptionResNetV2.
    {'conv1_conv', 'post_bn'},  # ResNetV2.
    {'block1_conv1', 'block14_sepconv2'},  # Xception.
    {'conv1', 'conv_pw_13'},  # MobileNet.
    {'Conv1', 'bn_Conv1', 'block_16_project'},  # MobileNetV2.
    {'stem_conv1', 'stem_bn1', 'reduction_conv_1_stem_1'},  # NASNet.
  ),
  'imagenet': ({'conv1_conv', 'conv1_bn', 'conv5_block1_concat'},),  # DenseNet.
}
_BYTES_SCALES = (1 / 255, 1 / 127.5, 1 / 128)  # To [0, 1] and to [-1, 1].
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


def published_input(model: keras.Model) -> str:
  """Return the input of the published weights of a `keras.applications` net.

  A network is known by layers of its body, so that another head, or another
  name of the model, makes no difference. Empty if it is none of theirs.
  """
  layers = graph_lib.layers(model)
  names = {layer.name for layer in layers}
  for kind, networks in _PUBLISHED_INPUTS.items():
    if any(network <= names for network in networks):
      return kind
  if any(name.endswith('_prestem_normalization') for name in names):
    return 'bytes'  # ConvNeXt.
  # EfficientNet, MobileNetV3 and users' networks that do the same.
  skipped = keras.layers.InputLayer | keras.Model
  first = next((x for x in layers if not isinstance(x, skipped)), None)
  if isinstance(first, keras.layers.Rescaling):
    return 'bytes' if first.scale in _BYTES_SCALES else ''
  return ''


def architecture_of(names: Collection[str], like: keras.Model) -> str:
  """Return the class of `keras.applications` that has layers of these names.

  Args:
    names: The layers of a file of weights alone.
    like: The model to initialize.

  Returns:
    `ResNet50` or `InceptionV3`, if `like` is our version of it; else empty.
  """
  ours = {layer.name for layer in like.layers}
  if 'block1.unit_1.conv1' in ours and 'conv1_conv' in names:
    return 'ResNet50'
  numbered = [n for n in names if re.fullmatch(r'conv2d(_\d+)?', n)]
  if 'Mixed_7c' in ours and len(numbered) == _INCEPTION_CONVOLUTIONS:
    return 'InceptionV3'
  return ''


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
  if any(layer.name == HEAD for layer in source.layers):
    head = source.get_layer(HEAD)
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
