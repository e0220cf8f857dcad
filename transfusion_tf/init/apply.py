"""Runs a scheme over a model: all or nothing, with a report of every weight."""

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
from transfusion_tf.models import stages as stages_lib

with epy.lazy_imports():  # Help does without.
  import keras

_LISTED = 4  # Weights of one kind that an error names.


def apply(
  model: keras.Model,
  scheme: types.Scheme,
  stages: stages_lib.Stages,
  seed: int,
) -> list[dict[str, Any]]:
  """Give every weight of `model` the start that `scheme` says.

  Nothing is assigned before all is computed. A source must fit: a weight that
  only one side has, or in another shape, is an error, except in the head,
  which then starts random.

  Args:
    model: Any Keras model.
    scheme: See `schemes` and `compose`.
    stages: The model's.
    seed: Non-negative; with a weight's path it fixes that weight's draws.

  Returns:
    One row a weight, for JSON: path, stage, role, scheme, source, note, shape,
    mean, standard deviation and the values' SHA-256.

  Raises:
    InputError: A source does not fit or is not finite; no weight has changed.
  """
  weights = _weights(model, stages, seed)
  starts = [_start(scheme, weight) for weight in weights]
  _refuse_misfits(model, stages, weights, starts)
  values = [_checked(*pair) for pair in zip(weights, starts, strict=True)]
  for weight, value in zip(weights, values, strict=True):
    weight.variable.assign(value)
  return [_row(*x) for x in zip(weights, starts, values, strict=True)]


def freeze(
  model: keras.Model, stages: stages_lib.Stages, freeze_upto: str
) -> None:
  """Keep the stages up to `freeze_upto` as they are (Figures 12 and 13).

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
  for path, _, layer in _owned(model):
    if stages.of(path) in frozen:
      layer.trainable = False


def _owned(model):
  """(path, weight, the innermost layer that has it), in the model's order."""
  # No public method walks nested models and composite layers alike.
  layers = model._flatten_layers()  # Outer before inner.
  owners = {id(v): layer for layer in layers for v in layer.weights}
  return [
    (stages_lib.path_of(v, model), v, owners[id(v)]) for v in model.weights
  ]


def _weights(model, stages, seed):
  weights = [
    types.Weight(path, v, layer, stages.of(path), _stream(seed, path))
    for path, v, layer in _owned(model)
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


def _start(scheme, weight):
  """Return a `Start`, or the `Misfit`: all of them go into one error."""
  try:
    return scheme(weight)
  except types.Misfit as misfit:
    if weight.stage != stages_lib.HEAD:
      return misfit
    return dataclasses.replace(schemes.random()(weight), note=str(misfit))


def _checked(weight, start):
  values = np.asarray(start.values, weight.variable.dtype)
  if values.shape != weight.shape or not np.isfinite(values).all():
    raise errors.InputError(
      f'{weight.path}: the scheme {start.scheme} gives {values.shape}, the '
      f'model wants {weight.shape} of finite numbers'
    )
  return values


def _refuse_misfits(model, stages, weights, starts):
  misfits = [x for x in starts if isinstance(x, types.Misfit)]
  found = {
    'missing': [m.path for m in misfits if m.there is None],
    'of another shape': [str(m) for m in misfits if m.there is not None],
    f'not in {model.name}': _unread(stages, weights, starts),
  }
  if any(found.values()):
    sources = {
      types.name_of(x.source): None for x in starts if x.source is not None
    }
    raise errors.InputError(
      f'the weights of {", ".join(sources)} do not fit {model.name}; '
      + '; '.join(
        f'{kind}: {errors.listed(x, _LISTED)}' for kind, x in found.items() if x
      )
    )


def _unread(stages, weights, starts):
  """Paths that a source has in the stages it starts, and the model has not."""
  known = {weight.path for weight in weights}
  body = {weight.stage for weight in weights} - {stages_lib.HEAD}
  reads = {}  # id -> the source and the stages that it starts.
  for weight, start in zip(weights, starts, strict=True):
    if start.source is not None:
      reads.setdefault(id(start.source), (start.source, set()))[1].add(
        weight.stage
      )
  unread = []
  for source, read in reads.values():
    # What belongs to no stage is missed where the whole body is started.
    missed = (read - {stages_lib.HEAD}) | ({None} if read >= body else set())
    unread += [
      p for p in source if p not in known and _stage(stages, p) in missed
    ]
  return unread


def _stage(stages, path):
  try:
    return stages.of(path)
  except errors.InputError:
    return None


def _row(weight, start, values):
  return {
    'path': weight.path,
    'stage': weight.stage,
    'role': weight.role,
    'scheme': start.scheme,
    'source': None if start.source is None else types.name_of(start.source),
    'note': start.note,
    'shape': list(weight.shape),
    'mean': float(values.mean(dtype=float)),
    'stddev': float(values.std(dtype=float)),
    'sha256': hashlib.sha256(np.ascontiguousarray(values)).hexdigest(),
  }
