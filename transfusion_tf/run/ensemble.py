"""Several trained runs as one: the mean of their probabilities.

Gulshan et al. (JAMA 316(22), 2016) train ten networks on the same data and
average their predictions linearly. So do we: probabilities have a meaning that
networks share, logits a scale that each has found for itself, by which one
that is too sure of itself would outvote the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf import tasks
from transfusion_tf.models import custom
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import network as network_lib
from transfusion_tf.train import evaluation
from transfusion_tf.train import strategy as strategy_lib

# What a network is shown of an image; members have to agree in it.
_PREPARATION = (
  *('data.image_size', 'data.normalization'),
  *('data.eval_crop', 'data.eval_square'),
)


@dataclasses.dataclass(frozen=True)
class Member:
  """A run at one checkpoint.

  Attributes:
    run_dir: The run's folder.
    step: The checkpoint's.
    experiment: The run's config.
    task: The meaning of its outputs.
  """

  run_dir: str
  step: int
  experiment: config.Experiment
  task: tasks.Task

  @property
  def name(self) -> str:
    """The folder's name and the step."""
    return f'{run_folder.name(self.run_dir)}@{self.step}'


class Ensemble(network_lib.Network):
  """The mean of networks' probabilities, as a network.

  Attributes:
    networks: The networks, on the same devices.
  """

  def __init__(
    self,
    experiment: config.Experiment,
    networks: Sequence[network_lib.Network],
  ):
    """Join the networks; `experiment` states what they have in common."""
    self.networks = tuple(networks)
    first = self.networks[0]
    super().__init__(experiment, first.task, first.strategy)

  @property
  def precision(self) -> str:
    """The dtype policies of the networks."""
    return ' and '.join(sorted({each.precision for each in self.networks}))

  def each(self, images: tf.Tensor) -> tf.Tensor:
    """Compute every network's probabilities: uint8 images -> [M, B, K]."""
    prepared = self.prepare_evaluation(images)
    return tf.stack(
      [
        self.task.probabilities(
          tf.cast(network.model(prepared, training=False), tf.float32)
        )
        for network in self.networks
      ]
    )

  def probabilities(self, images: tf.Tensor) -> tf.Tensor:
    """Compute the mean probabilities: uint8 [B, C, C, 3] -> float32 [B, K]."""
    return tf.reduce_mean(self.each(images), axis=0)

  @functools.cached_property
  def each_evaluator(self) -> evaluation.Evaluator:
    """Scores a split with every network: [N, M * K]."""

    def forward(images):
      by_image = tf.transpose(self.each(images), [1, 0, 2])
      return tf.reshape(by_image, [tf.shape(images)[0], -1])

    return evaluation.Evaluator(self.strategy, forward)

  def in_float32(self) -> network_lib.Network:
    copies = [network.in_float32() for network in self.networks]
    if all(a is b for a, b in zip(copies, self.networks, strict=True)):
      return self
    return Ensemble(self._experiment, copies)

  def _build(self):
    with strategy_lib.scope(self.strategy):
      model = joined(self.task, [network.model for network in self.networks])
    stages = [
      dataclasses.replace(
        stage,
        name=f'{inner}_{stage.name}',
        pattern=f'{inner}/{stage.pattern}',
        endpoint=stage.endpoint and f'{inner}/{stage.endpoint}',
      )
      for inner, network in zip(
        _inner_names(self.networks), self.networks, strict=True
      )
      for stage in network.stages
    ]
    custom.set_stages(model, stages_lib.Stages(tuple(stages)))
    return model


def _inner_names(models):
  return [f'member_{n}' for n in range(1, len(models) + 1)]


def joined(task: tasks.Task, models: Sequence[keras.Model]) -> keras.Model:
  """Return a Keras model: images -> logits of the mean probabilities.

  Args:
    task: The meaning of the outputs.
    models: Functional models, images -> logits.
  """
  inputs = keras.Input(models[0].input_shape[1:])
  found = []
  for name, model in zip(_inner_names(models), models, strict=True):
    inner = keras.Model(model.inputs, model.outputs, name=name)
    logits = inner(inputs)
    found.append(
      keras.ops.cast(
        logits[0] if isinstance(logits, list) else logits, 'float32'
      )
    )
  outputs = _LOGITS_OF_MEAN[isinstance(task, tasks.Classes)](found)
  return keras.Model(inputs, outputs, name=_name(models))


def _name(members):
  return f'ensemble_of_{len(members)}'


def _of_choice(logits):
  total = sum(keras.ops.softmax(each) for each in logits)
  return keras.ops.log(
    keras.ops.maximum(total / len(logits), tasks.LEAST_OF_CHOICE)
  )


def _of_sigmoids(logits):
  total = sum(keras.ops.sigmoid(each) for each in logits)
  inner = keras.ops.clip(total / len(logits), tasks.LEAST, 1 - tasks.LEAST)
  return keras.ops.log(inner) - keras.ops.log1p(-inner)


# The same as `Task.logits`, of which Keras makes a graph that it can save.
_LOGITS_OF_MEAN = {True: _of_choice, False: _of_sigmoids}


