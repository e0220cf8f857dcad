"""Convolutions by phases are those of TensorFlow, and TPUs alone have them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf.models import space_to_depth

_PADDINGS = ('valid', 'same')


def _random(shape, seed=0):
  rng = np.random.default_rng(seed)
  return tf.constant(rng.standard_normal(shape), tf.float32)


@pytest.mark.parametrize('padding', _PADDINGS)
@pytest.mark.parametrize('kernel_size', [1, 2, 3, 4, 7])
@pytest.mark.parametrize('size', [(7, 7), (8, 8), (9, 12), (12, 9), (32, 31)])
def test_phases_are_the_convolution_of_tensorflow(size, kernel_size, padding):
  images = _random((2, *size, 3))
  kernel = _random((kernel_size, kernel_size, 3, 5), seed=1)
  results, gradients = [], []
  for convolve in (
    lambda: space_to_depth.convolve(images, kernel, padding),
    lambda: tf.nn.conv2d(images, kernel, 2, padding.upper()),
  ):
    with tf.GradientTape() as tape:
      tape.watch(kernel)
      result = convolve()
      loss = tf.reduce_sum(result**2)
    results.append(result)
    gradients.append(tape.gradient(loss, kernel))
  np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-2)


def test_a_kernel_that_is_not_square():
  images, kernel = _random((2, 16, 15, 1)), _random((5, 2, 1, 4), seed=1)
  np.testing.assert_allclose(
    space_to_depth.convolve(images, kernel, 'same'),
    tf.nn.conv2d(images, kernel, 2, 'SAME'),
    atol=1e-4,
  )


def _network(*layers):
  return keras.Sequential([keras.Input((16, 16, 3)), *layers])


def _operations(model, size=16, batch=8):
  traced = tf.function(model).get_concrete_function(
    tf.TensorSpec([batch, size, size, 3])
  )
  return {op.name for op in traced.graph.get_operations()}


def _is_by_phases(*layers, wanted=True, batch=8):
  model = _network(*layers)
  space_to_depth.install(model, lambda: wanted)
  names = _operations(model, batch=batch)
  return any('space_to_depth' in name for name in names)


def test_strided_convolutions_of_pictures_alone_are_by_phases():
  conv = keras.layers.Conv2D
  assert _is_by_phases(conv(4, 3, strides=2))
  assert not _is_by_phases(conv(4, 3, strides=2), wanted=False)
  assert not _is_by_phases(conv(4, 3, strides=2), batch=9)
  assert not _is_by_phases(conv(4, 3, strides=2), batch=None)
  assert not _is_by_phases(conv(4, 3))
  assert not _is_by_phases(conv(4, 3, dilation_rate=2))
  assert not _is_by_phases(conv(3, 3, strides=2, groups=3))
  assert not _is_by_phases(conv(8, 1), conv(8, 3, strides=2))
  assert not _is_by_phases(keras.layers.DepthwiseConv2D(3, strides=2))


def test_a_size_that_is_not_known_keeps_the_usual_convolution():
  model = keras.Sequential(
    [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, strides=2)]
  )
  space_to_depth.install(model, lambda: True)
  assert not any('space_to_depth' in n for n in _operations(model, None))


def test_weights_keep_their_paths_and_the_bias_is_added():
  model = _network(keras.layers.Conv2D(4, 3, strides=2, name='conv1'))
  paths = [weight.path for weight in model.weights]
  model.layers[0].bias.assign([1, 2, 3, 4])
  images = _random((2, 16, 16, 3))
  before = model(images)
  space_to_depth.install(model, lambda: True)
  np.testing.assert_allclose(model(images), before, atol=1e-5)
  assert [weight.path for weight in model.weights] == paths
