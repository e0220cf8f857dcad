"""The loss of a step compiled for TPUs is that of other devices."""

import host_xla
import keras
import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import tasks
from transfusion_tf.run import network as network_lib
from transfusion_tf.tpu import programs
from transfusion_tf.train import tpu_replica


def _experiment(model, image_size):
  return config.override(
    config.RETINA,
    {
      'model.name': model,
      'data.image_size': image_size,
      'train.batch_size': 8,
    },
  )


def _loss(experiment, strategy):
  """The loss of the first step, on a batch of noise."""
  keras.utils.set_random_seed(0)
  task = tasks.make('grade', tuple('01234'), experiment.data)
  network = network_lib.Network(experiment, task, strategy)
  step = network.train_step(steps_per_epoch=100)
  batch = programs.training_batch(task, experiment.data, 8)
  rng = np.random.default_rng(0)
  targets = tf.constant(rng.integers(0, 2, batch['targets'].shape), tf.float32)
  batch |= {
    'image': tf.constant(rng.integers(0, 256, batch['image'].shape), tf.uint8),
    'uniforms': tf.random.stateless_uniform(batch['uniforms'].shape, (0, 1)),
    'targets': targets,
  }
  return float(strategy.run(tf.function(step._replica_step), (batch,)))


@host_xla.needed
@pytest.mark.parametrize(
  ('model', 'image_size'),
  [
    ('cbr_tiny', 64),
    pytest.param('resnet50', 224, marks=pytest.mark.slow),
    pytest.param('cbr_small', 587, marks=pytest.mark.slow),
  ],
)
def test_loss_is_the_same_to_rounding(model, image_size):
  experiment = _experiment(model, image_size)
  on_tpu = _loss(experiment, tpu_replica.TpuReplica())
  elsewhere = _loss(experiment, tf.distribute.OneDeviceStrategy('/cpu:0'))
  print(model, image_size, on_tpu, elsewhere)
  assert on_tpu == pytest.approx(elsewhere, rel=1e-5)
