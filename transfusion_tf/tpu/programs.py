"""The programs that a run compiles, as HLO: a training and an evaluation step.

They are those of `run.trainer` and `run.build`, of images that are stored at
the size of the network's input: augmentation, both passes and the optimizer are
inside.
"""

import typing

import keras
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import models
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import image_reader
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import trainer
from transfusion_tf.train import compute
from transfusion_tf.train import strategy as strategy_lib
from transfusion_tf.train import tpu_replica

_NUM_GRADES = 5
_STEPS_PER_EPOCH = 1000


def training_step(experiment: config.Experiment, num_chips: int = 1) -> bytes:
  """Return the HLO of a training step on one of `num_chips` chips.

  The batch of the experiment is that of all chips.
  """
  built = _build(experiment, num_chips)
  batch_size = experiment.train.batch_size
  step = trainer.make_train_step(built, _STEPS_PER_EPOCH * batch_size)
  return _hlo(
    lambda batch: built.strategy.run(step._replica_step, (batch,)),
    training_batch(built, batch_size // num_chips),
  )


def evaluation_step(experiment: config.Experiment) -> bytes:
  """Return the HLO of the probabilities of a batch on one chip."""
  built = _build(experiment, 1)
  side = _reader(built).evaluation_side
  shape = [experiment.train.batch_size, side, side, 3]
  return _hlo(
    lambda images: built.strategy.run(built.probabilities, (images,)),
    tf.zeros(shape, tf.uint8),
  )


def training_batch(built: run_lib.Run, batch_size: int) -> dict:
  """Return a batch of zeros for one replica, as `pipeline.train` makes it."""
  side = _reader(built).training_side
  targets = tf.zeros([batch_size, len(built.task.names)])
  return {
    'image': tf.zeros([batch_size, side, side, 3], tf.uint8),
    'uniforms': tf.zeros([batch_size, augment.NUM_UNIFORMS]),
    'targets': targets,
    'mask': tf.ones_like(targets),
  }


def _build(experiment, num_chips):
  keras.utils.clear_session()
  strategy = tpu_replica.TpuReplica(num_chips)
  names = tuple(map(str, range(_NUM_GRADES)))
  task = tasks.make('grade', names, experiment.data)
  policy = compute.precision(strategy, experiment.train.precision)
  with strategy_lib.scope(strategy, policy):
    model = run_lib.build_model(experiment, len(task.names))
  run_lib.synchronize(model, experiment)
  # No examples are read.
  nothing = typing.cast(tfds_folder.PreparedDataset, None)
  source = example_order.ExampleSource(
    nothing, task, experiment.data, experiment.seed
  )
  return run_lib.Run(
    experiment, source, model, models.stages_of(model), strategy
  )


def _reader(built):
  data = built.experiment.data
  return image_reader.ImageReader(data, stored_side=data.image_size)


def _hlo(function, *args):
  compiled = tf.function(function, jit_compile=True, autograph=False)
  # For the platform TPU, TensorFlow refuses variables; the HLO is the same.
  return compiled.experimental_get_compiler_ir(*args)(
    stage='hlo_serialized', device_name='/device:CPU:0'
  )
