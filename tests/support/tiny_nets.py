"""A user's network of some hundred weights, for runs of seconds."""

import keras
from keras import layers
import numpy as np


def net(num_classes, input_shape):
  return keras.Sequential(
    [
      keras.Input(input_shape),
      layers.Conv2D(8, 5, strides=2, use_bias=False),
      layers.BatchNormalization(momentum=0.9),
      layers.ReLU(),
      layers.GlobalMaxPooling2D(),
      layers.Dense(num_classes),
    ]
  )


def staged_net(num_classes, input_shape):
  """Two stages below the head, the second without batch norm."""
  model = keras.Sequential(
    [
      keras.Input(input_shape),
      layers.Conv2D(8, 5, strides=2, use_bias=False, name='conv1'),
      layers.BatchNormalization(momentum=0.9, name='conv1_bn'),
      layers.ReLU(name='conv1_relu'),
      layers.Conv2D(12, 3, strides=2, activation='relu', name='conv2'),
      layers.GlobalMaxPooling2D(),
      layers.Dense(num_classes, name='head'),
    ]
  )
  return model, {'conv1': 'conv1', 'conv2': 'conv2', 'head': 'head'}


def net_with_dropout(num_classes, input_shape):
  """Its random state is no weight."""
  model = net(num_classes, input_shape)
  *body, head = model.layers
  return keras.Sequential(
    [keras.Input(input_shape), *body, layers.Dropout(0.2), head]
  )


class Noise(layers.Layer):
  """Adds numbers drawn when it was made, which no variable holds."""

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self._noise = np.random.normal(size=8).astype(np.float32)

  def call(self, inputs):
    return inputs + self._noise


def net_with_own_layer(num_classes, input_shape):
  model = net(num_classes, input_shape)
  *body, head = model.layers
  return keras.Sequential([keras.Input(input_shape), *body, Noise(), head])


def net_that_centers(num_classes, input_shape):
  """A layer that derives values from its weights."""
  return keras.Sequential(
    [
      keras.Input(input_shape),
      layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
      *net(num_classes, input_shape).layers,
    ]
  )
