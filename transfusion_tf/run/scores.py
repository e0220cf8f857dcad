"""Scores of a split as a table, with a JSON file that says what they are."""

from collections.abc import Mapping, Sequence
import datetime
import io
import os
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import decisions as decisions_lib
from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import output_names
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import stored_form as stored_form_lib
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib

_IDS = ('image_id', 'patient_id')
_REMEDY = 'restore the file, or delete the run folder and train again'


def is_training_data(run: run_lib.Run, run_dir: str) -> bool:
  """Return whether the open data set is the one that the run was trained on.

  For a run of an earlier version, the folder has to be the same one.
  """
  source = run.source
  if not source.label_map.is_identity:
    return False
  if run_folder.begun_on(run_dir):
    return not run_folder.begun_on_other(run_dir, source.prepared.known_as)
  result = run_folder.result(run_dir)
  return not result or result['data'] == source.prepared.directory


def read(path: str) -> pd.DataFrame:
  """Return a table of scores; ids are texts, and all else but groups numbers.

  Raises:
    InputError: There is none, or it is damaged.
  """
  # Not as types, by which the id `NA` would be none.
  ids = dict.fromkeys((*_IDS, output_names.TRUE), str)
  try:
    table = pd.read_csv(io.BytesIO(storage.read_bytes(path)), converters=ids)
  except FileNotFoundError:
    raise errors.InputError(f'{path}: no such file; {_REMEDY}') from None
  except (OSError, ValueError) as error:
    raise errors.DamagedFileError(
      path, storage.reason(error), _REMEDY
    ) from None
  if problem := _problem(table):
    raise errors.DamagedFileError(path, problem, _REMEDY)
  return table


def _problem(table):
  """Return what is wrong with a table of scores, or an empty text."""
  for name in _IDS:
    if name not in table:
      return f'no {name}'
    # Of a row that was cut it is no text.
    if not all(isinstance(value, str) and value for value in table[name]):
      return f'an empty {name}'
  for name in table.columns.drop(list(_IDS)):
    if name.endswith(':group') or name == output_names.TRUE:
      continue
    if table[name].dtype.kind not in 'biuf':
      return f'{name} has what is no number'
    if np.isinf(table[name].to_numpy(float)).any():
      return f'{name} has a number that is not finite'
  try:
    metrics.answers.from_table(table)
  except (LookupError, ValueError) as error:
    return str(error)
  return ''


def operating_points(
  validation: pd.DataFrame,
  test: pd.DataFrame,
  targets: Sequence[metrics.operating_points.Target] | None = None,
) -> list[dict[str, Any]]:
  """Return `OperatingPoint.record` of each point, on the test scores.

  Args:
    validation: Scores of the same checkpoint, which choose thresholds.
    test: Scores of other images.
    targets: What is asked of validation.
  """
  return judge(choose(validation, targets), test)


def judge(
  points: Sequence[metrics.operating_points.Chosen], test: pd.DataFrame
) -> list[dict[str, Any]]:
  """Return `OperatingPoint.record` of each threshold, on the test scores."""
  answers = metrics.answers.from_table(_as_written(test))
  judged = metrics.operating_points.judge_chosen(points, answers)
  return [point.record(test['patient_id']) for point in judged]


def choose(
  validation: pd.DataFrame,
  targets: Sequence[metrics.operating_points.Target] | None = None,
) -> tuple[metrics.operating_points.Chosen, ...]:
  """Return the thresholds that validation chooses.

  Args:
    validation: Scores of validation images.
    targets: What is asked of validation.
  """
  answers = metrics.answers.from_table(_as_written(validation))
  return tuple(metrics.operating_points.choose(answers, targets))


def _as_written(table):
  """Return a table with the scores that its file has.

  There 0.1 in 32 bits is 0.1, and so must be a threshold that was such a score.
  """
  return table.assign(
    **{
      name: values.astype(str).astype(float)
      for name, values in table.items()
      if values.dtype == 'float32' and name.endswith(':score')
    }
  )


