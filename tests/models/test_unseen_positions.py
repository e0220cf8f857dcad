"""Kernels that are larger than what they see."""

import keras
import numpy as np
import prepared_sets
import pytest
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf.models import unseen_positions
from transfusion_tf.run import train_and_evaluate


def _net(size, kernel, stride, dilation, depthwise):
  inputs = keras.Input((size, size, 4))
  layer = keras.layers.DepthwiseConv2D if depthwise else keras.layers.Conv2D
  channels = () if depthwise else (5,)
  outputs = layer(
    *channels,
    kernel_size=kernel,
    strides=stride,
    dilation_rate=dilation,
    padding='same',
    name='conv',
  )(inputs)
  return keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(outputs))


@pytest.mark.parametrize('depthwise', [False, True])
@pytest.mark.parametrize(('stride', 'dilation'), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize('kernel', [3, 5, 7])
def test_their_gradients_are_zero(kernel, stride, dilation, depthwise):
  """And no others: in float32, TensorFlow says so."""
  for size in (1, 2, 3, 4, 5, 8):
    model = _net(size, kernel, stride, dilation, depthwise)
    images = np.random.default_rng(size).normal(size=(8, size, size, 4))
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(model.layers[1](images.astype(np.float32)) ** 2)
    gradient = tape.gradient(loss, model.layers[1].kernel.value).numpy()
    is_unseen = ~gradient.any(axis=(2, 3))
    found = unseen_positions.layers(model)
    assert found == (['conv'] if is_unseen.any() else []), (size, is_unseen)


def test_bfloat16_is_refused_where_its_gradients_are_wrong(data_dir, tmp_path):
  """CBR-LargeT at 32 px: 7 x 7 on 2 x 2."""
  experiment = prepared_sets.experiment(
    data_dir, model__name='cbr_large_t', train__precision='mixed_bfloat16'
  )
  with pytest.raises(errors.InputError, match=r'conv5 .*float32'):
    train_and_evaluate.run(experiment, str(tmp_path / 'run'))
