"""The composition root: input, models, init and train make a run.

A run lives in a folder:

  config.json      the `config.Experiment`
  init.json        what happened to every weight before step 0
  checkpoints/     step 0, the best and the last few (`train.checkpoint`)
  metrics.jsonl    one row an evaluation (`train.history`)
  tensorboard/     the same, for TensorBoard
  test_scores.csv  probabilities of every test image
  result.json      written last: a run that has it is finished
"""

import dataclasses
import functools
import json
import os
import platform
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import transfusion_tf
from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf import tasks
from transfusion_tf.input import pipeline
from transfusion_tf.input import prepared as prepared_lib
from transfusion_tf.input import preprocess
from transfusion_tf.models import stages as stages_lib
from transfusion_tf.train import checkpoint
from transfusion_tf.train import evaluation
from transfusion_tf.train import history as history_lib
from transfusion_tf.train import loop
from transfusion_tf.train import metrics
from transfusion_tf.train import optimizers
from transfusion_tf.train import step as step_lib
from transfusion_tf.train import strategy as strategy_lib
from transfusion_tf.train import summaries

CONFIG, RESULT = 'config.json', 'result.json'
INIT_REPORT, METRICS = 'init.json', 'metrics.jsonl'
CHECKPOINTS, TENSORBOARD = 'checkpoints', 'tensorboard'


@dataclasses.dataclass(frozen=True)
class Run:
  """A run's parts, built: what training, evaluation and analysis share."""

  experiment: config.Experiment
  source: pipeline.Source
  model: keras.Model
  stages: stages_lib.Stages
  strategy: tf.distribute.Strategy

  @property
  def task(self) -> tasks.Task:
    return self.source.task

  def prepare_training(self, batch: dict) -> 'tf.Tensor':
    """A training batch -> the network's input."""
    data = self.experiment.data
    images = preprocess.augment(
      batch['image'], batch['draw'], data.image_size, data.augment
    )
    return preprocess.normalize(images, data.normalization)

  def prepare_evaluation(self, images: 'tf.Tensor') -> 'tf.Tensor':
    """uint8 [B, S, S, 3] -> the network's input."""
    data = self.experiment.data
    images = preprocess.evaluate(images, data.image_size)
    return preprocess.normalize(images, data.normalization)

  @functools.cached_property
  def _predict(self) -> evaluation.Evaluator:
    def forward(images):
      logits = self.model(self.prepare_evaluation(images), training=False)
      return self.task.probabilities(tf.cast(logits, tf.float32))

    return evaluation.Evaluator(self.strategy, forward)

  def probabilities(self, split: str) -> np.ndarray:
    """[N, K] probabilities of a split's N examples, in stored order."""
    train, runtime = self.experiment.train, self.experiment.runtime
    dataset = pipeline.evaluation(
      self.source, split, runtime.eval_batch_size or train.batch_size
    )
    return self._predict(dataset, self.source.prepared.num_examples(split))

  def metrics(
    self, split: str, probabilities: np.ndarray
  ) -> dict[str, metrics.Metric]:
    """The task's metrics of what `probabilities` returned."""
    index = self.source.prepared.index(split)
    labels = index.labels
    if self.experiment.data.shuffle_labels and split != prepared_lib.TEST:
      labels = pipeline.shuffled_labels(index, self.source.seed)
    return self.task.metrics(probabilities, labels)


def build(experiment: config.Experiment) -> Run:
  """Opens the data and builds the network; its weights are Keras' own.

  Raises:
    InputError: Something in `experiment` does not exist or does not fit.
  """
  data = experiment.data
  prepared = prepared_lib.open_dataset(
    experiment.runtime.data_dir, data.dataset
  )
  task = tasks.of(prepared.features, data)
  strategy = strategy_lib.make(experiment.runtime.strategy)
  with strategy_lib.scope(strategy):
    model = models.build(
      experiment.model.name,
      len(task.names),
      (data.image_size, data.image_size, 3),
      bn_momentum=experiment.model.bn_momentum,
      stride_in=experiment.model.stride_in,
      slim_from=experiment.model.slim_from,
    )
  return Run(
    experiment=experiment,
    source=pipeline.Source(prepared, task, data, experiment.seed),
    model=model,
    stages=models.stages_of(model),
    strategy=strategy,
  )


