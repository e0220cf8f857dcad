"""The outer loop: train, evaluate, keep, stop. The inner one is in `step`."""

from collections.abc import Callable
import dataclasses
import math
import time

import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history as history_lib
from transfusion_tf.train import progress as progress_lib
from transfusion_tf.train import step as step_lib

# A host call is made long enough to cost nothing and short enough to show
# progress and to notice a signal.
_SECONDS_PER_CALL = 1.0


@dataclasses.dataclass(frozen=True)
class Schedule:
  """When the loop does what; all in steps, but `patience` in evaluations."""

  total: int
  eval_every: int
  checkpoint_every: int
  patience: int = 0
  keep_checkpoints: int = 3

  def next_stop(self, step: int) -> int:
    """The next step at which the loop looks up from training."""
    periods = (self.eval_every, self.checkpoint_every)
    return min(self.total, *((step // p + 1) * p for p in periods))

  def evaluates(self, step: int) -> bool:
    return step % self.eval_every == 0 or step >= self.total


@dataclasses.dataclass(frozen=True)
class Hooks:
  """What the loop asks of the run.

  Attributes:
    batches: Start step -> iterator over distributed batches.
    validate: The validation metrics of the model as it is now.
    on_row: Called with each row of metrics.jsonl and the rate in images/s.
  """

  batches: Callable[[int], object]
  validate: Callable[[], dict[str, float]]
  on_row: Callable[[history_lib.Row, float], None]


class Loop:
  """Trains until the schedule ends or validation stops getting better."""

  def __init__(
    self,
    stepper: step_lib.Stepper,
    learning_rate: Callable[[int], float],
    checkpoints: checkpoint.Checkpoints,
    history: history_lib.History,
    schedule: Schedule,
    hooks: Hooks,
    batch_size: int,
  ):
    self._stepper = stepper
    self._learning_rate = learning_rate
    self._checkpoints = checkpoints
    self._history = history
    self._schedule = schedule
    self._hooks = hooks
    self._batch_size = batch_size
    self._steps_per_call = 1

  def run(self, title: str) -> bool:
    """Starts or continues; returns whether it stopped before the schedule."""
    start = self._checkpoints.restore_newest()
    self._history.truncate(start)
    stepper, schedule = self._stepper, self._schedule
    progress = progress_lib.Progress(
      title, stepper.step, schedule.total, self._batch_size
    )
    if start is None:
      self._evaluate(progress, rate=0.0)
      self._save()
    else:
      progress.note(f'continuing from step {start}')
    batches = None
    while not (early := self._is_over()) and stepper.step < schedule.total:
      batches = batches or iter(self._hooks.batches(stepper.step))
      rate = self._advance(batches, schedule.next_stop(stepper.step), progress)
      if schedule.evaluates(stepper.step):
        self._evaluate(progress, rate)
      self._save()
    progress.close()
    return early and stepper.step < schedule.total

  def _is_over(self):
    patience = self._schedule.patience
    return bool(patience) and self._history.evaluations_since_best >= patience

  def _advance(self, batches, target, progress):
    """Trains up to step `target`; returns images per second."""
    stepper, first, began = self._stepper, self._stepper.step, time.monotonic()
    while stepper.step < target:
      num_steps = min(self._steps_per_call, target - stepper.step)
      called = time.monotonic()
      stepper(batches, tf.constant(num_steps, tf.int64))
      progress.update(stepper.step)
      if time.monotonic() - called < _SECONDS_PER_CALL / 2:
        self._steps_per_call *= 2
      self._refuse_nonsense()
    seconds = time.monotonic() - began
    return (target - first) * self._batch_size / seconds

  def _refuse_nonsense(self):
    bad = int(self._stepper.counters['bad_step'].numpy())
    if bad >= 0:
      raise errors.RunError(
        f'the loss is not a finite number at step {bad}; lower '
        '--learning_rate; the last checkpoint before it is kept'
      )

  def _evaluate(self, progress, rate):
    step = self._stepper.step
    loss = self._stepper.drain()
    row = {
      'step': step,
      'loss': loss if step else None,
      'learning_rate': self._learning_rate(step),
      'validation': history_lib.finite(self._hooks.validate()),
    }
    self._history.append(row)
    self._hooks.on_row(row, rate)
    progress.note(_describe(row, self._schedule.total, rate))

  def _save(self):
    # After the row is written: a checkpoint without its row would leave a gap
    # in metrics.jsonl, a row without its checkpoint is written again.
    self._checkpoints.save()
    best = self._history.best
    recent = self._checkpoints.steps()[-self._schedule.keep_checkpoints :]
    self._checkpoints.prune({0, best['step'] if best else 0, *recent})


def _describe(row, total, rate):
  parts = [f'step {row["step"]}/{total}']
  if row['loss'] is not None:
    parts.append(f'loss {row["loss"]:.4f}')
  parts += [
    f'{name} {math.nan if value is None else value:.4f}'
    for name, value in row['validation'].items()
  ]
  if rate:
    parts.append(f'{rate:.0f} images/s')
  return ', '.join(parts)
