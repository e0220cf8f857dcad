"""Runs made for tests, and what tests read from their folders."""

import collections
import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from transfusion_tf import run_folder
from transfusion_tf.run import network
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.train import checkpoint

_shared = collections.defaultdict(network.Shared)


def train(experiment, run_dir) -> dict:
  """Trains in this process, where runs of one network trace it once.

  Not for networks that a test defines: another may have their name.
  """
  shared = _shared[network.shared_by(experiment)]
  return train_and_evaluate.run(experiment, str(run_dir), shared=shared)


def steps(run_dir) -> list[int]:
  return checkpoint.steps(os.path.join(run_dir, run_folder.CHECKPOINTS))


def rows(run_dir) -> list[dict]:
  path = pathlib.Path(run_dir, run_folder.METRICS)
  lines = path.read_text().splitlines() if path.exists() else []
  return [json.loads(line) for line in lines]


def state(run_dir, step=None) -> dict[str, np.ndarray]:
  """Every number in a checkpoint: weights, slots, counters, random states."""
  directory = os.path.join(run_dir, run_folder.CHECKPOINTS)
  step = steps(run_dir)[-1] if step is None else step
  reader = tf.train.load_checkpoint(checkpoint.prefix(directory, step))
  return {
    name: reader.get_tensor(name)
    for name in reader.get_variable_to_shape_map()
    if name != '_CHECKPOINTABLE_OBJECT_GRAPH'
  }


def assert_same(run_dir, other) -> None:
  """The same bits: all checkpoints, metrics.jsonl, test scores, result."""
  assert steps(run_dir) == steps(other)
  for step in steps(run_dir):
    one, two = state(run_dir, step), state(other, step)
    assert one.keys() == two.keys()
    assert any(name.startswith('optimizer') for name in one)
    for name, value in one.items():
      message = f'{name} at step {step}'
      np.testing.assert_array_equal(value, two[name], err_msg=message)
  for name in (run_folder.METRICS, run_folder.TEST_SCORES):
    texts = [pathlib.Path(d, name).read_bytes() for d in (run_dir, other)]
    assert texts[0] == texts[1], name
  results = [run_folder.result(str(d)) for d in (run_dir, other)]
  for result in results:
    del result['seconds'], result['timing']
  assert results[0] == results[1]
