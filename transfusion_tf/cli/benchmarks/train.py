"""Steps a second: our loop, its bare compiled step, and keras.Model.fit.

CBR-Tiny at 64 px and batch 16 on one batch that is ready in memory, so that
what is measured is the loop and not the input.
"""

from collections.abc import Iterator
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import models
from transfusion_tf import tasks
from transfusion_tf.train import step as step_lib

_SIZE, _BATCH, _OUTPUTS = 64, 16, 5
_STEPS, _ROUNDS = 30, 5


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  ways = {'bare step': _bare(), 'our loop': _loop(), 'keras fit': _fit()}
  seconds: dict[str, list[float]] = {name: [] for name in ways}
  for run in ways.values():
    run()
  for _ in range(_ROUNDS):
    for name, run in ways.items():
      began = time.monotonic()
      run()
      seconds[name].append(time.monotonic() - began)
  rate = {n: _STEPS / statistics.median(s) for n, s in seconds.items()}
  for name, figure in rate.items():
    yield name, figure, 'steps/s'
  yield 'our loop / bare step', rate['our loop'] / rate['bare step'], 'x'
  yield 'our loop / keras fit', rate['our loop'] / rate['keras fit'], 'x'


def _batches():
  rng = np.random.default_rng(0)
  batch = {
    'image': rng.normal(size=(_BATCH, _SIZE, _SIZE, 3)).astype(np.float32),
    'targets': np.eye(_OUTPUTS, dtype=np.float32)[
      rng.integers(0, _OUTPUTS, _BATCH)
    ],
    'mask': np.ones((_BATCH, _OUTPUTS), np.float32),
  }
  return tf.data.Dataset.from_tensors(batch).repeat()


def _parts():
  model = models.build('cbr_tiny', _OUTPUTS, (_SIZE, _SIZE, 3))
  optimizer = keras.optimizers.Adam(0.001)
  optimizer.build(model.trainable_variables)
  return model, optimizer, tasks.Findings(tuple('abcde'))


def _loop():
  strategy = tf.distribute.OneDeviceStrategy('/cpu:0')
  with strategy.scope():
    model, optimizer, task = _parts()
    train_step = step_lib.TrainStep(
      strategy, model, optimizer, lambda b: b['image'], task.loss, _BATCH
    )
  batches = iter(strategy.experimental_distribute_dataset(_batches()))
  return lambda: train_step(batches, tf.constant(_STEPS, tf.int64))


def _bare():
  model, optimizer, task = _parts()
  batches = iter(_batches())

  @tf.function
  def step(batch):
    with tf.GradientTape() as tape:
      logits = model(batch['image'], training=True)
      losses = task.loss(logits, batch['targets'], batch['mask'])
      loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss

  def run():
    for _ in range(_STEPS):
      loss = step(next(batches))
    return loss.numpy()

  return run


def _fit():
  model, optimizer, _ = _parts()
  model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
  pairs = _batches().map(lambda b: (b['image'], b['targets']))
  return lambda: model.fit(pairs, steps_per_epoch=_STEPS, verbose=0)
