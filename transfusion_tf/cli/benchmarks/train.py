"""Steps a CPU second: our loop, its bare compiled step, and keras.Model.fit.

Each on one batch that is ready in memory, so that what is measured is the loop
and not the input.
"""

from collections.abc import Iterator
import statistics
import time
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import models
from transfusion_tf import tasks
from transfusion_tf.train import step as step_lib

_OUTPUTS, _ROUNDS = 5, 5


class _Case(NamedTuple):
  model: str
  size: int
  batch_size: int
  steps: int


_CASES = (
  _Case('cbr_tiny', 64, 16, 30),
  _Case('cbr_small', 224, 8, 2),
  _Case('resnet50', 128, 8, 2),
)


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  for case in _CASES:
    name = f'{case.model}, {case.size} px'
    rate = _rates(case)
    for way, figure in rate.items():
      yield f'{name}, {way}', figure, 'steps/CPU-s'
    bare, ours, fit = rate.values()
    yield f'{name}, our loop / bare step', ours / bare, 'x'
    yield f'{name}, our loop / keras fit', ours / fit, 'x'


def _rates(case):
  ways = {
    'bare step': _bare(case),
    'our loop': _loop(case),
    'keras fit': _fit(case),
  }
  seconds: dict[str, list[float]] = {name: [] for name in ways}
  for run in ways.values():
    run()
  for _ in range(_ROUNDS):
    for name, run in ways.items():
      began = time.process_time()
      run()
      seconds[name].append(time.process_time() - began)
  return {n: case.steps / statistics.median(s) for n, s in seconds.items()}


def _batches(case):
  rng = np.random.default_rng(0)
  batch = {
    'image': rng.normal(size=(case.batch_size, case.size, case.size, 3)).astype(
      np.float32
    ),
    'targets': np.eye(_OUTPUTS, dtype=np.float32)[
      rng.integers(0, _OUTPUTS, case.batch_size)
    ],
    'mask': np.ones((case.batch_size, _OUTPUTS), np.float32),
  }
  return tf.data.Dataset.from_tensors(batch).repeat()


def _parts(case):
  model = models.build(case.model, _OUTPUTS, (case.size, case.size, 3))
  optimizer = keras.optimizers.Adam(0.001)
  optimizer.build(model.trainable_variables)
  return model, optimizer, tasks.Findings(tuple('abcde'))


def _loop(case):
  strategy = tf.distribute.OneDeviceStrategy('/cpu:0')
  with strategy.scope():
    model, optimizer, task = _parts(case)
    train_step = step_lib.TrainStep(
      strategy,
      model,
      optimizer,
      lambda b: b['image'],
      task.loss,
      case.batch_size,
    )
  batches = iter(strategy.experimental_distribute_dataset(_batches(case)))
  return lambda: train_step(batches, tf.constant(case.steps, tf.int64))


def _bare(case):
  model, optimizer, task = _parts(case)
  batches = iter(_batches(case))

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
    for _ in range(case.steps):
      loss = step(next(batches))
    return loss.numpy()

  return run


def _fit(case):
  model, optimizer, _ = _parts(case)
  model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
  pairs = _batches(case).map(lambda b: (b['image'], b['targets']))
  return lambda: model.fit(pairs, steps_per_epoch=case.steps, verbose=0)
