"""Every network that the laws of initialization are tested on."""

import functools

import keras
import numpy as np
import pytest

from transfusion_tf import models
from transfusion_tf.models import stages

# Networks of others join with a table of their stages.
_MOBILENET = {
  'conv1': 'Conv1|bn_Conv1',
  'blocks': 'expanded_conv|block_',
  'top': 'Conv_1',
  'head': 'predictions',
}
_DENSENET = {
  'conv1': 'conv1_',
  'block1': 'conv2_|pool2_',
  'block2': 'conv3_|pool3_',
  'block3': 'conv4_|pool4_',
  'block4': r'conv5_|bn\b',
  'head': 'predictions',
}
_USERS = {'conv1': 'stem', 'body': 'left|right', 'head': 'grade'}


def users_model(classes=5, swap=False):
  """A user's functional model with two branches, built in either order."""
  layers = keras.layers
  x = inputs = keras.Input((16, 16, 3))
  x = layers.Conv2D(64, 7, 2, 'same', activation='relu', name='stem')(x)
  x = layers.BatchNormalization(name='stem_bn')(x)
  branches = {}
  for name in ('right', 'left') if swap else ('left', 'right'):
    y = layers.SeparableConv2D(32, 3, padding='same', name=name)(x)
    y = layers.LayerNormalization(name=f'{name}_norm')(y)
    branches[name] = layers.PReLU(shared_axes=(1, 2), name=f'{name}_act')(y)
  x = layers.Add()(list(branches.values()))
  x = layers.GlobalAveragePooling2D()(x)
  return keras.Model(inputs, layers.Dense(classes, name='grade')(x), name='own')


def build(name, classes=5):
  """The network's model and stages."""
  if name in models.NAMES:
    # 6 million weights instead of 24 million; the first layers are whole.
    options = {'slim_from': 'block2'} if name == 'resnet50' else {}
    model = models.build(name, classes, (75, 75, 3), **options)
    return model, models.stages_of(model)
  table, make = {
    'mobilenet_v2': (_MOBILENET, keras.applications.MobileNetV2),
    'densenet121': (_DENSENET, keras.applications.DenseNet121),
    'users': (_USERS, None),
  }[name]
  if make is None:
    model = users_model(classes)
  else:
    model = make(weights=None, classes=classes, input_shape=(64, 64, 3))
  return model, stages.Stages.from_patterns(table, model)


_LARGE = ('cbr_large_t', 'cbr_large_w', 'densenet121', 'inception_v3')
ALL = (
  *(name for name in models.NAMES if name not in _LARGE),
  *('mobilenet_v2', 'users'),
  *(pytest.param(name, marks=pytest.mark.slow) for name in _LARGE),
)
SMALL = ('cbr_tiny', 'users')
cached = functools.cache(build)


def pretrained(model, seed=11):
  """A source for `model`: no two weights alike, variances positive."""
  rng = np.random.default_rng(seed)
  arrays = {}
  for weight in model.weights:
    values = rng.standard_normal(tuple(weight.shape), np.float32)
    if weight.path.endswith('moving_variance'):
      values = np.exp(values / 2)
    arrays[weight.path] = values * rng.uniform(0.5, 2) + rng.uniform(0, 1)
  return {path: np.asarray(a, np.float32) for path, a in arrays.items()}


def values_of(model):
  return {w.path: np.array(w) for w in model.weights}
