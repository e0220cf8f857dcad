"""Trains and evaluates an experiment: one session of a run in its folder."""

from collections.abc import Mapping
import contextlib
import dataclasses
import itertools
import os
import pathlib
import platform
import subprocess
import time

import keras
import numpy as np
import tensorflow as tf

import transfusion_tf
from transfusion_tf import config
from transfusion_tf import decisions
from transfusion_tf import errors
from transfusion_tf import init
from transfusion_tf import models
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.input_pipeline import stored_form
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.models import graph as graph_lib
from transfusion_tf.models import state as state_lib
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import network as network_lib
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.run import trainer as trainer_lib
from transfusion_tf.train import checkpoint
from transfusion_tf.train import compute
from transfusion_tf.train import devices
from transfusion_tf.train import history
from transfusion_tf.train import timing as timing_lib
from transfusion_tf.train import workers as workers_lib

COMMIT = 'TRANSFUSION_TF_COMMIT'  # In the environment of a cluster's workers.
# Precision -> difference of features that rounding explains; else 0.1.
_AGREES = {'float32': 0.01}


def run(
  experiment: config.Experiment,
  run_dir: str,
  extra_files: Mapping[str, str] | None = None,
  shared: network_lib.Shared | None = None,
  on_row: trainer_lib.OnRow = lambda *_: None,
) -> dict:
  """Train, or continue, or do nothing if `run_dir` is finished.

  Args:
    experiment: The config of the run.
    run_dir: The folder of the run.
    extra_files: Name -> text of additional files in the folder.
    shared: The compiled network of earlier runs, and afterwards of this one.
    on_row: Called after each evaluation, with its row of metrics.jsonl.

  Returns:
    The contents of RUN/result.json.

  Raises:
    InputError: Unusable input; `run_dir` holds another experiment, is in
      use or cannot be written.
    RunError: The loss is no longer finite, the disk is full, or another
      worker has died.
    SystemExit: SIGTERM was received; the checkpoint is saved.
  """
  config.check(experiment)
  run_folder.check(experiment, run_dir)
  finished = run_folder.result(run_dir)
  if finished:
    return finished
  timing = timing_lib.Timing()
  compute.configure(experiment)
  # tf.data treats a global seed of 0 as unset and then rejects tensor seeds.
  keras.utils.set_random_seed(experiment.seed + 1)
  shared = shared or network_lib.Shared()
  timing.compiles = not shared.is_held
  with workers_lib.convert_errors():
    built = run_lib.build(
      experiment, run_folder.task(run_dir, experiment.data), shared=shared
    )
  workers = workers_lib.Workers(built.strategy)
  claim = run_folder.claim(experiment, run_dir)
  with (
    workers_lib.convert_errors(),
    (
      claim if workers.is_chief else contextlib.nullcontext(lambda: None)
    ) as check_held,
    shared.cleared_on_error(),
  ):
    return _run_session(
      built, run_dir, workers, extra_files or {}, check_held, on_row, timing
    )


def _run_session(
  built, run_dir, workers, extra_files, check_held, on_row, timing
):
  start_time = time.monotonic()
  comparable = dataclasses.replace(built.experiment, runtime=None)
  workers.assert_equal_across_workers('the settings', repr(comparable))
  workers.assert_equal_across_workers(
    'the data set and the network', repr(_identity(built))
  )
  _check_same_data(built, run_dir)
  run_lib.check_network(built, run_dir)
  built.check_batch_size(built.experiment.train.lanes)
  built.network.check_gradients()
  _initialize(built, run_dir, workers.is_chief, extra_files)
  trainer = trainer_lib.Trainer(
    built, run_dir, workers, check_held, on_row, timing
  )
  timing.end_start()
  with trainer.preemption, pipeline.convert_image_errors(built.source):
    stopped_early = trainer.loop.run()
    tables, result = _score_splits(built, run_dir, trainer)
    result |= _frozen_weights(built, run_dir)
    network = run_folder.network(run_dir)
    if 'pretrained_difference' in network:
      result['pretrained_difference'] = network['pretrained_difference']
  trainer.summaries.end(result['judged_step'], result['test'])
  timing.end()
  result |= {
    'stopped_early': stopped_early,
    'seconds': round(time.monotonic() - start_time, 1),
    'timing': timing.record(),
    'versions': versions(),
    'devices': devices.kinds(built.strategy),
  }
  if workers.is_chief:
    check_held()
    for name, scores in tables.items():
      path = os.path.join(run_dir, name)
      storage.write_text(path, scores.to_csv(index=False))
    _store_decisions(run_dir, tables, result['judged_step'])
    storage.write_json(os.path.join(run_dir, run_folder.RESULT), result)
  workers.barrier()
  return result


