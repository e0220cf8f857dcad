"""Networks as people have them, small: each a kind that once went wrong.

`--model=zoo:NAME` builds one. `NETWORKS` lists them, with two of our own.
"""

import dataclasses
import importlib.util

import keras
from keras import layers
from keras import ops
from keras.src.applications import convnext
from keras.src.applications import densenet
from keras.src.applications import efficientnet
from keras.src.applications import efficientnet_v2
from keras.src.applications import nasnet
from keras.src.applications import resnet
import numpy as np


@dataclasses.dataclass(frozen=True)
class Network:
  """One network of the zoo.

  Attributes:
    name: Its name in the table.
    model: Value of --model.
    is_slow: Whether its laws take more than some seconds.
    image_size: Side of its images, in pixels.
    needs: A package that may be missing.
  """

  name: str
  model: str
  is_slow: bool = True
  image_size: int = 32
  needs: str = ''

  @property
  def is_installed(self) -> bool:
    return not self.needs or importlib.util.find_spec(self.needs) is not None


NETWORKS = {
  'cbr_tiny': Network('cbr_tiny', 'cbr_tiny'),
  'resnet50': Network('resnet50', 'resnet50'),
}


def _add(build=None, **facts):
  def add(build):
    name = build.__name__
    NETWORKS[name] = Network(name, f'zoo:{name}', **facts)
    return build

  return add if build is None else add(build)


_fast = _add(is_slow=False)


def _application(make, num_classes, input_shape, *args, **kwargs):
  """A network of keras.applications with random weights, to logits."""
  return make(
    *args,
    weights=None,
    input_shape=input_shape,
    classes=num_classes,
    classifier_activation=None,
    **kwargs,
  )


# The networks of keras.applications, those of them that are large with fewer
# and narrower blocks.


@_add
def mobilenet_v2(num_classes, input_shape):
  model = _application(
    keras.applications.MobileNetV2,
    num_classes,
    input_shape,
    alpha=0.35,
  )
  return model, {
    'conv1': 'Conv1|bn_Conv1',
    'blocks': 'expanded_conv|block_',
    'top': 'Conv_1|out_relu',
    'head': 'predictions',
  }


@_add
def mobilenet_v3(num_classes, input_shape):
  return _application(
    keras.applications.MobileNetV3Small,
    num_classes,
    input_shape,
    minimalistic=False,
  )


@_add
def efficientnet_b0(num_classes, input_shape):
  return _application(
    efficientnet.EfficientNet,
    num_classes,
    input_shape,
    width_coefficient=0.25,
    depth_coefficient=0.3,
    default_size=32,
    name='efficientnet',
    weights_name='b0',
  )


@_add
def efficientnet_v2_b0(num_classes, input_shape):
  return _application(
    efficientnet_v2.EfficientNetV2,
    num_classes,
    input_shape,
    width_coefficient=0.25,
    depth_coefficient=0.3,
    default_size=32,
    name='efficientnetv2-b0',
    weights_name='b0',
  )


@_add
def convnext_tiny(num_classes, input_shape):
  return _application(
    convnext.ConvNeXt,
    num_classes,
    input_shape,
    depths=(1, 1, 2, 1),
    projection_dims=(8, 16, 32, 64),
    drop_path_rate=0.1,
    name='convnext',
    weights_name='convnext_tiny',
  )


@_add
def nasnet_mobile(num_classes, input_shape):
  return _application(
    nasnet.NASNet,
    num_classes,
    input_shape,
    penultimate_filters=96,
    num_blocks=1,
    stem_block_filters=8,
    skip_reduction=False,
    include_top=True,
    default_size=32,
  )


@_add
def densenet121(num_classes, input_shape):
  return _application(
    densenet.DenseNet,
    num_classes,
    input_shape,
    (2, 2, 2, 2),
  )


@_add
def resnet50_v2(num_classes, input_shape):
  def blocks(x):
    x = resnet.stack_residual_blocks_v2(x, 8, 2, name='conv2')
    return resnet.stack_residual_blocks_v2(x, 16, 2, stride1=1, name='conv3')

  return _application(
    resnet.ResNet,
    num_classes,
    input_shape,
    blocks,
    preact=True,
    use_bias=True,
  )


