"""Both forms of the bilinear resize, and which device gets which."""

import host_xla
import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf.image_ops import bilinear
from transfusion_tf.input_pipeline import augment
from transfusion_tf.train import strategy as strategy_lib
from transfusion_tf.train import tpu_replica


def _images(size, count=2):
  rng = np.random.default_rng(0)
  return tf.constant(rng.random((count, size, size, 3)), tf.float32)


@host_xla.needed
@pytest.mark.parametrize(
  ('size', 'side'), [(528, 587), (202, 224), (58, 64), (64, 50), (7, 1)]
)
def test_products_are_the_resize_of_tf_image(size, side):
  images = _images(size)
  np.testing.assert_allclose(
    bilinear.as_products(images, side), bilinear.native(images, side), atol=1e-6
  )


@host_xla.needed
def test_products_have_the_gradient_of_tf_image():
  images = _images(29)

  def gradient(resize):
    with tf.GradientTape() as tape:
      tape.watch(images)
      loss = tf.reduce_sum(resize(images, 32) ** 2)
    return tape.gradient(loss, images)

  np.testing.assert_allclose(
    gradient(bilinear.as_products), gradient(bilinear.native), atol=1e-5
  )


def test_weights_of_a_pixel_sum_to_one():
  weights = bilinear.matrix(528, 587)
  np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
  assert ((weights > 0).sum(axis=1) <= 2).all()


@host_xla.needed
def test_augmented_images_are_the_same_in_both_forms():
  images = tf.cast(255 * _images(58, count=6), tf.uint8)
  uniforms = tf.random.stateless_uniform([6, augment.NUM_UNIFORMS], (0, 1))
  forms = [
    augment.augment(images, uniforms, 64, config.Augment(), resize)
    for resize in (bilinear.native, bilinear.as_products)
  ]
  np.testing.assert_allclose(*forms, atol=1e-5)


@host_xla.needed
def test_products_state_their_precision():
  """TPUs round factors to bfloat16 where a program says nothing."""
  program = bilinear.as_products.experimental_get_compiler_ir(_images(29), 32)(
    stage='hlo'
  )
  products = [line for line in program.splitlines() if ' dot(' in line]
  assert len(products) == 2
  for line in products:
    assert 'operand_precision={highest,highest}' in line


def test_only_replicas_of_tpus_get_the_products():
  replica = tpu_replica.TpuReplica()
  assert replica.run(strategy_lib.is_in_tpu_replica)
  assert not strategy_lib.is_in_tpu_replica()  # Of the same run, on its host.
  cpu = tf.distribute.OneDeviceStrategy('/cpu:0')
  assert not cpu.run(strategy_lib.is_in_tpu_replica)


def test_kinds_of_strategies():
  assert strategy_lib.is_tpu(tpu_replica.TpuReplica())
  assert not strategy_lib.is_tpu(tf.distribute.OneDeviceStrategy('/cpu:0'))
