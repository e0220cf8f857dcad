"""Seconds a run: alone, of a shared network, and bare steps and evaluations.

Runs of the demo scale that differ in their seed, on --data_dir (that of the
quickstart, demo/data). One alone has its network built and compiled; to that
come the start of a process and its imports, where it has one of its own.
"""

from collections.abc import Iterator
import contextlib
import io
import os
import statistics
import time

import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import storage
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import network as network_lib
from transfusion_tf.run import train_and_evaluate

_MODELS = ('cbr_tiny', 'resnet50')
_ROUNDS = 4


def suite(data_dir: str) -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  for model in _MODELS:
    seconds = _seconds(model, data_dir)
    for name, figure in seconds.items():
      yield f'{model}, {name}', figure, 's'
    bare, shared = seconds['bare'], seconds['of a shared network']
    yield f'{model}, shared / bare', shared / bare, 'x'
    yield f'{model}, alone / shared', seconds['alone'] / shared, 'x'


def _seconds(model, data_dir):
  shared = network_lib.Shared()
  ways = {
    'alone': lambda run: _train(run, network_lib.Shared()),
    'of a shared network': lambda run: _train(run, shared),
    'bare': lambda run: _bare(run, shared),
  }
  measured: dict[str, list[float]] = {name: [] for name in ways}
  _train(_planned(model, data_dir, _ROUNDS), shared)  # Compiles.
  for seed in range(_ROUNDS):
    for name, way in ways.items():
      measured[name].append(way(_planned(model, data_dir, seed)))
  return {name: statistics.median(times) for name, times in measured.items()}


def _planned(model, data_dir, seed):
  group = figure_specs.Group(figure_specs.RETINA, model, init_lib.RANDOM)
  return runs.plan(scales.DEMO, group, seed).at('', data_dir)


def _train(experiment, shared):
  """Train a run; return the seconds."""
  with storage.local_folder() as folder:
    began = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
      with contextlib.redirect_stderr(io.StringIO()):
        train_and_evaluate.run(
          experiment, os.path.join(folder, 'run'), shared=shared
        )
    return time.monotonic() - began


def _bare(experiment: config.Experiment, shared):
  """Take the steps and evaluations of a run, and nothing else."""
  built = run_lib.build(experiment, shared=shared)
  train = experiment.train
  train_step = built.network.train_step(1.0)
  predict = built.predictor()
  batches = iter(built.training_batches(0))
  began = time.monotonic()
  predict(tfds_folder.VALIDATION)
  for _ in range(train.train_steps // train.eval_every):
    train_step(batches, tf.constant(train.eval_every, tf.int64))
    predict(tfds_folder.VALIDATION)
  predict(tfds_folder.TEST)
  return time.monotonic() - began