@_add(image_size=71)
def xception(num_classes, input_shape):
  return _application(
    keras.applications.Xception,
    num_classes,
    input_shape,
  )


@_add
def vgg16(num_classes, input_shape):
  base = keras.applications.VGG16(False, None, input_shape=input_shape)
  return keras.Model(base.inputs, _end(base.outputs[0], num_classes))


@_add(needs='keras_hub', image_size=64)
def keras_hub_vit(num_classes, input_shape):
  import keras_hub

  backbone = keras_hub.models.ViTBackbone(
    image_shape=input_shape,
    patch_size=16,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    mlp_dim=32,
  )
  inputs = keras.Input(input_shape)
  return keras.Model(inputs, _logits(backbone(inputs)[:, 0], num_classes))


# Transformers and recurrent layers.


class ClassToken(layers.Layer):
  """Puts a learned token before the patches [B, N, C], and adds positions."""

  def build(self, input_shape):
    _, count, width = input_shape
    self.token = self.add_weight((1, 1, width), 'zeros', name='token')
    self.positions = self.add_weight(
      (1, count + 1, width),
      keras.initializers.TruncatedNormal(0.02),
      name='pos',
    )

  def call(self, patches):
    token = ops.repeat(self.token, ops.shape(patches)[0], axis=0)
    return ops.concatenate([token, patches], axis=1) + self.positions


