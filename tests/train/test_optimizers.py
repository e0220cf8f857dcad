"""The optimizers: Keras' own are the oracle."""

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf.train import optimizers


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