def validation(
  run: run_lib.Run, run_dir: str, split: str, which: str
) -> tuple[pd.DataFrame | None, str]:
  """Return the scores that choose the thresholds of operating points.

  They are of the run's own validation images, whatever data set is open.

  Args:
    run: The run, with the weights of the checkpoint.
    run_dir: The folder of the run.
    split: The split that the thresholds are for.
    which: The checkpoint, as requested.

  Returns:
    The table, or None and why there is none. The reason is empty for validation
    itself, and for labels that have no operating points.
  """
  if not has_thresholds(run.task):
    return None, ''
  if is_training_data(run, run_dir) and split == tfds_folder.VALIDATION:
    return None, ''  # It chooses the thresholds, and cannot judge them.
  return _of_validation(run, run_dir, which)


def stored_form(
  run_dir: str, experiment: config.Experiment
) -> stored_form_lib.StoredForm:
  """Return the form in which the images of a run's training were stored.

  An earlier version did not record it: the data set tells, which has to be
  there.
  """
  if record := run_folder.stored_form(run_dir):
    return stored_form_lib.from_json(record)
  return stored_form_lib.from_dataset(
    tfds_folder.open_dataset(
      experiment.runtime.data_dir, experiment.data.dataset
    )
  )


def has_thresholds(task: tasks.Task) -> bool:
  """Return whether a task asks yes-or-no questions."""
  return not isinstance(task, tasks.Classes) or len(task.names) == 2


def stored(run_dir: str, step: int | None, name: str) -> pd.DataFrame | None:
  """Return RUN/NAME, a table of scores, if it is of this checkpoint."""
  path = os.path.join(run_dir, name)
  finished = run_folder.result(run_dir) or {}
  if finished.get('judged_step') != step or not storage.exists(path):
    return None
  return read(path)


def _of_validation(run, run_dir, which):
  """Return the scores of the run's own validation images, or why not."""
  step = run_folder.checkpoint_step(run_dir, which)
  table = stored(run_dir, step, run_folder.VALIDATION_SCORES)
  if table is not None:
    return table, ''
  if is_training_data(run, run_dir):
    return run_lib.evaluate(run, tfds_folder.VALIDATION)[0], ''
  return None, (
    'this run has no validation_scores.csv of this checkpoint, and its own '
    'data set is not open'
  )


def store_decisions(
  run: run_lib.Run,
  run_dir: str,
  which: str,
  targets: Sequence[metrics.operating_points.Target] | None = None,
  calibrate: bool = False,
  validation: pd.DataFrame | None = None,
) -> decisions_lib.Decisions:
  """Choose thresholds, and a temperature, and store them with the run.

  Args:
    run: The run, with the weights of the checkpoint.
    run_dir: The folder of the run.
    which: The checkpoint, as requested.
    targets: What is asked of validation.
    calibrate: Whether a temperature is fitted.
    validation: Scores of the run's validation images, if they are known.

  Raises:
    InputError: There are no scores of validation.
  """
  table, lacking = validation, ''
  if table is None:
    table, lacking = _of_validation(run, run_dir, which)
  if table is None:
    raise errors.InputError(f'{run_dir}: nothing to choose by: {lacking}')
  temperature = None
  if calibrate:
    if _lacks_labels(run.task, table) and is_training_data(run, run_dir):
      table, _ = run_lib.evaluate(run, tfds_folder.VALIDATION)
    temperature = decisions_lib.fit_temperature(
      run.task, table[list(run.task.names)], labels(run.task, table)
    )
  chosen = decisions_lib.Decisions(choose(table, targets), temperature)
  step = run_folder.checkpoint_step(run_dir, which)
  run_folder.write_decisions(run_dir, step, chosen)
  return chosen


