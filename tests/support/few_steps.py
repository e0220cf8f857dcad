"""Some training steps of a network of the zoo on noise.

  python few_steps.py MODEL IMAGE_SIZE OUTPUT

takes them on two devices; OUTPUT (.json) names the weights of which the devices
then hold other bits, and those that break their constraint.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf.models import graph
from transfusion_tf.train import optimizers
from transfusion_tf.train import step

NUM_STEPS = 3
_BATCH = 8
_NUM_CLASSES = 5


def take(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
  """Take the steps, with Adam: it moves a weight however small its gradient."""
  hparams = config.Optimizer()
  with strategy.scope():
    optimizer = optimizers.make(hparams, optimizers.schedule(hparams, 1))
    optimizer.build(model.trainable_variables)
  train_step = step.TrainStep(
    strategy,
    model,
    optimizer,
    lambda batch: batch['image'],
    lambda logits, targets, mask: tf.nn.softmax_cross_entropy_with_logits(
      targets, logits
    ),
    _BATCH,
  )
  batches = strategy.experimental_distribute_dataset(_noise(model))
  train_step(iter(batches), tf.constant(NUM_STEPS, tf.int64))


def broken_constraints(model: keras.Model) -> list[str]:
  """Return the paths of trained weights that their constraint would change."""
  return [
    weight.path
    for weight in graph.Graph(model).weights
    if weight.variable.trainable
    and weight.variable.constraint is not None
    and not np.allclose(
      weight.variable, weight.variable.constraint(weight.variable), atol=1e-5
    )
  ]


def _noise(model):
  rng = np.random.default_rng(0)
  count = NUM_STEPS * _BATCH
  images = rng.normal(size=(count, *model.inputs[0].shape[1:]))
  targets = np.eye(_NUM_CLASSES)[rng.integers(_NUM_CLASSES, size=count)]
  columns = {
    'image': images,
    'targets': targets,
    'mask': np.ones_like(targets),
  }
  return tf.data.Dataset.from_tensor_slices(
    {name: values.astype(np.float32) for name, values in columns.items()}
  ).batch(_BATCH, drop_remainder=True)


def _main(name, image_size, output):
  cpu = tf.config.list_physical_devices('CPU')[0]
  tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
  )
  keras.utils.set_random_seed(1)
  strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
  size = int(image_size)
  with strategy.scope():
    model = models.build(name, _NUM_CLASSES, (size, size, 3))
  take(model, strategy)
  differing = []
  for weight in graph.Graph(model).weights:
    first, second = strategy.experimental_local_results(weight.variable.value)
    if not np.array_equal(first, second):
      differing.append(weight.path)
  with open(output, 'w') as file:
    json.dump([differing, broken_constraints(model)], file)


if __name__ == '__main__':
  try:
    _main(*sys.argv[1:])
  except (errors.InputError, errors.RunError) as error:
    sys.exit(str(error))
