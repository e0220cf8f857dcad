"""Apply a scheme to a model: all or nothing, with a report of every weight."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from typing import Any

from etils import epy
import numpy as np

from transfusion_tf import errors
from transfusion_tf.init import schemes
from transfusion_tf.init import types
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.models import state as state_lib

with epy.lazy_imports():  # Help does without.
  import keras


def apply(
  model: keras.Model,
  scheme: types.Scheme,
  stages: stages_lib.Stages,
  seed: int,
) -> list[dict[str, Any]]:
  """Give every weight of `model` the initial value of a scheme.

  Nothing is assigned before all is computed. A source must fit: a weight that
  only one side has, or in another shape, is an error, except in the head,
  which then gets random values.

  Args:
    model: Any Keras model.
    scheme: A scheme of `schemes` or `compose`.
    stages: The model's stages.
    seed: Non-negative; with a weight's path it fixes that weight's draws.

  Returns:
    One row a weight, for JSON: path, stage, role, scheme, source, note, shape,
    mean, standard deviation and the values' SHA-256.

  Raises:
    InputError: A source does not fit or is not finite; no weight has changed.
  """
  weights = _weights(model, stages, seed)
  initial = [_initial_value(scheme, weight) for weight in weights]
  _raise_on_mismatch(model, stages, weights, initial)
  values = [_checked(*pair) for pair in zip(weights, initial, strict=True)]
  state_lib.assign(model, values)
  return [_row(*x) for x in zip(weights, initial, values, strict=True)]


def check_transferred(
  report: list[dict[str, Any]], source: types.WeightSource, model: keras.Model
) -> None:
  """Raise an InputError if no weight below the head was taken from a source.

  Args:
    report: What `apply` returned.
    source: The source.
    model: The model.
  """
  if all(row['source'] is None for row in report):
    raise errors.InputError(
      f'no weight of {source.name} fits {model.name} below its head: '
      'nothing would be transferred; if its layers are named otherwise, name '
      'a function that returns it as keras.Model'
    )


def freeze(
  model: keras.Model, stages: stages_lib.Stages, freeze_upto: str
) -> None:
  """Freeze the stages up to `freeze_upto` (Figures 12 and 13).

  Their batch norm then runs on its moving statistics and keeps those too.
  Freeze before an optimizer is built or a training step is traced.

  Raises:
    InputError: No such stage, or nothing would be left to train.
  """
  frozen = stages.up_to(freeze_upto)
  if frozen == stages.names:
    raise errors.InputError(
      f'freezing up to {freeze_upto} leaves nothing to train; freeze up to one '
      f'of {", ".join(stages.names[:-1])}'
    )
  for weight in graph_lib.Graph(model).weights:
    if stages.stage_of(weight.path) in frozen:
      weight.layer.trainable = False
  if not model.trainable_weights:
    raise errors.InputError(
      f'freezing up to {freeze_upto} leaves nothing of {model.name} to train'
    )


def _weights(model, stages, seed):
  weights = [
    types.Weight(w, stages.stage_of(w.path), _stream(seed, w.path))
    for w in graph_lib.Graph(model).weights
  ]
  for path, count in collections.Counter(w.path for w in weights).items():
    if count > 1:
      raise errors.InputError(
        f'{model.name} has {count} weights {path}; name its layers apart'
      )
  return weights


def _stream(seed, path):
  if seed < 0:
    raise errors.InputError(f'seed is {seed}; must not be negative')
  digest = hashlib.sha256(path.encode()).digest()
  return np.random.default_rng([seed, int.from_bytes(digest)])


def _initial_value(scheme, weight):
  """Return the value or the `WeightMismatch`: one error reports them all."""
  try:
    return scheme(weight)
  except types.WeightMismatch as mismatch:
    if weight.stage != stages_lib.HEAD:
      return mismatch
    return dataclasses.replace(schemes.random()(weight), note=str(mismatch))


def _checked(weight, initial):
  values = np.asarray(initial.values, weight.variable.dtype)
  if values.shape != weight.shape or not np.isfinite(values).all():
    raise errors.InputError(
      f'{weight.path}: the scheme {initial.scheme} gives {values.shape}, the '
      f'model wants {weight.shape} of finite numbers'
    )
  return values


def _raise_on_mismatch(model, stages, weights, initial):
  mismatches = [x for x in initial if isinstance(x, types.WeightMismatch)]
  sources = [types.name_of(x.source) for x in initial if x.source is not None]
  types.raise_on_mismatch(
    f'the weights of {", ".join(dict.fromkeys(sources))} do not fit '
    f'{model.name}',
    {
      'missing': [m.path for m in mismatches if m.shape is None],
      'of another shape': [str(m) for m in mismatches if m.shape is not None],
      f'not in {model.name}': _unread(stages, weights, initial),
    },
  )


def _unread(stages, weights, initial):
  """Return the paths of the sources, in the stages read, that no weight has."""
  known = {weight.path for weight in weights}
  body = {weight.stage for weight in weights} - {stages_lib.HEAD}
  reads = {}  # id -> the source and the stages that are read from it.
  for weight, value in zip(weights, initial, strict=True):
    if value.source is not None:
      _, read = reads.setdefault(id(value.source), (value.source, set()))
      read.add(weight.stage)
  unread = []
  for source, read in reads.values():
    # Paths of no stage count where the whole body is read.
    missed = (read - {stages_lib.HEAD}) | ({None} if read >= body else set())
    unread += [
      p for p in source if p not in known and _stage(stages, p) in missed
    ]
  return unread


def _stage(stages, path):
  try:
    return stages.stage_of(path)
  except errors.InputError:
    return None


def _row(weight, initial, values):
  return {
    'path': weight.path,
    'stage': weight.stage,
    'role': weight.role,
    'scheme': initial.scheme,
    'source': None if initial.source is None else types.name_of(initial.source),
    'note': initial.note,
    'shape': list(weight.shape),
    'mean': float(values.mean(dtype=float)),
    'stddev': float(values.std(dtype=float)),
    'sha256': hashlib.sha256(np.ascontiguousarray(values)).hexdigest(),
  }
