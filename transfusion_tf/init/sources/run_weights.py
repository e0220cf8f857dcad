"""Weights of runs, from the folders of training."""

import os

import keras

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.init import types
from transfusion_tf.models import resnet
from transfusion_tf.train import checkpoint


def is_run(name: str) -> bool:
  """Return whether `name` is RUN[@CHECKPOINT] of an existing folder."""
  run_dir, _ = run_folder.split_checkpoint(name)
  return storage.exists(os.path.join(run_dir, run_folder.CONFIG))


def read(name: str, like: keras.Model | None) -> types.WeightSource:
  """Return the weights of RUN[@CHECKPOINT].

  Raises:
    InputError: No such checkpoint, an unfinished run, or another geometry
      than that of `like`.
  """
  run_dir, which = run_folder.split_checkpoint(name)
  saved = config.load(os.path.join(run_dir, run_folder.CONFIG))
  _check_geometry(run_dir, saved.model, like)
  step = run_folder.checkpoint_step(run_dir, which)
  directory = os.path.join(run_dir, run_folder.CHECKPOINTS)
  source = types.WeightSource(
    checkpoint.read(directory, step),
    f'{run_dir}@{step}',
    input=saved.data.normalization,
  )
  source.layers = run_folder.network(run_dir).get('layers', ())
  return source


def stride_in(name: str) -> str:
  """Return the unit of a block in which the run's ResNet-50 strides."""
  run_dir, _ = run_folder.split_checkpoint(name)
  return config.load(os.path.join(run_dir, run_folder.CONFIG)).model.stride_in


def _check_geometry(run_dir, saved, like):
  # The two geometries have the same weights, which do not fit one another.
  if like is None or not like.name == saved.name == resnet.NAME:
    return
  if saved.stride_in != resnet.stride_in(like):
    raise errors.InputError(
      f'{run_dir} has stride_in={saved.stride_in}, the new net '
      f'stride_in={resnet.stride_in(like)}'
    )
