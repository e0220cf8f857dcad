"""Checkpoints: values by name, in folders that are written atomically.

RUN/checkpoints/step-00000000 holds the weights before training, for later
analyses; the last few steps and the best one are kept as well.

On a disk a folder takes its name when it is complete. In a bucket a checkpoint
is two objects, and valid through its index, which is written last and deleted
first: TensorFlow would make it of forty requests, and store its data three
times. It is also read by way of this machine, for TensorFlow asks for every
weight by itself.

The checkpoint keys of Keras are positions in the model, and they omit the
state of random layers. Here each variable is stored under its path: inserting
a layer moves no weight, and `read` needs no model.
"""

import collections
from collections.abc import Callable, Collection, Iterator
import contextlib
import os
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import scratch
from transfusion_tf import storage
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import state as state_lib

_MODEL, _RANDOM = 'model', 'random'
_OPTIMIZER, _COUNTERS = 'optimizer', 'counters'
_PREFIX = 'checkpoint'
_INDEX = f'{_PREFIX}.index'
_SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE'
# Errors of reading a checkpoint, and those of them that do not mean damage.
_UNREADABLE = (
  tf.errors.OpError,
  AssertionError,
  FileNotFoundError,
  IndexError,
  ValueError,
)
_OUT_OF_REACH = (
  tf.errors.AbortedError,
  tf.errors.CancelledError,
  tf.errors.DeadlineExceededError,
  tf.errors.PermissionDeniedError,
  tf.errors.ResourceExhaustedError,
  tf.errors.UnauthenticatedError,
  tf.errors.UnavailableError,
)


class Checkpoints:
  """The checkpoints of one run.

  One can be taken into memory (`snapshot`) and is written with the next: a
  short run that improves all the time would spend a tenth of its time on files
  that it soon deletes.
  """

  def __init__(
    self,
    directory: str,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    counters: dict[str, tf.Variable],
    is_chief: bool = True,
    generator: Any = None,
    check_held: Callable[[], None] = lambda: None,
  ):
    """Open RUN/checkpoints.

    Args:
      directory: The folder RUN/checkpoints.
      model: The model whose weights and random states are saved.
      optimizer: An optimizer built on the model.
      counters: `step` and the other counters of the run.
      is_chief: Whether to write; all workers hold the same values.
      generator: `TrainStep.generator`, whose state no model owns.
      check_held: Raises an error if another process has taken over the run;
        called before anything is written or deleted.
    """
    self._directory = directory
    self._is_chief = is_chief
    self._check_held = check_held
    self._step = counters['step']
    self._model = model
    self._weights = [v.value for v in model.weights]
    self._variables = {
      _MODEL: _by_path(model),
      _RANDOM: _by_order(_random_states(model, generator)),
      _OPTIMIZER: _by_name(optimizer.variables),
      _COUNTERS: counters,
    }
    self._checkpoint = _checkpoint(self._variables)
    self._snapshot: dict[str, dict[str, tf.Variable]] = {}
    self._snapshot_step: int | None = None

  def save(self, snapshot: bool = True) -> None:
    """Write the checkpoint of the current step, if it does not exist.

    Args:
      snapshot: Whether to write that, too; it is forgotten if not.

    Raises:
      RunError: A weight is not finite, or the checkpoint cannot be written;
        earlier checkpoints are unchanged.
    """
    if snapshot:
      self.save_snapshot()
    self._snapshot_step = None
    step = int(self._step.numpy())
    if step in self.steps():
      return
    self._check_weights(step)
    if self._is_chief:
      self._put(self._checkpoint, step)

  def snapshot(self) -> None:
    """Take the current step into memory, in place of the last snapshot.

    Raises:
      RunError: A weight is not finite.
    """
    step = int(self._step.numpy())
    self._check_weights(step)
    if not self._is_chief:
      return
    if not self._snapshot:
      self._snapshot = _empty_copies(self._variables)
    for group, variables in self._variables.items():
      for name, variable in variables.items():
        self._snapshot[group][name].assign(variable.read_value())
    self._snapshot_step = step

  def save_snapshot(self) -> None:
    """Write the snapshot as a checkpoint of its step, if there is one."""
    step, self._snapshot_step = self._snapshot_step, None
    if step is not None and step not in self.steps():
      self._put(_checkpoint(self._snapshot), step)

  def restore_newest(self) -> int | None:
    """Restore the newest readable checkpoint and delete damaged later ones.

    Returns:
      Its step, or None if there is no checkpoint.

    Raises:
      RunError: There are checkpoints, but none of them can be read.
    """
    saved, damage = self.steps(), {}
    self._remove_unfinished(saved)
    for step in reversed(saved):
      try:
        with _local_prefix(self._directory, step) as path:
          self._checkpoint.read(path).assert_consumed()
        state_lib.finalize_state(self._model)
      except (*_OUT_OF_REACH, errors.InputError):
        raise
      except _UNREADABLE as error:
        damage[step] = storage.reason(error)
        continue
      for later, reason in damage.items():
        print(f'checkpoint of step {later} is damaged ({reason}): left out')
      self.prune(set(saved) - set(damage))
      return step
    if saved:
      raise errors.RunError(
        f'{self._directory}: no checkpoint can be read ({damage[saved[-1]]}); '
        'delete the run folder and start again'
      )
    return None

  def _remove_unfinished(self, saved):
    """Delete what a killed process left half written."""
    if not self._is_chief:
      return
    finished = {folder(step) for step in saved}
    found = storage.listdir(self._directory)
    begun = {name for name in found if name.startswith('step-')}
    if left := begun - finished:
      self._check_held()
    for name in left:
      storage.remove_folder(os.path.join(self._directory, name))

  def steps(self) -> list[int]:
    """Return the steps of the finished checkpoints, in order."""
    return steps(self._directory)

  def prune(
    self,
    keep: Collection[int],
    num_newest: int = 0,
    counts: Callable[[int], bool] = lambda _: True,
  ) -> None:
    """Delete the checkpoints of all steps but some.

    Args:
      keep: Steps that stay.
      num_newest: How many of the newest stay as well.
      counts: Whether a step is one of these.
    """
    if not self._is_chief:
      return
    found = self.steps()
    newest = list(filter(counts, found))[-num_newest:] if num_newest else []
    kept = {*keep, *newest}
    if dropped := [step for step in found if step not in kept]:
      self._check_held()
    for step in dropped:
      path = os.path.join(self._directory, folder(step))
      if storage.is_remote(path):
        storage.remove(os.path.join(path, _INDEX))
      storage.remove_folder(path)

  def _check_weights(self, step):
    if not all(np.isfinite(value.numpy()).all() for value in self._weights):
      raise errors.RunError(
        f'the weights are not finite numbers after step {step}; lower '
        '--learning_rate; the last checkpoint before it is kept'
      )

  def _put(self, variables, step):
    final = os.path.join(self._directory, folder(step))
    self._check_held()
    if storage.is_remote(final):
      self._upload(variables, final)
    else:
      self._write(variables, final)

  def _write(self, variables, final):
    with storage.convert_write_errors(final):
      storage.makedirs(self._directory)
      with scratch.folder(final) as partial:
        variables.write(os.path.join(partial, _PREFIX))
        os.rename(partial, final)

  def _upload(self, variables, final):
    with storage.local_folder() as local:
      with storage.convert_write_errors(local):
        variables.write(os.path.join(local, _PREFIX))
      storage.upload_folder(local, final, last=[_INDEX])


