"""The parts of a training loop on a network of a few dozen weights."""

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf.train import checkpoint
from transfusion_tf.train import history
from transfusion_tf.train import loop
from transfusion_tf.train import progress
from transfusion_tf.train import step
from transfusion_tf.train import workers

BATCH = 8


class Parts:
  """Model, optimizer, train_step and checkpoints; weights differ by `seed`."""

  def __init__(
    self,
    directory,
    seed=0,
    learning_rate=0.01,
    prepare=lambda batch: batch['x'],
    measure_input_wait=True,
  ):
    keras.utils.set_random_seed(seed)
    self.strategy = tf.distribute.get_strategy()
    self.model = keras.Sequential(
      [
        keras.layers.Input([3]),
        keras.layers.Dense(5, name='hidden'),
        keras.layers.BatchNormalization(name='bn'),
        keras.layers.Dropout(0.5, name='dropout'),
        keras.layers.Dense(2, name='head'),
      ],
      name='tiny',
    )
    optimizer = keras.optimizers.Adam(learning_rate, name='adam')
    optimizer.build(self.model.trainable_variables)
    self.train_step = step.TrainStep(
      self.strategy,
      self.model,
      optimizer,
      prepare,
      lambda logits, targets, mask: tf.reduce_mean(
        mask * (logits - targets) ** 2, axis=-1
      ),
      BATCH,
      measure_input_wait=measure_input_wait,
      head=('head/kernel', 'head/bias'),
    )
    self.checkpoints = checkpoint.Checkpoints(
      str(directory), self.model, optimizer, self.train_step.counters
    )

  def values(self):
    """All that training changes, by place."""
    variables = self.model.variables + self.train_step.optimizer.variables
    return [v.numpy() for v in variables] + [
      v.numpy() for v in self.train_step.counters.values()
    ]

  def train(self, num_steps):
    batches = iter(batches_from(self.train_step.step))
    self.train_step(batches, tf.constant(num_steps, tf.int64))

  def loop(self, run_dir, validate, schedule, **hooks):
    return loop.Loop(
      self.train_step,
      self.checkpoints,
      history.History(f'{run_dir}/metrics.jsonl', 'score'),
      schedule,
      loop.Hooks(
        batches_from, validate, hooks.pop('on_row', lambda *_: None), **hooks
      ),
      progress.Progress('tiny', BATCH, enabled=False),
      workers.Workers(self.strategy),
    )


def batches_from(start_step):
  """Batch s is a function of s."""

  def batch(number):
    seed = tf.stack([number, 0])
    x = tf.random.stateless_normal([BATCH, 3], seed)
    return {'x': x, 'targets': x[:, :2], 'mask': tf.ones([BATCH, 2])}

  return tf.data.Dataset.range(start_step, np.iinfo(np.int64).max).map(batch)
