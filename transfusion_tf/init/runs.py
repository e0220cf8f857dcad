"""Weights of runs: folders that training wrote."""

import json
import os

import keras
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.init import types
from transfusion_tf.models import resnet
from transfusion_tf.train import checkpoint


def is_run(name: str) -> bool:
  """Whether `name` is RUN or RUN@CHECKPOINT of a folder that is there."""
  return tf.io.gfile.exists(os.path.join(_split(name)[0], 'config.json'))


def read(name: str, like: keras.Model | None) -> types.Source:
  """The weights of RUN, or of RUN@init, RUN@final or RUN@STEP.

  RUN alone means the checkpoint that the run was judged by.

  Raises:
    InputError: No such checkpoint, an unfinished run, or a geometry that is
      not that of `like`.
  """
  run_dir, which = _split(name)
  _check_geometry(run_dir, like)
  directory = os.path.join(run_dir, 'checkpoints')
  step = _step(run_dir, directory, which)
  return types.Source(checkpoint.read(directory, step), f'{run_dir}@{step}')


def _split(name):
  run_dir, at, which = name.rpartition('@')
  if not at or tf.io.gfile.isdir(name):
    return name, ''
  return run_dir, which


def _step(run_dir, directory, which):
  """The step that `which` names; the run's own choice if it is empty."""
  if which.isdigit():
    return int(which)
  if which == 'init':
    return 0
  if which == 'final':
    return max(checkpoint.steps(directory), default=0)
  if which:
    raise errors.unknown('checkpoint', which, ['init', 'final', 'STEP'])
  result = os.path.join(run_dir, 'result.json')
  if not tf.io.gfile.exists(result):
    raise errors.InputError(
      f'{run_dir}: this run is not finished; finish it or name a checkpoint: '
      f'{run_dir}@final'
    )
  with tf.io.gfile.GFile(result) as file:
    return json.load(file)['judged_step']


def _check_geometry(run_dir, like):
  # The two geometries have the same weights, which do not fit one another.
  saved = config.load(os.path.join(run_dir, 'config.json')).model
  if like is None or not like.name == saved.name == resnet.NAME:
    return
  if saved.stride_in != resnet.stride_in(like):
    raise errors.InputError(
      f'{run_dir} has stride_in={saved.stride_in}, the new net '
      f'stride_in={resnet.stride_in(like)}'
    )
