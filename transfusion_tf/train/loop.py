"""The outer training loop; the inner one is in `step`."""

from collections.abc import Callable, Iterable
import contextlib
import dataclasses
import math
import time

import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history as history_lib
from transfusion_tf.train import profile as profile_lib
from transfusion_tf.train import progress as progress_lib
from transfusion_tf.train import step as step_lib
from transfusion_tf.train import timing as timing_lib
from transfusion_tf.train import workers as workers_lib

# Target length of a host call: its overhead is negligible, and progress and
# signals are still handled in time.
_SECONDS_PER_CALL = 1.0


@dataclasses.dataclass(frozen=True)
class Schedule:
  """The schedule of the loop, in steps; `patience` is in evaluations.

  Training stops early after `patience` evaluations in a row whose score is
  below the best one by more than `patience_stderr` of its standard errors.
  Those up to `min_steps`, and of the linear probe, do not count.
  """

  total: int
  eval_every: int
  checkpoint_every: int
  patience: int = 0
  keep_checkpoints: int = 3
  steps_per_call: int = 0  # 0: as many as take about a second.
  patience_stderr: float = 0.0
  min_steps: int = 0
  probe_steps: int = 0

  def next_stop(self, step: int) -> int:
    """Return the next step at which training pauses."""
    periods = (self.eval_every, self.checkpoint_every)
    stops = [(step // p + 1) * p for p in periods]
    if self.is_probe(step):
      stops.append(self.probe_steps)
    return min(self.total, *stops)

  def is_probe(self, step: int) -> bool:
    """Return whether the head alone is trained after `step`."""
    return step < self.probe_steps

  def is_over(self, history: history_lib.History) -> bool:
    """Return whether validation has stopped improving."""
    if not self.patience:
      return False
    worse = history.evaluations_below_best(
      self.patience_stderr, max(self.min_steps, self.probe_steps)
    )
    return worse >= self.patience

  def evaluates(self, step: int) -> bool:
    """Return whether there is an evaluation at `step`."""
    return step % self.eval_every == 0 or step >= self.total

  def saves(self, step: int) -> bool:
    """Return whether there is a checkpoint at `step`."""
    return step % self.checkpoint_every == 0 or step >= self.total


@dataclasses.dataclass(frozen=True)
class Hooks:
  """The callbacks of the loop.

  Attributes:
    batches: Start step -> iterable of distributed batches.
    validate: Computes the validation metrics of the current model.
    validation_stderr: Standard error of the primary one just computed; NaN if
      it is not known.
    on_row: Called with each row of metrics.jsonl and the throughput of the
      steps before it, if there were any in this session.
    on_begin: Called with the step from which the run continues; None if it
      is new.
    on_call: Called after each call of the compiled steps.
    profile: Selects the calls to trace.
  """

  batches: Callable[[int], Iterable]
  validate: Callable[[], dict[str, float]]
  on_row: Callable[[history_lib.Row, progress_lib.Throughput | None], None]
  on_begin: Callable[[int | None], None] = lambda _: None
  on_call: Callable[[], None] = lambda: None
  validation_stderr: Callable[[], float] = lambda: math.nan
  profile: profile_lib.Profile = dataclasses.field(
    default_factory=profile_lib.Profile
  )


class Loop:
  """Trains until the schedule ends or validation stops improving."""

  def __init__(
    self,
    train_step: step_lib.TrainStep,
    checkpoints: checkpoint.Checkpoints,
    history: history_lib.History,
    schedule: Schedule,
    hooks: Hooks,
    progress: progress_lib.Progress,
    workers: workers_lib.Workers,
    timing: timing_lib.Timing | None = None,
  ):
    """Initialize the loop; all workers of a run have the same one."""
    self._train_step = train_step
    self._checkpoints = checkpoints
    self._history = history
    self._schedule = schedule
    self._hooks = hooks
    self._progress = progress
    self._workers = workers
    self._steps_per_call = schedule.steps_per_call or 1
    self._timing = timing or timing_lib.Timing()

  def run(self) -> bool:
    """Start or continue; return whether training stopped early."""
    with contextlib.closing(self._hooks.profile):
      self._start()
      early = self._train()
    self._progress.close()
    self._workers.barrier()  # Until all files are written.
    return early and self._train_step.step < self._schedule.total

  def _start(self):
    """Restore, and evaluate if the last session was interrupted before it."""
    start = self._checkpoints.restore_newest()
    self._history.truncate(start)
    self._hooks.on_begin(start)
    self._workers.assert_equal_across_workers(
      'where to continue', f'step {start}, rows {self._history.rows}'
    )
    self._hooks.profile.begin(self._train_step.step)
    self._progress.start(self._train_step.step, self._schedule.total)
    if start is not None:
      self._progress.note(f'continuing from step {start}')
    step = self._train_step.step
    if self._schedule.evaluates(step) and not self._history.has(step):
      self._evaluate(throughput=None)
    self._save()

  def _train(self):
    """Train to the end; return whether patience ended it."""
    train_step, schedule = self._train_step, self._schedule
    batches = None
    while (
      not (early := schedule.is_over(self._history))
      and train_step.step < schedule.total
    ):
      if batches is None:
        batches = iter(self._hooks.batches(train_step.step))
      target = schedule.next_stop(train_step.step)
      with self._timing.measure('steps', target - train_step.step):
        throughput = self._advance(batches, target)
      if schedule.evaluates(train_step.step):
        self._evaluate(throughput)
      self._save()
    self._checkpoints.save_snapshot()
    self._prune()
    return early

  def _advance(self, batches, target):
    """Train up to step `target`; return the throughput."""
    train_step, profile = self._train_step, self._hooks.profile
    first, began = train_step.step, time.monotonic()
    waited = train_step.seconds_waited
    if self._schedule.evaluates(first):
      # Not with the evaluation: a checkpoint has the same counters before it,
      # where SIGTERM may save one, and after it.
      train_step.reset_mean_loss()
    if 0 < first == self._schedule.probe_steps:
      train_step.reset_optimizer()  # Of no effect where it is done again.
    probing = self._schedule.is_probe(first)
    while (step := train_step.step) < target:
      num_steps = min(self._steps_per_call, target - step)
      num_steps = profile.limit(step, num_steps)
      called = time.monotonic()
      with profile.around(step):
        train_step(batches, tf.constant(num_steps, tf.int64), probing)
      self._progress.update(train_step.step)
      self._check_finite_loss()
      self._hooks.on_call()
      self._adapt(num_steps, time.monotonic() - called)
    seconds = time.monotonic() - began
    waited = train_step.seconds_waited - waited
    images = (target - first) * train_step.batch_size
    return progress_lib.Throughput(images / seconds, waited / seconds)

  def _adapt(self, num_steps, seconds):
    """Lengthen short calls; all workers must make the same number of them."""
    if not self._schedule.steps_per_call and num_steps == self._steps_per_call:
      if self._workers.mean(seconds) < _SECONDS_PER_CALL / 2:
        self._steps_per_call *= 2

  def _check_finite_loss(self):
    bad = int(self._train_step.counters['bad_step'].numpy())
    if bad >= 0:
      raise errors.RunError(
        f'the loss is not a finite number at step {bad}; lower '
        '--learning_rate; the last checkpoint before it is kept'
      )

  def _evaluate(self, throughput):
    with self._timing.measure('evaluations'):
      self._write_row(throughput)

  def _write_row(self, throughput):
    step = self._train_step.step
    try:
      validation = metrics.finite(self._hooks.validate())
    except errors.RunError as error:
      raise errors.RunError(f'at step {step} {error}') from None
    loss = self._train_step.mean_loss
    row = {
      'step': step,
      'loss': loss if step else None,
      'learning_rate': self._train_step.learning_rate,
      'validation': validation,
      **metrics.finite({'stderr': self._hooks.validation_stderr()}),
    }
    self._history.append(row)
    self._hooks.on_row(row, throughput)
    self._progress.note(_describe(row, self._schedule.total, throughput))

  def _save(self):
    # After the row is written: a row without its checkpoint is deleted and
    # written again; a checkpoint without its row would need an evaluation.
    best, step = self._history.best, self._train_step.step
    is_best = best is not None and best['step'] == step
    if self._schedule.saves(step):
      with self._timing.measure('checkpoints'):
        self._checkpoints.save(snapshot=not is_best)
        self._prune()
    elif is_best:
      # The last best one stays until this one is written.
      self._checkpoints.snapshot()

  def _prune(self):
    best, schedule = self._history.best, self._schedule
    # One that SIGTERM saved between two of these is of no use any more.
    self._checkpoints.prune(
      {0, best['step'] if best else 0},
      schedule.keep_checkpoints,
      schedule.saves,
    )


def _describe(row, total, throughput):
  parts = [f'step {row["step"]}/{total}']
  if row['loss'] is not None:
    parts.append(f'loss {row["loss"]:.4f}')
  parts += [
    f'{name} ' + ('not defined' if value is None else f'{value:.4f}')
    for name, value in row['validation'].items()
  ]
  if throughput:
    parts.append(f'{throughput.images_per_second:.0f} images/s')
  return ', '.join(parts)
