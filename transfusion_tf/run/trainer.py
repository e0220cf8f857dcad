"""The training of a run: steps, folder, evaluation and signals combined."""

from collections.abc import Callable
import math
import os

import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import metrics as metrics_lib
from transfusion_tf import run_folder
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run.tensorboard import run_summaries
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history
from transfusion_tf.train import loop
from transfusion_tf.train import preemption
from transfusion_tf.train import profile
from transfusion_tf.train import progress
from transfusion_tf.train import strategy as strategy_lib
from transfusion_tf.train import timing as timing_lib
from transfusion_tf.train import workers as workers_lib

OnRow = Callable[[history.Row, progress.Throughput | None], None]


class Trainer:
  """Trains a run in its folder.

  Attributes:
    preemption: A context in which SIGTERM saves and exits.
    predict: A function: split -> probabilities of the current model.
    validated: Step -> probabilities of the validation split, of the best and
      the last evaluation of this session.
    summaries: The TensorBoard summaries of the run.
    loop: The training loop.
  """

  def __init__(
    self,
    built: run_lib.Run,
    run_dir: str,
    workers: workers_lib.Workers,
    check_held: Callable[[], None] = lambda: None,
    on_row: OnRow = lambda *_: None,
    timing: timing_lib.Timing | None = None,
  ):
    """Initialize.

    Args:
      built: The parts of the run.
      run_dir: The folder of the run.
      workers: The workers of the run.
      check_held: As for `checkpoint.Checkpoints`.
      on_row: Called after each evaluation, as `loop.Hooks.on_row`.
      timing: How long the parts of the session take.
    """
    self._timing = timing
    self._observe = on_row
    self._built = built
    self._run_dir = run_dir
    self._workers = workers
    self._num_examples = example_order.num_train_examples(built.source)
    self._train_step = built.network.train_step(
      self._num_examples / built.experiment.train.batch_size
    )
    # The number of lanes is part of the position in the data.
    self._lanes = tf.Variable(
      built.experiment.train.lanes or strategy_lib.num_hosts(built.strategy),
      dtype=tf.int64,
      trainable=False,
    )
    self._checkpoints = checkpoint.Checkpoints(
      os.path.join(run_dir, run_folder.CHECKPOINTS),
      built.model,
      self._train_step.optimizer,
      self._train_step.counters | {'lanes': self._lanes},
      workers.is_chief,
      self._train_step.generator,
      check_held,
    )
    self.preemption = preemption.PreemptionHandler(built.strategy, self._save)
    self.predict = built.predictor(self.preemption.check)
    self.validated: dict[int, np.ndarray] = {}
    self._schedule = _schedule(built.experiment, self._num_examples)
    self.summaries = run_summaries.RunSummaries(
      built, run_dir, self._schedule.total, workers.is_chief
    )
    self._history = history.History(
      os.path.join(run_dir, run_folder.METRICS),
      built.primary_metric,
      workers.is_chief,
      check_held,
    )
    self.loop = self._make_loop()

  def _save(self):
    self._checkpoints.save()
    self._workers.barrier()  # No worker exits before it is written.

  def _batches(self, start_step):
    return self._built.training_batches(start_step, int(self._lanes.numpy()))

  def _validate(self):
    split = tfds_folder.VALIDATION
    self._probabilities = self.predict(split)
    self._metrics = self._built.followed(split, self._probabilities)
    return {name: metric.value() for name, metric in self._metrics.items()}

  def _validation_stderr(self):
    primary = self._metrics[self._built.primary_metric]
    if primary.undefined:
      return math.nan
    split = tfds_folder.VALIDATION
    patients = self._built.source.prepared.index(split).patient_ids
    effects = primary.effects(metrics_lib.patient_numbers(patients))
    # Where no patient errs, the score does not tell how far it may be off.
    known = effects.most > 0 and effects.stddev > 0
    return effects.stddev if known else math.nan

  def _on_row(self, row, throughput):
    self.validated[row['step']] = self._probabilities
    best = self._history.best or row
    kept = {row['step'], best['step']} & set(self.validated)
    self.validated = {step: self.validated[step] for step in kept}
    self.summaries.row(row, throughput, self._probabilities)
    self._observe(row, throughput)

  def _make_loop(self):
    built, run_dir = self._built, self._run_dir
    is_chief = self._workers.is_chief
    return loop.Loop(
      self._train_step,
      self._checkpoints,
      self._history,
      self._schedule,
      loop.Hooks(
        self._batches,
        self._validate,
        self._on_row,
        self.summaries.begin,
        self.preemption.check,
        self._validation_stderr,
        profile.Profile(
          os.path.join(run_dir, run_folder.TENSORBOARD),
          built.experiment.runtime.profile,
          is_chief,
        ),
      ),
      progress.Progress(
        title(built.experiment), built.experiment.train.batch_size, is_chief
      ),
      self._workers,
      self._timing,
    )


_TITLE_FLAGS = (
  'subset',
  'upto',
  'bn_init',
  'conv1',
  'slim_from',
  'freeze_upto',
  'probe_steps',
)


def title(experiment: config.Experiment) -> str:
  """Return the name of a run in progress lines: `retina/cbr_tiny/random/seed0`.

  Flags with unusual values follow, as `upto=conv1`, to tell apart the runs of a
  study.
  """
  data, model, init = experiment.data, experiment.model, experiment.init
  name = f'{data.dataset}/{model.name}/{init.scheme}/seed{experiment.seed}'
  values, default = map(config.flatten, (experiment, config.RETINA))
  fields = {flag: config.FLAGS[flag] for flag in _TITLE_FLAGS}
  changed = [
    f'{flag}={values[field]}'
    for flag, field in fields.items()
    if values[field] != default[field]
  ]
  return ' '.join([name, *changed])


def total_steps(experiment: config.Experiment, num_examples: int) -> int:
  """Return the steps of a whole run, from `train_steps` or `train_epochs`."""
  train = experiment.train
  if train.train_steps:
    return train.train_steps
  return round(train.train_epochs * num_examples / train.batch_size)


def _schedule(experiment, num_examples):
  train, runtime = experiment.train, experiment.runtime
  return loop.Schedule(
    total=total_steps(experiment, num_examples),
    eval_every=train.eval_every,
    checkpoint_every=runtime.checkpoint_every or train.eval_every,
    patience=train.patience,
    keep_checkpoints=runtime.keep_checkpoints,
    steps_per_call=runtime.steps_per_call,
    patience_stderr=train.patience_stderr,
    min_steps=train.min_steps,
    probe_steps=train.probe_steps,
  )