def load_run(run_dir: str, which: str = 'final', **changes) -> Run:
  """A trained run, with the weights of one of its checkpoints.

  Args:
    run_dir: A folder that `run` wrote.
    which: `final`, `best`, `init` or a step.
    **changes: To the run's `config.Runtime`, e.g. another `data_dir`.
  """
  experiment = config.load(os.path.join(run_dir, CONFIG))
  runtime = dataclasses.replace(experiment.runtime, **changes)
  run = build(dataclasses.replace(experiment, runtime=runtime))
  step = checkpoint_step(run_dir, which, run.task.headline)
  _load_weights(run, run_dir, step)
  return run


def checkpoint_step(run_dir: str, which: str, headline: str) -> int:
  """The step of a run's checkpoint `final`, `best`, `init` or STEP."""
  steps = checkpoint.steps(os.path.join(run_dir, CHECKPOINTS))
  if not steps:
    raise errors.InputError(f'{run_dir}: no checkpoints; train it first')
  if which == 'init':
    return 0
  if which == 'final':
    return steps[-1]
  if which == 'best':
    rows = history_lib.read(os.path.join(run_dir, METRICS))
    row = history_lib.best(rows, headline)
    return row['step'] if row else steps[-1]
  if which.isdigit():
    return int(which)
  raise errors.unknown('checkpoint', which, ['final', 'best', 'init', 'STEP'])


def run(experiment: config.Experiment, run_dir: str) -> dict:
  """Trains, or continues, or does nothing if `run_dir` is finished.

  Returns:
    What RUN/result.json holds.

  Raises:
    InputError: Unusable input; `run_dir` holds another experiment.
    RunError: The loss is no longer finite.
  """
  result_path = os.path.join(run_dir, RESULT)
  _claim(experiment, run_dir)
  if tf.io.gfile.exists(result_path):
    return read_result(run_dir)
  began = time.monotonic()
  # tf.data takes a global seed of 0 for none and then refuses tensor seeds.
  keras.utils.set_random_seed(experiment.seed + 1)
  built = build(experiment)
  _initialize(built, run_dir)
  with pipeline.naming_bad_images(built.source):
    stopped_early = _train(built, run_dir)
  result = _judge(built, run_dir)
  result |= {
    'stopped_early': stopped_early,
    'seconds': round(time.monotonic() - began, 1),
  }
  _write_json(result_path, result)
  return result


def read_result(run_dir: str) -> dict:
  """RUN/result.json of a finished run."""
  with tf.io.gfile.GFile(os.path.join(run_dir, RESULT)) as file:
    return json.load(file)


def total_steps(experiment: config.Experiment, num_examples: int) -> int:
  """Steps of a whole run, from `train_steps` or else `train_epochs`."""
  train = experiment.train
  if train.train_steps:
    return train.train_steps
  return round(train.train_epochs * num_examples / train.batch_size)


def _claim(experiment, run_dir):
  """Writes config.json, or refuses a folder that holds another experiment."""
  path = os.path.join(run_dir, CONFIG)
  if tf.io.gfile.exists(path):
    differences = config.differences(config.load(path), experiment)
    if differences:
      raise errors.InputError(
        f'{run_dir} holds another experiment ({"; ".join(differences)}); '
        'choose another --run_dir or delete it'
      )
  tf.io.gfile.makedirs(run_dir)
  config.save(experiment, path)


def _initialize(built, run_dir):
  settings, stages = built.experiment.init, built.stages
  if not checkpoint.steps(os.path.join(run_dir, CHECKPOINTS)):
    source = init.weights.load(settings.pretrained, built.model)
    scheme = init.from_config(
      settings, source, stages, built.experiment.model.slim_from
    )
    report = init.apply(built.model, scheme, stages, built.experiment.seed)
    _write_json(os.path.join(run_dir, INIT_REPORT), report)
  if settings.freeze_upto:
    init.freeze(built.model, stages, settings.freeze_upto)