def folder(step: int) -> str:
  """Return the name of a step's folder."""
  return f'step-{step:08d}'


def prefix(directory: str, step: int) -> str:
  """Return the prefix for tf.train.load_checkpoint."""
  return os.path.join(directory, folder(step), _PREFIX)


def steps(directory: str) -> list[int]:
  """Return the steps of the finished checkpoints of a folder, in order."""
  if storage.is_remote(directory):
    found = storage.glob(os.path.join(directory, 'step-*', _INDEX))
    names = [os.path.basename(os.path.dirname(path)) for path in found]
  else:
    names = storage.listdir(directory)
  matches = [re.fullmatch(r'step-(\d{8,})', name) for name in names]
  return sorted(int(match[1]) for match in matches if match)


def read(directory: str, step: int) -> dict[str, np.ndarray]:
  """Read the weights at `step`: Keras path -> array.

  Raises:
    InputError: No such step, or an unreadable checkpoint.
  """
  if step not in (found := steps(directory)):
    raise errors.InputError(
      f'{directory}: no checkpoint of step {step}; there are: '
      f'{", ".join(map(str, found)) or "none"}'
    )
  try:
    with _local_prefix(directory, step) as path:
      reader = tf.train.load_checkpoint(path)
      return {
        _unescape(
          name.removeprefix(f'{_MODEL}/').removesuffix(_SUFFIX)
        ): reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith(f'{_MODEL}/')
      }
  except errors.InputError:
    raise
  except _UNREADABLE as error:
    raise errors.InputError(
      f'{prefix(directory, step)}: unreadable checkpoint: {error}'
    ) from None


@contextlib.contextmanager
def _local_prefix(directory, step) -> Iterator[str]:
  """Yield the prefix of a checkpoint, or of a copy on this machine."""
  path = prefix(directory, step)
  if not storage.is_remote(path):
    yield path
    return
  with storage.local_folder() as local:
    for name in storage.glob(f'{path}.*'):
      storage.download(name, os.path.join(local, os.path.basename(name)))
    yield os.path.join(local, _PREFIX)


def _random_states(model, generator):
  states = state_lib.random_states(model)
  return states if generator is None else [*states, generator.state]


def _checkpoint(groups):
  return tf.train.Checkpoint(
    **{
      group: tf.train.Checkpoint(**variables)
      for group, variables in groups.items()
    }
  )


def _empty_copies(groups):
  with tf.device('CPU:0'):
    return {
      group: {
        name: tf.Variable(tf.zeros_like(variable), trainable=False)
        for name, variable in variables.items()
      }
      for group, variables in groups.items()
    }


def _by_order(variables):
  return {f'state_{n}': v.value for n, v in enumerate(variables)}


def _by_path(model):
  return {w.path: w.variable.value for w in graph_lib.Graph(model).weights}


def _by_name(variables):
  """Return variables of an optimizer by their names, which may be the same.

  Keras names a slot after its weight with `_` for `/`: `stem/bn` and `stem_bn`
  are one.
  """
  names: collections.Counter[str] = collections.Counter()
  keyed = {}
  for variable in variables:
    names[variable.path] += 1
    count = names[variable.path]
    key = variable.path if count == 1 else f'{variable.path}#{count}'
    keyed[key] = variable.value
  assert len(keyed) == len(variables)
  return keyed


def _unescape(key):
  # A checkpoint writes '/' in a name as '.S' and '.' as '..'.
  return re.sub(r'\.(S|\.)', lambda m: '/' if m[1] == 'S' else '.', key)