def _identity(built):
  """Return what must be the same for all workers besides the config."""
  weights = graph_lib.Graph(built.model).weights
  return (
    built.task,
    built.source.prepared.fingerprint,
    [(w.path, tuple(w.variable.shape)) for w in weights],
  )


def _check_same_data(built, run_dir):
  prepared = built.source.prepared
  if run_folder.begun_on_other(run_dir, prepared.known_as):
    raise errors.InputError(
      f'{run_dir} was begun on other data than {prepared.directory} now '
      'holds; choose another --run_dir, or the --data_dir that it was begun on'
    )


def _initialize(built, run_dir, is_chief, extra_files):
  init_config = built.experiment.init
  if not checkpoint.steps(os.path.join(run_dir, run_folder.CHECKPOINTS)):
    source = init.weights.load(
      init_config.pretrained,
      built.model,
      built.experiment.data.normalization,
      init_config.pretrained_input,
    )
    scheme = init.from_config(
      init_config, source, built.stages, built.experiment.model.slim_from
    )
    report = init.apply(
      built.model, scheme, built.stages, built.experiment.seed
    )
    statistics = _frozen_statistics(built, report)
    if statistics:
      estimated = init.batch_statistics.ESTIMATED
      report = init.apply(
        built.model,
        init.compose.replaced(scheme, statistics, estimated),
        built.stages,
        built.experiment.seed,
      )
    _check_start(built, source, report)
    network = {'layers': built.network.layers}
    network |= _agreement(built, source, report)
    if is_chief:
      storage.write_json(os.path.join(run_dir, run_folder.INIT), report)
      storage.write_json(os.path.join(run_dir, run_folder.NETWORK), network)
      storage.write_json(
        os.path.join(run_dir, run_folder.CONFIG),
        dataclasses.asdict(built.experiment),
      )
      prepared = built.source.prepared
      form = stored_form.recorded(prepared)
      run_folder.write_outputs(
        run_dir,
        built.task,
        prepared.identity,
        dataclasses.asdict(form) if form else None,
      )
      for name, text in extra_files.items():
        storage.write_text(os.path.join(run_dir, name), text)
  if init_config.freeze_upto:
    init.freeze(built.model, built.stages, init_config.freeze_upto)


def _check_start(built, source, report):
  """Raise InputError if pretrained weights are given, and none is taken."""
  if source is None or built.experiment.init.conv1 == 'gabor':
    return
  init.check_transferred(report, source, built.model)


def _agreement(built, source, report):
  """Compare the features with those of the network of pretrained weights."""
  if source is None or built.strategy.num_replicas_in_sync > 1:
    return {}
  paths = [row['path'] for row in report if row['scheme'] == 'transfer']
  if changes := init.agreement.changes(built.model, source, paths):
    print(
      f'note: the network of {source.name} was another: {built.model.name} '
      f'{changes}'
    )
  difference = init.agreement.difference(
    built.model, source, paths, built.experiment.data.normalization
  )
  if difference is None:
    return {}
  if difference > _AGREES.get(built.experiment.train.precision, 0.1):
    print(
      f'note: with the weights of {source.name}, features differ from its own '
      f'by up to {difference:.2g} of their stddev: the networks compute '
      'something else (another stride, activation, epsilon or input)'
    )
  return {'pretrained_difference': difference}


def _frozen_statistics(built, report):
  """Estimate the batch norm of frozen stages that do not start pretrained."""
  experiment = built.experiment
  if not experiment.init.freeze_upto:
    return {}
  frozen = built.stages.up_to(experiment.init.freeze_upto)
  own = {r['stage'] for r in report if r['scheme'] != 'transfer'} & set(frozen)
  if not own:
    return {}
  # The same on all workers, whatever the strategy.
  with tf.device('CPU:0'), pipeline.convert_image_errors(built.source):
    model = network_lib.build_model(experiment, len(built.task.names))
    state_lib.assign(model, built.model.get_weights())
    batches = pipeline.train(built.source, experiment.train.batch_size)
    inputs = map(built.prepare_training, batches)
    return init.batch_statistics.estimate(
      model,
      models.stages_of(model),
      own,
      itertools.islice(inputs, experiment.init.statistics_batches),
    )


