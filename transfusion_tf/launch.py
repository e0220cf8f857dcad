"""Carries an experiment out: one sitting of a run in its folder."""

import os
import platform
import time

import keras
import numpy as np
import tensorflow as tf

import transfusion_tf
from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import experiment as experiment_lib
from transfusion_tf import init
from transfusion_tf import run_folder
from transfusion_tf.input import order
from transfusion_tf.input import pipeline
from transfusion_tf.input import prepared
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history
from transfusion_tf.train import loop
from transfusion_tf.train import optimizers
from transfusion_tf.train import preemption
from transfusion_tf.train import progress
from transfusion_tf.train import step as step_lib
from transfusion_tf.train import strategy as strategy_lib
from transfusion_tf.train import summaries

# Several workers must call the compiled loop equally often.
_STEPS_PER_CALL_OF_WORKERS = 10


def run(experiment: config.Experiment, run_dir: str) -> dict:
  """Trains, or continues, or does nothing if `run_dir` is finished.

  Returns:
    What RUN/result.json holds.

  Raises:
    InputError: Unusable input; `run_dir` holds another experiment.
    RunError: The loss is no longer finite, the disk is full, or another
      worker is gone.
    SystemExit: SIGTERM came; the checkpoint is saved.
  """
  run_folder.check(experiment, run_dir)
  finished = run_folder.result(run_dir)
  if finished:
    return finished
  strategy_lib.configure(experiment)
  # tf.data takes a global seed of 0 for none and then refuses tensor seeds.
  keras.utils.set_random_seed(experiment.seed + 1)
  built = experiment_lib.build(experiment)
  if not built.worker.is_chief:
    return _sit(built, run_dir)
  with run_folder.claim(experiment, run_dir):
    return _sit(built, run_dir)


def title(experiment: config.Experiment) -> str:
  """What progress lines call a run."""
  data, model, start = experiment.data, experiment.model, experiment.init
  return f'{data.dataset}/{model.name}/{start.scheme}/seed{experiment.seed}'


def total_steps(experiment: config.Experiment, num_examples: int) -> int:
  """Steps of a whole run, from `train_steps` or else `train_epochs`."""
  train = experiment.train
  if train.train_steps:
    return train.train_steps
  return round(train.train_epochs * num_examples / train.batch_size)


def _sit(built, run_dir):
  began = time.monotonic()
  try:
    _initialize(built, run_dir)
    with pipeline.naming_bad_images(built.source):
      stopped_early = _loop(built, run_dir).run()
    scores, result = _judge(built, run_dir)
  except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
    raise errors.RunError(
      f'another worker is gone ({error.message.splitlines()[0]}); start all '
      'again with the same commands: they continue from the last checkpoint'
    ) from None
  result |= {
    'stopped_early': stopped_early,
    'seconds': round(time.monotonic() - began, 1),
    'versions': versions(),
  }
  if built.worker.is_chief:
    path = os.path.join(run_dir, run_folder.TEST_SCORES)
    scores.to_csv(path, index=False)
    run_folder.write_json(os.path.join(run_dir, run_folder.RESULT), result)
  return result


def _initialize(built, run_dir):
  settings, stages = built.experiment.init, built.stages
  if not checkpoint.steps(os.path.join(run_dir, run_folder.CHECKPOINTS)):
    source = init.weights.load(settings.pretrained, built.model)
    scheme = init.from_config(
      settings, source, stages, built.experiment.model.slim_from
    )
    report = init.apply(built.model, scheme, stages, built.experiment.seed)
    if built.worker.is_chief:  # From here on the folder is this run's.
      run_folder.write_json(os.path.join(run_dir, run_folder.INIT), report)
      config.save(built.experiment, os.path.join(run_dir, run_folder.CONFIG))
  if settings.freeze_upto:
    init.freeze(built.model, stages, settings.freeze_upto)


def _loop(built, run_dir):
  experiment, strategy = built.experiment, built.strategy
  train, writes = experiment.train, built.worker.is_chief
  num_examples = order.num_train_examples(built.source)
  rate = optimizers.schedule(
    experiment.optimizer, steps_per_epoch=num_examples / train.batch_size
  )
  stepper, optimizer = _stepper(built, rate)
  checkpoints = checkpoint.Checkpoints(
    os.path.join(run_dir, run_folder.CHECKPOINTS),
    built.model,
    optimizer,
    stepper.counters,
    writes,
  )
  watch = preemption.Watch(strategy, checkpoints.save)
  predict = built.predictor(watch.check)

  def validate():
    found = built.metrics(prepared.VALIDATION, predict(prepared.VALIDATION))
    return {name: metric.value() for name, metric in found.items()}

  def on_row(row, images_per_second):
    if writes:
      board.row(row, images_per_second)

  board = summaries.Summaries(os.path.join(run_dir, run_folder.TENSORBOARD))
  return loop.Loop(
    stepper,
    lambda step: float(rate(step)),
    checkpoints,
    history.History(
      os.path.join(run_dir, run_folder.METRICS), built.task.headline, writes
    ),
    _schedule(experiment, num_examples, built.worker.count),
    loop.Hooks(built.training_batches, validate, on_row, watch.check),
    progress.Progress(title(experiment), train.batch_size, writes),
  )


def _stepper(built, rate):
  experiment, strategy = built.experiment, built.strategy
  train = experiment.train
  with strategy_lib.scope(strategy):
    optimizer = optimizers.make(experiment.optimizer, rate, train.precision)
    optimizer.build(built.model.trainable_variables)
    stepper = step_lib.Stepper(
      strategy,
      built.model,
      optimizer,
      built.prepare_training,
      built.task.loss,
      train.batch_size,
      experiment.optimizer.weight_decay,
      strategy_lib.wants_xla(strategy, experiment.runtime.xla),
    )
  return stepper, optimizer


def _schedule(experiment, num_examples, num_workers):
  train, runtime = experiment.train, experiment.runtime
  return loop.Schedule(
    total=total_steps(experiment, num_examples),
    eval_every=train.eval_every,
    checkpoint_every=runtime.checkpoint_every or train.eval_every,
    patience=train.patience,
    keep_checkpoints=runtime.keep_checkpoints,
    steps_per_call=runtime.steps_per_call
    or (_STEPS_PER_CALL_OF_WORKERS if num_workers > 1 else 0),
  )


def _judge(built, run_dir):
  """Scores the chosen checkpoint on the test split, once."""
  step = run_folder.checkpoint_step(
    run_dir, built.experiment.train.select, built.task.headline
  )
  experiment_lib.load_weights(built, run_dir, step)
  scores, found = experiment_lib.evaluate(built, prepared.TEST)
  rows = history.read(os.path.join(run_dir, run_folder.METRICS))
  return scores, {
    'headline': built.task.headline,
    'test': found,
    'num_test': len(scores),
    'num_train': order.num_train_examples(built.source),
    'judged_step': step,
    'last_step': rows[-1]['step'],
    'parameters': built.model.count_params(),
    'trainable_parameters': int(
      sum(np.prod(v.shape) for v in built.model.trainable_variables)
    ),
    'data': built.source.prepared.directory,
  }


def versions() -> dict[str, str]:
  """What made a result: stands beside it."""
  return {
    'transfusion_tf': transfusion_tf.__version__,
    'tensorflow': tf.__version__,
    'keras': keras.__version__,
    'numpy': np.__version__,
    'python': platform.python_version(),
  }
