"""The programs that a run compiles, as HLO: a training and an evaluation step.

They are those of `run.network`, of images that are stored at
the size of the network's input: augmentation, both passes and the optimizer are
inside.
"""

import keras
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import image_reader
from transfusion_tf.run import network as network_lib
from transfusion_tf.train import tpu_replica

_NUM_GRADES = 5
_STEPS_PER_EPOCH = 1000


def training_step(experiment: config.Experiment, num_chips: int = 1) -> bytes:
  """Return the HLO of a training step on one of `num_chips` chips.

  The batch of the experiment is that of all chips.
  """
  network = _network(experiment, num_chips)
  batch_size = experiment.train.batch_size
  step = network.train_step(_STEPS_PER_EPOCH)
  return _hlo(
    lambda batch: network.strategy.run(step._replica_step, (batch,)),
    training_batch(network.task, experiment.data, batch_size // num_chips),
  )


def evaluation_step(experiment: config.Experiment) -> bytes:
  """Return the HLO of the probabilities of a batch on one chip."""
  network = _network(experiment, 1)
  side = _reader(experiment.data).evaluation_side
  shape = [experiment.train.batch_size, side, side, 3]
  return _hlo(
    lambda images: network.strategy.run(network.probabilities, (images,)),
    tf.zeros(shape, tf.uint8),
  )


def training_batch(
  task: tasks.Task, data: config.Data, batch_size: int
) -> dict:
  """Return a batch of zeros for one replica, as `pipeline.train` makes it."""
  side = _reader(data).training_side
  targets = tf.zeros([batch_size, len(task.names)])
  return {
    'image': tf.zeros([batch_size, side, side, 3], tf.uint8),
    'uniforms': tf.zeros([batch_size, augment.NUM_UNIFORMS]),
    'targets': targets,
    'mask': tf.ones_like(targets),
  }


def _network(experiment, num_chips):
  keras.utils.clear_session()
  names = tuple(map(str, range(_NUM_GRADES)))
  task = tasks.make('grade', names, experiment.data)
  strategy = tpu_replica.TpuReplica(num_chips)
  return network_lib.Network(experiment, task, strategy)


def _reader(data):
  return image_reader.ImageReader(data, stored_side=data.image_size)


def _hlo(function, *args):
  compiled = tf.function(function, jit_compile=True, autograph=False)
  # For the platform TPU, TensorFlow refuses variables; the HLO is the same.
  return compiled.experimental_get_compiler_ir(*args)(
    stage='hlo_serialized', device_name='/device:CPU:0'
  )