@_fast
def vit(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(16, 8, 8, name='patches')(inputs)
  x = ClassToken(name='embedding')(layers.Reshape((-1, 16))(x))
  for n in (1, 2):
    y = layers.LayerNormalization(name=f'block{n}_norm1')(x)
    x += layers.MultiHeadAttention(2, 8, name=f'block{n}_attention')(y, y)
    y = layers.LayerNormalization(name=f'block{n}_norm2')(x)
    y = layers.Dense(32, 'gelu', name=f'block{n}_mlp1')(y)
    x += layers.Dense(16, name=f'block{n}_mlp2')(y)
  model = keras.Model(inputs, _logits(x[:, 0], num_classes), name='vit')
  return model, {
    'patches': 'patches|embedding',
    'block1': 'block1',
    'block2': 'block2',
    'head': 'logits',
  }


@_add
def scaled_attention(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(8, 8, 8)(inputs)
  x = layers.Reshape((-1, 8))(x)
  x = layers.Attention(use_scale=True, score_mode='concat')([x, x])
  x = layers.AdditiveAttention()([x, x])
  return keras.Model(inputs, _end(x, num_classes))


@_add
def lstm(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(8, 8, 8, name='patches')(inputs)
  x = layers.LSTM(6, name='lstm')(layers.Reshape((-1, 8))(x))
  return keras.Model(inputs, _logits(x, num_classes))


@_add
def bidirectional_gru(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(8, 8, 8)(inputs)
  x = layers.Bidirectional(layers.GRU(6))(layers.Reshape((-1, 8))(x))
  return keras.Model(inputs, _logits(x, num_classes))


@_add
def time_distributed(num_classes, input_shape):
  """Strips of the image, one after the other."""
  height, width, channels = input_shape
  inputs = keras.Input(input_shape)
  x = layers.Reshape((4, height // 4, width, channels))(inputs)
  x = layers.TimeDistributed(layers.Conv2D(8, 3, 2, activation='relu'))(x)
  x = layers.TimeDistributed(layers.BatchNormalization())(x)
  x = layers.TimeDistributed(layers.GlobalMaxPooling2D())(x)
  return keras.Model(inputs, _logits(layers.GRU(6)(x), num_classes))


# Models in models.


def _body(input_shape, name):
  inputs = keras.Input(input_shape)
  x = _conv(inputs, 8, 'a')
  return keras.Model(inputs, _conv(x, 8, 'b'), name=name)


@_fast
def nested_functional(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = _body(input_shape, 'backbone')(inputs)
  features = keras.Input(x.shape[1:])
  head = keras.Model(features, _end(features, num_classes), name='classifier')
  return keras.Model(inputs, head(x))


@_fast
def nested_sequential(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = keras.Sequential(
    [
      layers.Conv2D(8, 3, 2, name='conv'),
      layers.BatchNormalization(name='norm'),
      layers.ReLU(),
    ],
    name='stem',
  )(inputs)
  x = keras.Sequential([layers.Conv2D(8, 3, 2, name='conv')], name='top')(x)
  model = keras.Model(inputs, _end(x, num_classes))
  return model, {'stem': 'stem', 'top': 'top', 'head': 'logits'}


@_add
def whole_network_in_sequential(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  inner = keras.Sequential(
    [
      keras.Input(input_shape),
      layers.Conv2D(8, 3, 2, name='conv'),
      layers.BatchNormalization(name='norm'),
      layers.GlobalAveragePooling2D(),
      layers.Dense(num_classes, name='logits'),
    ],
    name='inner',
  )
  return keras.Model(inputs, inner(layers.Rescaling(0.5)(inputs)), name='outer')


@_fast
def two_of_one_name(num_classes, input_shape):
  """Two models inside, whose layers have the same names."""
  inputs = keras.Input(input_shape)
  x = _body(input_shape, 'first')(inputs)
  x = _body(x.shape[1:], 'second')(x)
  model = keras.Model(inputs, _end(x, num_classes))
  return model, {'first': 'first', 'second': 'second', 'head': 'logits'}


@_add
def frozen_base(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  base = _body(input_shape, 'base')
  base.trainable = False
  x = layers.Conv2D(8, 3, name='adapter')(base(inputs))
  model = keras.Model(inputs, _end(x, num_classes))
  return model, {'base': 'base', 'adapter': 'adapter', 'head': 'logits'}


@_add
def named_like_its_head(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.GlobalAveragePooling2D()(_conv(inputs, 8, 'a'))
  x = layers.Dense(num_classes, name='classifier')(x)
  return keras.Model(inputs, x, name='classifier')


@_fast
def nameless_sequential(num_classes, input_shape):
  return keras.Sequential(
    [
      keras.Input(input_shape),
      layers.Conv2D(8, 5, 2),
      layers.BatchNormalization(),
      layers.ReLU(),
      layers.Conv2D(8, 3, 2),
      layers.Flatten(),
      layers.Dense(num_classes),
    ]
  )


class Subclassed(keras.Model):
  """No graph of layers."""

  def __init__(self, num_classes, **kwargs):
    super().__init__(**kwargs)
    self.conv = layers.Conv2D(8, 3, 2, name='conv')
    self.norm = layers.BatchNormalization(name='norm')
    self.pool = layers.GlobalAveragePooling2D()
    self.logits = layers.Dense(num_classes, name='logits')

  def call(self, images, training=False):
    x = ops.relu(self.norm(self.conv(images), training=training))
    return self.logits(self.pool(x))


@_fast
def subclassed(num_classes, input_shape):
  model = Subclassed(num_classes, name='subclassed')
  return model, {'body': '.*(conv|norm)/', 'head': '.*logits/'}


# Layers inside layers, and layers used more than once.


class ConvBlock(layers.Layer):
  """Convolution and batch norm, with all that Keras needs to load it."""

  def __init__(self, filters, **kwargs):
    super().__init__(**kwargs)
    self.conv = layers.Conv2D(filters, 3, 2, name='conv')
    self.norm = layers.BatchNormalization(name='norm')

  def build(self, input_shape):
    self.conv.build(input_shape)
    self.norm.build(self.conv.compute_output_shape(input_shape))
    self.built = True

  def call(self, x, training=False):
    return ops.relu(self.norm(self.conv(x), training=training))

  def get_config(self):
    return super().get_config() | {'filters': self.conv.filters}


@_fast
def composite_layers(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = ConvBlock(8, name='block1')(inputs)
  x = ConvBlock(8, name='block2')(x)
  model = keras.Model(inputs, _end(x, num_classes))
  return model, {'block1': 'block1', 'block2': 'block2', 'head': 'logits'}


class Opaque(ConvBlock):
  """Says nothing about itself: Keras cannot make another."""

  def __init__(self, build_conv, **kwargs):
    layers.Layer.__init__(self, **kwargs)
    self.conv = build_conv()
    self.norm = layers.BatchNormalization(name='norm')

  def get_config(self):
    raise NotImplementedError('an opaque layer')


@_add
def opaque_layer(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = Opaque(lambda: layers.Conv2D(8, 3, 2, name='conv'), name='block')(inputs)
  return keras.Model(inputs, _end(x, num_classes))


@_fast
def shared_layer(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  shared = layers.Conv2D(8, 3, padding='same', activation='tanh', name='shared')
  x = layers.Conv2D(8, 3, 2, name='stem')(inputs)
  x = shared(shared(x))
  model = keras.Model(inputs, _end(x, num_classes))
  return model, {'stem': 'stem', 'shared': 'shared', 'head': 'logits'}


@_fast
def late_branches(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  branches = []
  for n in (1, 2, 3):
    x = layers.Conv2D(8, 2 * n - 1, 2, 'same', name=f'branch{n}_conv')(inputs)
    x = layers.BatchNormalization(name=f'branch{n}_norm')(x)
    branches.append(layers.GlobalAveragePooling2D(name=f'branch{n}_pool')(x))
  x = layers.Concatenate(name='joined')(branches)
  model = keras.Model(inputs, _logits(x, num_classes))
  return model, {'branches': 'branch', 'head': 'logits'}


@_fast
def operations(num_classes, input_shape):
  """`keras.ops` and operators between layers."""
  inputs = keras.Input(input_shape)
  x = ops.relu(layers.Conv2D(8, 3, 2, name='conv1')(2 * inputs - 1))
  y = layers.Conv2D(8, 3, 1, 'same', name='conv2')(x)
  x = ops.mean(ops.maximum(x + y, 0.1 * y), axis=(1, 2))
  model = keras.Model(inputs, _logits(x, num_classes))
  return model, {'conv1': 'conv1', 'conv2': 'conv2', 'head': 'logits'}


@_add
def lambda_layer(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Lambda(lambda x: 2 * x - 1)(inputs)
  return keras.Model(inputs, _end(_conv(x, 8, 'a'), num_classes))


@_add
def squeeze_excite(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = _conv(inputs, 8, 'a')
  gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
  gate = layers.Conv2D(4, 1, activation='relu', name='squeeze')(gate)
  gate = layers.Conv2D(8, 1, activation='sigmoid', name='excite')(gate)
  return keras.Model(inputs, _end(layers.Multiply()([x, gate]), num_classes))


# One kind of layer each.


def _with_norm(num_classes, input_shape, norm):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(8, 3, 2, name='conv1')(inputs)
  x = layers.Conv2D(8, 3, 2, name='conv2')(ops.relu(norm(x)))
  model = keras.Model(inputs, _end(x, num_classes))
  return model, {'conv1': 'conv1|norm', 'conv2': 'conv2', 'head': 'logits'}


@_add
def group_norm(num_classes, input_shape):
  norm = layers.GroupNormalization(4, name='norm')
  return _with_norm(num_classes, input_shape, norm)


@_add
def layer_norm(num_classes, input_shape):
  norm = layers.LayerNormalization(name='norm')
  return _with_norm(num_classes, input_shape, norm)


@_add
def rms_norm(num_classes, input_shape):
  norm = layers.RMSNormalization(name='norm')
  return _with_norm(num_classes, input_shape, norm)


@_add
def unit_norm(num_classes, input_shape):
  norm = layers.UnitNormalization(name='norm')
  return _with_norm(num_classes, input_shape, norm)


@_add
def spectral_norm(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  conv = layers.Conv2D(8, 3, 2, name='conv')
  x = layers.SpectralNormalization(conv, name='conv1')(inputs)
  x = layers.Conv2D(8, 3, 2, name='conv2')(ops.relu(x))
  model = keras.Model(inputs, _end(x, num_classes))
  return model, {'conv1': 'conv1', 'conv2': 'conv2', 'head': 'logits'}


@_add
def augmenting(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.RandomFlip('horizontal')(inputs)
  x = layers.RandomRotation(0.1)(x)
  x = layers.RandomBrightness(0.1, value_range=(-3, 3))(x)
  return keras.Model(inputs, _end(_conv(x, 8, 'a'), num_classes))


@_fast
def normalization(num_classes, input_shape):
  """Adapted statistics, and a scale of one's own."""
  adapted = layers.Normalization(name='statistics')
  images = np.random.default_rng(0).normal(0.3, 2, (16, *input_shape))
  adapted.adapt(images.astype(np.float32))
  inputs = keras.Input(input_shape)
  x = adapted(layers.Rescaling(0.5, 0.1)(inputs))
  x = layers.Conv2D(8, 5, 2, name='conv1')(x)
  model = keras.Model(inputs, _end(ops.relu(x), num_classes))
  return model, {'conv1': 'statistics|conv1', 'head': 'logits'}


@_add
def separable(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.SeparableConv2D(8, 3, 2, name='separable')(inputs)
  x = layers.PReLU(shared_axes=(1, 2), name='prelu')(x)
  x = layers.DepthwiseConv2D(3, 2, name='depthwise')(x)
  return keras.Model(inputs, _end(x, num_classes))


class StochasticDepth(layers.Layer):
  """Drops whole images of a branch."""

  def __init__(self, rate, **kwargs):
    super().__init__(**kwargs)
    self.rate = rate
    self.seeds = keras.random.SeedGenerator()

  def call(self, x, training=False):
    if not training:
      return x
    shape = (ops.shape(x)[0], 1, 1, 1)
    kept = keras.random.uniform(shape, seed=self.seeds) >= self.rate
    return ops.where(kept, x / (1 - self.rate), 0.0)


@_fast
def random_layers(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = _conv(layers.GaussianNoise(0.1)(inputs), 8, 'a')
  y = layers.SpatialDropout2D(0.2)(_conv(x, 8, 'b', 1))
  x = layers.Add()([x, StochasticDepth(0.2)(y)])
  x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
  return keras.Model(inputs, _logits(x, num_classes))


@_add
def half_precision(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(8, 3, 2, dtype='float16')(inputs)
  return keras.Model(inputs, _end(x, num_classes))


@_add
def channels_first(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Permute((3, 1, 2))(inputs)
  first = {'data_format': 'channels_first'}
  x = layers.ZeroPadding2D(1, **first)(x)
  x = layers.Conv2D(8, 3, 2, **first)(x)
  x = layers.BatchNormalization(axis=1)(x)
  x = layers.GlobalAveragePooling2D(**first)(x)
  return keras.Model(inputs, _logits(x, num_classes))


class Penalty(layers.Layer):
  """Adds a loss of its activations."""

  def call(self, x):
    self.add_loss(1e-3 * ops.mean(ops.square(x)))
    return x


@_add
def penalties(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(8, 3, 2, kernel_regularizer='l2', name='conv')(inputs)
  x = layers.BatchNormalization(gamma_regularizer='l2', name='norm')(x)
  x = layers.ActivityRegularization(l2=1e-4)(Penalty()(x))
  return keras.Model(inputs, _end(x, num_classes))


@_fast
def constraints(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = layers.Conv2D(
    8,
    3,
    2,
    kernel_constraint=keras.constraints.UnitNorm((0, 1, 2)),
    name='conv',
  )(inputs)
  x = layers.BatchNormalization(gamma_constraint='non_neg', name='norm')(x)
  x = layers.GlobalAveragePooling2D()(x)
  x = layers.Dense(8, kernel_constraint=keras.constraints.MaxNorm(1))(x)
  return keras.Model(inputs, _logits(x, num_classes))


class Counter(layers.Layer):
  """Counts the steps, and multiplies by a weight of rank 0."""

  def build(self, input_shape):
    self.steps = self.add_weight(
      (), 'zeros', dtype='int32', trainable=False, name='steps'
    )
    self.factor = self.add_weight((), 'ones', name='factor')

  def call(self, x, training=False):
    if training:
      self.steps.assign(self.steps + 1)
    return self.factor * x


@_fast
def counter(num_classes, input_shape):
  inputs = keras.Input(input_shape)
  x = Counter(name='counter')(_conv(inputs, 8, 'a'))
  return keras.Model(inputs, _end(x, num_classes))


def _conv(x, filters, name, stride=2):
  x = layers.Conv2D(filters, 3, stride, 'same', name=f'{name}_conv')(x)
  x = layers.BatchNormalization(momentum=0.9, name=f'{name}_norm')(x)
  return layers.ReLU(name=f'{name}_relu')(x)


def _end(x, num_classes):
  if len(x.shape) == 3:
    return _logits(layers.GlobalAveragePooling1D()(x), num_classes)
  return _logits(layers.GlobalAveragePooling2D()(x), num_classes)


def _logits(x, num_classes):
  return layers.Dense(num_classes, name='logits', dtype='float32')(x)