def labels(task: tasks.Task, table: pd.DataFrame) -> dict[str, Any]:
  """Return the labels that a table of scores was made with: key -> [N].

  Raises:
    InputError: The table is of an earlier version, which kept no classes.
  """
  if isinstance(task, tasks.Findings):
    states = {}
    for name in task.names:
      label = table[f'{name}:label'].to_numpy(float)
      known = np.where(label > 0, tasks.POSITIVE, tasks.NEGATIVE)
      states[name] = np.where(np.isnan(label), tasks.ABSENT, known)
    return {task.kind: states}
  if _lacks_labels(task, table):
    raise errors.InputError(
      'the scores of validation are of an earlier version and have no true '
      'classes: --calibrate needs the data set of the training, without '
      '--dataset'
    )
  number = {name: k for k, name in enumerate(task.names)}
  return {task.kind: table[output_names.TRUE].map(number).to_numpy(np.int64)}


def _lacks_labels(task, table):
  """Return whether an earlier version wrote a table, without true classes."""
  return task.kind != output_names.FINDINGS and output_names.TRUE not in table


def confusion(task: tasks.Task, table: pd.DataFrame) -> dict[str, list]:
  """Return the confusion matrix of a table of scores.

  It is empty of findings, and of a table that an earlier version wrote.

  Args:
    task: The task.
    table: As `build.evaluate` makes it.
  """
  if output_names.TRUE not in table:
    return {}
  probabilities = table[list(task.names)].to_numpy(np.float32)
  given = task.most_probable(tf.constant(probabilities)).numpy()
  return metrics.agreement.confusion(
    task.names,
    table[output_names.TRUE].to_list(),
    [task.names[k] for k in given],
  )


def write(
  run: run_lib.Run,
  run_dir: str,
  split: str,
  which: str,
  scores: pd.DataFrame,
  summaries: Mapping[str, metrics.Summary],
  points: Sequence[Mapping[str, Any]] = (),
  folder: str = '',
  more: Mapping[str, Any] | None = None,
) -> str:
  """Write the results of `build.evaluate` to the run's folder.

  The file of scores on another data set than the run's is named after that data
  set. NAME.json beside NAME.csv states the data set, split and checkpoint, and
  how names were matched.

  Args:
    run: The run, with the data set that was scored.
    run_dir: The folder of the run.
    split: Name of the split.
    which: The checkpoint, as requested.
    scores: One row per example.
    summaries: The metrics.
    points: The operating points.
    folder: A folder to write to in place of the run's.
    more: What else the JSON file says.

  Returns:
    The path of the table.
  """
  is_own = is_training_data(run, run_dir)
  name = file_name(run, f'{split}_{which}', is_own)
  path = os.path.join(folder or run_dir, name)
  header = {
    **described(run, split, scores, summaries, points),
    'checkpoint': which,
    'step': run_folder.checkpoint_step(run_dir, which),
    **(more or {}),
  }
  if folder:
    with storage.convert_write_errors(folder):
      storage.makedirs(folder)
  return write_table(path, scores, header)


def file_name(run: run_lib.Run, name: str, is_own: bool) -> str:
  """Return the name of a table of scores; of another data set, with its."""
  if not is_own:
    prepared = run.source.prepared
    digest = prepared.identity['fingerprint'][:8]
    name = f'{prepared.name}-{digest}_{name}'
  return f'scores_{name}.csv'


def described(
  run: run_lib.Run,
  split: str,
  scores: pd.DataFrame,
  summaries: Mapping[str, metrics.Summary],
  points: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
  """Return what the JSON file beside a table of scores says of it."""
  source = run.source
  identity = source.prepared.identity
  return {
    'data': identity,
    'split': split,
    'outputs': list(run.task.names),
    'names': dict(source.label_map.stored),
    'notes': source.label_map.notes(identity['dataset']),
    'metrics': dict(summaries),
    'operating_points': list(points),
    'confusion': confusion(run.task, scores),
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  }


def write_table(
  path: str, scores: pd.DataFrame, header: Mapping[str, Any]
) -> str:
  """Write a table of scores, and a JSON file beside it; return the path."""
  storage.write_text(path, scores.to_csv(index=False))
  storage.write_json(path.removesuffix('.csv') + '.json', dict(header))
  return path
