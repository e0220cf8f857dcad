"""A network on its devices, and what is compiled for it once.

Tracing a network and optimizing its graph can take longer than a short run.
Runs of one process that differ in values alone, as the seed, the initial
weights, the learning rate or the training images, share it (`Shared`); each
has the bits that it has alone.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import models
from transfusion_tf import tasks
from transfusion_tf.image_ops import bilinear
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import fingerprint
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import space_to_depth
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import state as state_lib
from transfusion_tf.models import unseen_positions
from transfusion_tf.train import compute
from transfusion_tf.train import evaluation
from transfusion_tf.train import optimizers
from transfusion_tf.train import step as step_lib
from transfusion_tf.train import strategy as strategy_lib

FLOAT32 = 'float32'
_PREPARE = 'prepare'  # Of operations, in profiles and compiled programs.
# What runs of one network may differ in: dotted field -> one value for all.
_VALUES = {
  'seed': 0,
  'init.scheme': '',
  'init.pretrained': '',
  'init.pretrained_input': '',
  'init.upto': '',
  'init.bn_init': '',
  'init.conv1': '',
  'data.subset': 0,
  'data.shuffle_labels': False,
  'optimizer.learning_rate': 0.0,
  'train.train_steps': 0,
  'train.train_epochs': 0.0,
  'train.eval_every': 0,
  'train.patience': 0,
  'train.patience_stderr': 0.0,
  'train.min_steps': 0,
  'train.probe_steps': 0,
  'train.select': '',
}


class Network:
  """A network on its devices.

  Attributes:
    task: The meaning of its outputs.
    strategy: The devices.
    model: The network of an experiment, with the initial weights of Keras.
    stages: Its stages.
  """

  def __init__(
    self,
    experiment: config.Experiment,
    task: tasks.Task,
    strategy: tf.distribute.Strategy | None = None,
  ):
    """Build the network, on the devices of the experiment if none are given."""
    self._experiment = experiment
    self.task = task
    self.strategy = strategy or strategy_lib.make(experiment.runtime)
    self.model = self._build()
    self.stages = models.stages_of(self.model)
    # The batches of `Evaluator`'s passes: they go on from run to run.
    self.passes: dict[str, evaluation.Passes] = {}
    self._trainable = [
      (layer, layer.trainable) for layer in graph_lib.layers(self.model)
    ]
    self._train_step: step_lib.TrainStep | None = None

  @property
  def precision(self) -> str:
    """The dtype policy of Keras, for these devices."""
    return compute.precision(self.strategy, self._experiment.train.precision)

  @functools.cached_property
  def layers(self) -> list[dict[str, Any]]:
    """The network as `models.fingerprint` describes it."""
    return fingerprint.describe(self.model)

  def prepare_training(self, batch: dict) -> tf.Tensor:
    """Convert a training batch to the network's input."""
    with tf.name_scope(_PREPARE):
      return augment.prepare(
        batch['image'], batch['uniforms'], self._experiment.data, _resize()
      )

  def prepare_evaluation(self, images: tf.Tensor) -> tf.Tensor:
    """Convert uint8 [B, C, C, 3] to the network's input."""
    data = self._experiment.data
    with tf.name_scope(_PREPARE):
      images = augment.evaluate(images, data.image_size, _resize())
      return augment.normalize(images, data.normalization)

  def probabilities(self, images: tf.Tensor) -> tf.Tensor:
    """Compute probabilities: uint8 [B, C, C, 3] -> float32 [B, K]."""
    logits = self.model(self.prepare_evaluation(images), training=False)
    return self.task.probabilities(tf.cast(logits, tf.float32))

  @functools.cached_property
  def evaluator(self) -> evaluation.Evaluator:
    """Scores a split with the present weights."""
    return evaluation.Evaluator(self.strategy, self.probabilities)

  def train_step(self, steps_per_epoch: float) -> step_lib.TrainStep:
    """Return the training step of the model as it is now frozen, at step 0.

    Args:
      steps_per_epoch: For schedules in epochs.
    """
    with strategy_lib.scope(self.strategy):
      learning_rate = optimizers.schedule(
        self._experiment.optimizer, steps_per_epoch
      )
      if self._train_step is None:
        self._learning_rate = learning_rate
        self._train_step = self._make_train_step()
    self._learning_rate.assign(learning_rate)
    self._train_step.reset()
    return self._train_step

  def in_float32(self) -> Network:
    """Return one with these weights that computes in float32; may be itself.

    Weights are float32 in every precision; only what is computed from them is
    rounded to fewer bits.
    """
    if self.precision == FLOAT32:
      return self
    experiment = config.override(self._experiment, {'train.precision': FLOAT32})
    copy = Network(experiment, self.task, self.strategy)
    weights = graph_lib.Graph(self.model).weights
    state_lib.assign(
      copy.model, {w.path: np.asarray(w.variable) for w in weights}
    )
    return copy

  def check_gradients(self) -> None:
    """Check that gradients are right in the precision of the network.

    Raises:
      InputError: They are not, on these devices.
    """
    devices = self.strategy.extended.worker_devices
    if self.precision != 'mixed_bfloat16' or not all(map(_is_cpu, devices)):
      return
    if layers := unseen_positions.layers(self.model):
      raise errors.InputError(
        f'precision=mixed_bfloat16: {errors.listed(layers, 2)} of '
        f'{self._experiment.model.name} have kernels that are larger than what '
        f'they see of {self._experiment.data.image_size} px, and TensorFlow '
        'computes their gradients wrongly on CPUs: take float32 or larger '
        'images'
      )

  def initial_weights(self) -> list[np.ndarray]:
    """Return weights that Keras draws anew, in the order of the model's."""
    return [np.asarray(weight) for weight in self._build().weights]

  def begin(self, experiment: config.Experiment) -> None:
    """Take up another run: all but the weights is as in a new network."""
    self._experiment = experiment
    for layer, trainable in self._trainable:
      layer.trainable = trainable
    undrawn = state_lib.undrawn(self.model)
    if undrawn:
      new = state_lib.undrawn(self._build())
      for variable, value in zip(undrawn, new, strict=True):
        variable.assign(value)

  def _build(self):
    with strategy_lib.scope(self.strategy, self.precision):
      model = build_model(self._experiment, len(self.task.names))
    if self._experiment.train.sync_batch_norm:
      for layer in graph_lib.layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
          layer.synchronized = True
    space_to_depth.install(model, strategy_lib.is_in_tpu_replica)
    return model

  def _make_train_step(self):
    experiment = self._experiment
    train = experiment.train
    optimizer = optimizers.make(
      experiment.optimizer, self._learning_rate, self.precision
    )
    optimizer.build(self.model.trainable_variables)
    return step_lib.TrainStep(
      self.strategy,
      self.model,
      optimizer,
      self.prepare_training,
      self.task.loss,
      train.batch_size,
      experiment.optimizer.weight_decay,
      compute.wants_xla(self.strategy, experiment),
      measure_input_wait=not train.deterministic,
      head=[
        weight.path
        for weight in graph_lib.Graph(self.model).weights
        if self.stages.stage_of(weight.path) == stages_lib.HEAD
      ],
    )


