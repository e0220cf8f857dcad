"""The optimizers: Keras' own are the oracle."""

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf.models import graph
from transfusion_tf.train import optimizers
from transfusion_tf.train import step as step_lib


def test_adam_is_keras_adam_to_rounding():
  rng = np.random.default_rng(0)
  weights = [rng.normal(size=shape) for shape in ((3, 3, 4, 8), (8,))]
  gradients = [[rng.normal(size=w.shape) for w in weights] for _ in range(20)]

  def trained(optimizer):
    variables = [keras.Variable(w, dtype='float32') for w in weights]
    optimizer.build(variables)
    step = tf.function(lambda *of: optimizer.apply(of, variables))
    for of in gradients:
      step(*(tf.constant(g, tf.float32) for g in of))
    return [v.numpy() for v in (*variables, *optimizer.variables)]

  ours = trained(optimizers.Adam(0.01))
  theirs = trained(keras.optimizers.Adam(0.01))
  assert len(ours) == len(theirs)
  for our, their, before in zip(ours[:2], theirs[:2], weights, strict=True):
    assert np.abs(our - before).mean() > 0.01
    np.testing.assert_allclose(our, their, atol=1e-6)
  for our, their in zip(ours[2:], theirs[2:], strict=True):
    np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-6)


def test_weight_decay_is_of_kernels():
  """Biases are left alone, those of attention too, which have rank 2."""
  layers = keras.layers
  inputs = keras.Input((4, 8))
  x = layers.MultiHeadAttention(2, 4, name='attention')(inputs, inputs)
  x = layers.LayerNormalization(name='norm')(x)
  x = layers.GRU(3, name='gru')(x)
  model = keras.Model(inputs, layers.Dense(2, name='head')(x))
  for variable in model.weights:
    variable.assign(tf.ones(variable.shape))
  optimizer = keras.optimizers.SGD(0.1)
  optimizer.build(model.trainable_variables)
  step = step_lib.TrainStep(
    tf.distribute.get_strategy(),
    model,
    optimizer,
    lambda batch: batch['x'],
    lambda logits, targets, mask: 0 * tf.reduce_sum(logits, axis=-1),
    batch_size=1,
    weight_decay=1.0,
  )
  batch = dict.fromkeys(('targets', 'mask'), tf.ones((1, 2)))
  batches = tf.data.Dataset.from_tensors({'x': tf.ones((1, 4, 8)), **batch})
  step(iter(batches), tf.constant(1))
  for weight in graph.Graph(model).weights:
    is_kernel = weight.role == graph.KERNEL
    expected = 0.9 if is_kernel else 1.0
    np.testing.assert_allclose(weight.variable, expected, err_msg=weight.path)
    assert is_kernel == weight.path.endswith('kernel'), weight.path