def _train(built, run_dir):
  experiment, model, strategy = built.experiment, built.model, built.strategy
  num_examples = pipeline.num_train_examples(built.source)
  batch_size = experiment.train.batch_size
  rate = optimizers.schedule(
    experiment.optimizer, steps_per_epoch=num_examples / batch_size
  )
  with strategy_lib.scope(strategy):
    optimizer = optimizers.make(experiment.optimizer, rate)
    optimizer.build(model.trainable_variables)
    stepper = step_lib.Stepper(
      strategy,
      model,
      optimizer,
      built.prepare_training,
      built.task.loss,
      batch_size,
      experiment.optimizer.weight_decay,
    )

  def batches(start_step):
    return strategy.experimental_distribute_dataset(
      pipeline.train(built.source, batch_size, start_step)
    )

  def validate():
    split = prepared_lib.VALIDATION
    found = built.metrics(split, built.probabilities(split))
    return {name: metric.value() for name, metric in found.items()}

  schedule = loop.Schedule(
    total=total_steps(experiment, num_examples),
    eval_every=experiment.train.eval_every,
    checkpoint_every=(
      experiment.runtime.checkpoint_every or experiment.train.eval_every
    ),
    patience=experiment.train.patience,
    keep_checkpoints=experiment.runtime.keep_checkpoints,
  )
  return loop.Loop(
    stepper,
    lambda step: float(rate(step)),
    checkpoint.Checkpoints(
      os.path.join(run_dir, CHECKPOINTS), model, optimizer, stepper.counters
    ),
    history_lib.History(os.path.join(run_dir, METRICS), built.task.headline),
    schedule,
    loop.Hooks(
      batches,
      validate,
      summaries.Summaries(os.path.join(run_dir, TENSORBOARD)).row,
    ),
    batch_size,
  ).run(os.path.basename(os.path.normpath(run_dir)))


def _load_weights(built, run_dir, step):
  weights = checkpoint.read(os.path.join(run_dir, CHECKPOINTS), step)
  for variable in built.model.weights:
    variable.assign(weights[variable.path])


def _judge(built, run_dir):
  """Scores the chosen checkpoint on the test split, once."""
  step = checkpoint_step(
    run_dir, built.experiment.train.select, built.task.headline
  )
  _load_weights(built, run_dir, step)
  scores, found = evaluate(built, prepared_lib.TEST)
  scores.to_csv(os.path.join(run_dir, 'test_scores.csv'), index=False)
  rows = history_lib.read(os.path.join(run_dir, METRICS))
  return {
    'headline': built.task.headline,
    'test': found,
    'num_test': len(scores),
    'num_train': pipeline.num_train_examples(built.source),
    'judged_step': step,
    'last_step': rows[-1]['step'],
    'parameters': built.model.count_params(),
    'trainable_parameters': int(
      sum(np.prod(v.shape) for v in built.model.trainable_variables)
    ),
    'data': built.source.prepared.directory,
    'versions': versions(),
  }


def evaluate(
  built: Run, split: str, num_samples: int = 1000
) -> tuple[pd.DataFrame, dict]:
  """Scores a split with the run's present weights.

  Args:
    built: The run.
    split: Name of the split.
    num_samples: Bootstrap resamples of the 95 % interval.

  Returns:
    One row an example (ids and K probabilities), and metric -> {value, low,
    high}.
  """
  with pipeline.naming_bad_images(built.source):
    probabilities = built.probabilities(split)
  index = built.source.prepared.index(split)
  scores = pd.DataFrame(
    {'image_id': index.image_ids, 'patient_id': index.patient_ids}
    | {n: probabilities[:, k] for k, n in enumerate(built.task.names)}
  )
  found = {}
  for name, metric in built.metrics(split, probabilities).items():
    low, high = metrics.interval(metric, index.patient_ids, 0.95, num_samples)
    found[name] = history_lib.finite(
      {'value': metric.value(), 'low': low, 'high': high}
    )
  return scores, found


def versions() -> dict[str, str]:
  """What made a result: stands beside it."""
  return {
    'transfusion_tf': transfusion_tf.__version__,
    'tensorflow': tf.__version__,
    'keras': keras.__version__,
    'numpy': np.__version__,
    'python': platform.python_version(),
  }


def _write_json(path, value):
  with tf.io.gfile.GFile(f'{path}.partial', 'w') as file:
    file.write(json.dumps(value, indent=2, allow_nan=False) + '\n')
  tf.io.gfile.rename(f'{path}.partial', path, overwrite=True)