class Shared:
  """The network and data of the last run, for the next if it may have them."""

  def __init__(self):
    self._network: Network | None = None
    self._key: tuple[str, ...] = ()
    self._prepared: tfds_folder.PreparedDataset | None = None

  def prepared(
    self, opened: tfds_folder.PreparedDataset
  ) -> tfds_folder.PreparedDataset:
    """Return the data set of the last run if it is this one, else this one.

    What has been read of it, its ids and labels, is not read again.
    """
    if self._prepared is None or self._prepared.identity != opened.identity:
      self._prepared = opened
    return self._prepared

  def network(
    self, experiment: config.Experiment, task: tasks.Task, fingerprint: str
  ) -> Network:
    """Return the network of an experiment.

    Args:
      experiment: The config.
      task: The meaning of the outputs.
      fingerprint: `PreparedDataset.fingerprint` of its data.
    """
    key = (shared_by(experiment), repr(task), fingerprint)
    if self._network is not None and self._key == key:
      self._network.begin(experiment)
      return self._network
    self.clear()
    network = Network(experiment, task)
    if state_lib.is_all_in_variables(network.model):
      self._network, self._key = network, key
    return network

  @property
  def is_held(self) -> bool:
    """Whether there is a network for the next run."""
    return self._network is not None

  def clear(self) -> None:
    """Forget the network."""
    self._network, self._key = None, ()

  @contextlib.contextmanager
  def cleared_on_error(self) -> Iterator[None]:
    """Forget the network of a run that fails: it may be anywhere."""
    try:
      yield
    except BaseException:
      self.clear()
      raise


def shared_by(experiment: config.Experiment) -> str:
  """Return what runs that share a network have in common, as a text."""
  return repr(config.override(experiment, _VALUES))


def _resize():
  """Return how the present device resizes."""
  on_tpu = strategy_lib.is_in_tpu_replica()
  return bilinear.as_products if on_tpu else bilinear.native


def _is_cpu(device):
  return tf.DeviceSpec.from_string(device).device_type == 'CPU'


def build_model(experiment: config.Experiment, num_outputs: int) -> keras.Model:
  """Build the network of an experiment, with the initial weights of Keras."""
  size = experiment.data.image_size
  return models.build(
    experiment.model.name,
    num_outputs,
    (size, size, 3),
    bn_momentum=experiment.model.bn_momentum,
    stride_in=experiment.model.stride_in,
    slim_from=experiment.model.slim_from,
  )