def _score_splits(built, run_dir, trainer):
  """Score the selected checkpoint on the test split, once.

  Thresholds of operating points are chosen on validation, whose probabilities
  are those of the training where this session had them. ImageNet's test labels
  are not public: its validation split takes the place, and there are no
  operating points.

  Returns:
    Name of a file -> its table, and what result.json holds of them.
  """
  split = built.source.prepared.scored_split
  step = run_folder.checkpoint_step(run_dir, built.experiment.train.select)
  run_lib.load_weights(built, run_dir, step)
  validation = trainer.validated.get(step)
  if validation is None:
    validation = trainer.predict(tfds_folder.VALIDATION)
  judged = (
    validation if split == tfds_folder.VALIDATION else trainer.predict(split)
  )
  scores, summaries = run_lib.evaluate(built, split, judged)
  tables = {run_folder.TEST_SCORES: scores}
  points = {}
  if split != tfds_folder.VALIDATION:
    chosen_on = run_lib.score_table(built, tfds_folder.VALIDATION, validation)
    tables[run_folder.VALIDATION_SCORES] = chosen_on
    points = {
      'operating_points': scores_lib.operating_points(chosen_on, scores)
    }
  rows = history.read(os.path.join(run_dir, run_folder.METRICS))
  return tables, {
    'headline': built.primary_metric,
    'test': summaries,
    'judged_split': split,
    'num_test': len(scores),
    **_validation_counts(built),
    'num_train': example_order.num_train_examples(built.source),
    'judged_step': step,
    'last_step': rows[-1]['step'],
    'parameters': built.model.count_params(),
    'trainable_parameters': int(
      sum(np.prod(v.shape) for v in built.model.trainable_variables)
    ),
    'data': built.source.prepared.directory,
    **points,
  }


def _store_decisions(run_dir, tables, step):
  """Store the thresholds of the usual operating points for `predict`."""
  if (validation := tables.get(run_folder.VALIDATION_SCORES)) is None:
    return
  if points := scores_lib.choose(validation):
    run_folder.write_decisions(run_dir, step, decisions.Decisions(points))


def _validation_counts(built):
  """Return the images and patients on which a checkpoint is chosen."""
  index = built.source.prepared.index(tfds_folder.VALIDATION)
  return {
    'num_validation': len(index),
    'validation_patients': len(np.unique(index.patient_ids)),
  }


def _frozen_weights(built, run_dir):
  """Return how many weights were frozen, after a check that none has changed.

  Raises:
    RunError: A layer has changed weights that it does not train.
  """
  frozen = [
    weight.path
    for weight in graph_lib.Graph(built.model).weights
    if not weight.layer.trainable
  ]
  if not frozen:
    return {}
  directory = os.path.join(run_dir, run_folder.CHECKPOINTS)
  last = checkpoint.steps(directory)[-1]
  before, after = (checkpoint.read(directory, step) for step in (0, last))
  moved = [p for p in frozen if not np.array_equal(before[p], after[p])]
  if moved:
    raise errors.RunError(
      f'frozen weights have changed in training: {errors.listed(moved, 4)}; '
      'their layers assign them in their call'
    )
  return {'frozen_weights': len(frozen)}


def versions() -> dict[str, str]:
  """Return the versions that a result was computed with."""
  of_clone = commit()
  return {
    'transfusion_tf': transfusion_tf.__version__,
    **({'commit': of_clone} if of_clone else {}),
    'tensorflow': tf.__version__,
    'keras': keras.__version__,
    'numpy': np.__version__,
    'python': platform.python_version(),
  }


def commit() -> str:
  """Return the commit of this clone, e.g. `1a2b3c4-dirty`, or an empty text.

  On a cluster it is that of the clone whose code has come there.
  """
  if COMMIT in os.environ:
    return os.environ[COMMIT]
  clone = pathlib.Path(transfusion_tf.__file__).parents[1]
  if not (clone / '.git').exists():  # It may be inside another repository.
    return ''
  command = ['git', 'describe', '--always', '--exclude=*', '--dirty']
  try:
    process = subprocess.run(command, cwd=clone, capture_output=True, text=True)
  except OSError:
    return ''
  return process.stdout.strip()
