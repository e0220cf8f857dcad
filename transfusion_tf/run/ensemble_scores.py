"""What an ensemble gains over its members, on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from transfusion_tf import decisions as decisions_lib
from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import ensemble as ensemble_lib
from transfusion_tf.run import scores as scores_lib

_IDS = ['image_id', 'patient_id']


@dataclasses.dataclass(frozen=True, eq=False)
class Gain:
  """An ensemble beside its members on a split.

  Attributes:
    scores: The ensemble's table of scores.
    summaries: Metric -> the ensemble's.
    members: Name of a member -> metric -> its summary.
    validated: Name of a member -> its primary metric on validation; empty if
      that is not known.
    best: The member that validation prefers; empty if that is not known.
    over_best: Metric -> the ensemble's less that of the best member.
    over_mean: Metric -> the ensemble's less the mean of its members'.
  """

  scores: pd.DataFrame
  summaries: dict[str, metrics.Summary]
  members: dict[str, dict[str, metrics.Summary]]
  validated: dict[str, float]
  best: str
  over_best: dict[str, metrics.Summary]
  over_mean: dict[str, metrics.Summary]

  def record(self) -> dict[str, Any]:
    """Return all but the ensemble's own scores as JSON can hold it."""
    return {
      'members': {
        name: {'metrics': of_it, 'validation': self.validated.get(name)}
        for name, of_it in self.members.items()
      },
      'gain': {
        'best_member': self.best or None,
        'over_best_member': self.over_best,
        'over_mean_of_members': self.over_mean,
      },
    }


def evaluate(
  run: ensemble_lib.EnsembleRun,
  split: str,
  validation: Sequence[pd.DataFrame] = (),
) -> Gain:
  """Score a split with an ensemble and with each of its members.

  Args:
    run: The ensemble.
    split: Name of the split.
    validation: Each member's scores of validation images, by which the best is
      chosen; none if they are not known, or if `split` is these images.
  """
  with pipeline.convert_image_errors(run.source):
    each = run.each_probabilities(split)
  scores, summaries = run_lib.evaluate(run, split, each.mean(axis=0))
  patients = scores['patient_id']
  ours = run.metrics(split, each.mean(axis=0))
  theirs = [run.metrics(split, probabilities) for probabilities in each]
  validated = _validated(run, validation)
  best = max(validated, key=lambda name: validated[name], default='')
  compared = [n for n in _compared(run) if n in ours]

  def over(others):
    return {
      name: metrics.differences.paired(
        ours[name], [other[name] for other in others], patients
      )
      for name in compared
    }

  return Gain(
    scores,
    summaries,
    {
      name: metrics.summaries(of_it, patients)
      for name, of_it in zip(run.members, theirs, strict=True)
    },
    validated,
    best,
    over([theirs[run.members.index(best)]]) if best else {},
    over(theirs),
  )


def _compared(run):
  """Return the primary metric, and the one that says if it is calibrated."""
  return list(dict.fromkeys([run.primary_metric, 'brier']))


def _validated(run, tables):
  if not tables:
    return {}
  found = [
    float(metrics.from_columns(table, run.primary_metric).value())
    for table in tables
  ]
  named = dict(zip(run.members, found, strict=True))
  return {name: value for name, value in named.items() if np.isfinite(value)}


def validation(
  run: ensemble_lib.EnsembleRun, split: str
) -> tuple[list[pd.DataFrame], str]:
  """Return each member's scores of the validation images of the training.

  Args:
    run: The ensemble.
    split: The split that is to be judged.

  Returns:
    A table a member, or none and why there are none. The reason is empty for
    validation itself.
  """
  is_own = is_training_data(run)
  if is_own and split == tfds_folder.VALIDATION:
    return [], ''
  tables, lacking = stored_tables(run.parts, run_folder.VALIDATION_SCORES)
  if not lacking:
    return tables, ''
  if not is_own:
    return [], f'{lacking}, and the data set of the training is not open'
  with pipeline.convert_image_errors(run.source):
    each = run.each_probabilities(tfds_folder.VALIDATION)
  return [
    run_lib.score_table(run, tfds_folder.VALIDATION, probabilities)
    for probabilities in each
  ], ''


def is_training_data(run: ensemble_lib.EnsembleRun) -> bool:
  """Return whether the open data set is the one of every member's training."""
  return all(
    scores_lib.is_training_data(run, part.run_dir) for part in run.parts
  )


def stored_tables(
  parts: Sequence[ensemble_lib.Member], name: str
) -> tuple[list[pd.DataFrame], str]:
  """Return a table of scores in each member's folder, of the same images.

  Returns:
    The tables, or none and why there are none.
  """
  tables: list[pd.DataFrame] = []
  for part in parts:
    table = scores_lib.stored(part.run_dir, part.step, name)
    if table is None:
      return [], f'{part.run_dir} has no {name} of step {part.step}'
    if tables and not table[_IDS].equals(tables[0][_IDS]):
      return [], (
        f'{name} of {part.run_dir} and of {parts[0].run_dir} are of different '
        'images'
      )
    tables.append(table)
  return tables, ''


def mean_table(
  task: tasks.Task, tables: Sequence[pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, metrics.Metric]]:
  """Return the table of mean probabilities, and its metrics.

  Args:
    task: The task.
    tables: Tables of scores of the same images.

  Raises:
    InputError: An earlier version wrote them, without true classes.
  """
  names, first = list(task.names), tables[0]
  each = [table[names].to_numpy(np.float32) for table in tables]
  probabilities = np.mean(each, axis=0)
  found = task.metrics(probabilities, scores_lib.labels(task, first))
  columns = {name: probabilities[:, k] for k, name in enumerate(names)}
  for name, metric in found.items():
    columns |= metric.columns(name)
  return first.assign(**columns), found


def decisions(
  parts: Sequence[ensemble_lib.Member],
  task: tasks.Task,
  targets: Sequence[metrics.operating_points.Target] | None = None,
) -> decisions_lib.Decisions | None:
  """Return the thresholds that the ensemble's own validation scores choose.

  Args:
    parts: The members.
    task: The meaning of the outputs.
    targets: What is asked of validation.

  Returns:
    None if the scores of a member are not known, or are of other images.
  """
  if not scores_lib.has_thresholds(task):
    return None
  tables, lacking = stored_tables(parts, run_folder.VALIDATION_SCORES)
  if lacking:
    return None
  table, _ = mean_table(task, tables)
  points = scores_lib.choose(table, targets)
  return decisions_lib.Decisions(points) if points else None


def judged(
  parts: Sequence[ensemble_lib.Member], task: tasks.Task
) -> Mapping[str, Any]:
  """Return the ensemble's test results as `run_folder.result` has a run's.

  They are the members' own test scores, averaged: `scores` is their table.
  Empty if these are not known, or are of different images.
  """
  tables, lacking = stored_tables(parts, run_folder.TEST_SCORES)
  if lacking:
    return {}
  try:
    table, found = mean_table(task, tables)
  except errors.InputError:  # Of an earlier version.
    return {}
  results = [run_folder.result(part.run_dir) or {} for part in parts]
  first = results[0]
  same: dict[str, Any] = {
    name: first[name]
    for name in ('judged_split', 'num_train', 'versions', 'num_test')
    if all(result.get(name) == first.get(name) for result in results)
    and name in first
  }
  summaries = metrics.summaries(found, table['patient_id'])
  return {**same, 'test': summaries, 'scores': table}