@dataclasses.dataclass(frozen=True, eq=False)
class EnsembleRun(run_lib.Run):
  """An ensemble with the data that it is shown, as a run.

  Attributes:
    parts: Its members.
  """

  parts: tuple[Member, ...] = ()

  @property
  def members(self) -> tuple[str, ...]:
    return tuple(part.name for part in self.parts)

  @property
  def settings(self) -> dict[str, Any]:
    """The settings of the members; all of them where they differ."""
    all_settings = [config.flatten(part.experiment) for part in self.parts]
    return {
      name: _common([settings[name] for settings in all_settings])
      for name in all_settings[0]
    }

  def each_probabilities(self, split: str) -> np.ndarray:
    """Return every member's probabilities of a split's examples, [M, N, K]."""
    assert isinstance(self.network, Ensemble)
    count = self.source.prepared.num_examples(split)
    found = self.network.each_evaluator(self.passes(split), count)
    by_image = found.reshape(count, len(self.parts), -1)
    return by_image.transpose(1, 0, 2)


def _common(values):
  different = list(dict.fromkeys(map(str, values)))
  return values[0] if len(different) == 1 else ' or '.join(different)


def load_run(
  named: Sequence[tuple[str, str]],
  dataset: str = '',
  class_map: Sequence[str] = (),
  **changes,
) -> EnsembleRun:
  """Load an ensemble with a data set.

  Args:
    named: Folder and checkpoint of each run, as in `build.load_run`.
    dataset: A data set to open in place of the first run's.
    class_map: `THEIRS=OURS`, as in `build`.
    **changes: Changes to the runs' `config.Runtime`.

  Raises:
    InputError: A run is there twice; outputs do not mean the same, or images
      are not prepared in the same way.
  """
  _check_different(named)
  first = run_lib.load_run(*named[0], dataset, class_map, **changes)
  parts = _members(named, first.task, **changes)
  network = _ensemble(parts, first.network, **changes)
  return EnsembleRun(
    _experiment(parts, changes), first.source, network, tuple(parts)
  )


def load_network(
  named: Sequence[tuple[str, str]], task: tasks.Task, **changes
) -> tuple[Ensemble, list[Member]]:
  """Load an ensemble without data.

  Args:
    named: Folder and checkpoint of each run.
    task: The meaning of the first one's outputs.
    **changes: Changes to the runs' `config.Runtime`.

  Returns:
    The network and its members.

  Raises:
    InputError: As `load_run`.
  """
  _check_different(named)
  parts = _members(named, task, **changes)
  first = run_lib.load_network(*named[0], task, **changes)
  return _ensemble(parts, first, **changes), parts


def _check_different(named):
  known = {}
  for run_dir, which in named:
    step = run_folder.checkpoint_step(run_dir, which)
    key = os.path.realpath(run_dir), step
    if key in known:
      raise errors.InputError(
        f'{run_dir} at step {step} is there twice; an ensemble is of different '
        'networks'
      )
    known[key] = run_dir


def _members(named, task, **changes):
  parts: list[Member] = []
  for run_dir, which in named:
    experiment = run_lib.load_config(run_dir, **changes)
    own = run_folder.task(run_dir, experiment.data) if parts else task
    if own is None:
      raise errors.InputError(
        f'{run_dir}: an earlier version began this run and did not finish it: '
        'the meaning of its outputs is not known'
      )
    step = run_folder.checkpoint_step(run_dir, which)
    parts.append(Member(run_dir, step, experiment, own))
  for part in parts[1:]:
    _check_alike(parts[0], part)
  return parts


def _check_alike(first, other):
  """Raise InputError if two members have no common mean."""
  differences = _different(_meaning(first.task), _meaning(other.task))
  if differences:
    raise errors.InputError(
      f'{other.run_dir} has outputs of another meaning than {first.run_dir} '
      f'({differences}); an ensemble needs the same'
    )
  forms = [
    {f'stored {key}': value for key, value in form.items()}
    for form in map(run_folder.stored_form, (first.run_dir, other.run_dir))
  ]
  if not all(forms):
    forms = [{}, {}]  # An earlier version did not record one of them.
  settings = [config.flatten(m.experiment) for m in (first, other)]
  views = [
    {name: own[name] for name in _PREPARATION} | form
    for own, form in zip(settings, forms, strict=True)
  ]
  if differences := _different(*views):
    raise errors.InputError(
      f'{other.run_dir} was shown images prepared in another way than '
      f'{first.run_dir} ({differences}); an ensemble needs the same'
    )


def _meaning(task):
  record = tasks.to_json(task)
  return {**record, 'names': errors.listed(record['names'], 8)}


def _different(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
  """Return `NAME: THEIRS, not OURS` of what differs."""
  return '; '.join(
    f'{name}: {other.get(name)}, not {first.get(name)}'
    for name in {**first, **other}
    if first.get(name) != other.get(name)
  )


def _ensemble(parts, first, **changes):
  others = [
    run_lib.load_network(
      part.run_dir, str(part.step), part.task, first.strategy, **changes
    )
    for part in parts[1:]
  ]
  return Ensemble(_experiment(parts, changes), [first, *others])


def _experiment(parts, changes):
  """Return the first member's config, as one of an ensemble."""
  first = parts[0].experiment
  runtime = dataclasses.replace(first.runtime, **changes)
  model = dataclasses.replace(first.model, name=_name(parts))
  return dataclasses.replace(first, model=model, runtime=runtime)
