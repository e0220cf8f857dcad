"""Scores a split with several runs: what evaluate.py does with A,B,C."""

from collections.abc import Sequence
import os

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.cli import evaluation_text
from transfusion_tf.run import ensemble
from transfusion_tf.run import ensemble_scores
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.study import external as external_lib


def evaluate(
  run: ensemble.EnsembleRun,
  split: str,
  output_dir: str,
  targets: Sequence[metrics.operating_points.Target],
) -> pd.DataFrame:
  """Score a split, print what comes out and write it to a folder.

  Args:
    run: The ensemble.
    split: Name of the split.
    output_dir: The folder, which need not exist.
    targets: What is asked of validation at operating points.

  Returns:
    The table of scores.

  Raises:
    InputError: The folder is a run's own.
  """
  for part in run.parts:
    if os.path.realpath(part.run_dir) == os.path.realpath(output_dir):
      raise errors.InputError(
        f'--output_dir={output_dir} is the folder of a run; an ensemble has '
        'results of its own, in another folder'
      )
  is_own = ensemble_scores.is_training_data(run)
  for note in evaluation_text.notes(run, split, is_own):
    print(note)
  of_it = [
    part.name
    for part in run.parts
    if scores_lib.is_training_data(run, part.run_dir)
  ]
  if of_it and not is_own:
    print(
      f'note: of the members, only {errors.listed(of_it)} had this data set in '
      'training: others may have been trained on images that it tests'
    )
  validation, lacking = ensemble_scores.validation(run, split)
  gain = ensemble_scores.evaluate(run, split, validation)
  thresholds: Sequence[metrics.operating_points.Chosen] = ()
  points = []
  if not scores_lib.has_thresholds(run.task):
    lacking = ''
  elif validation:
    table, _ = ensemble_scores.mean_table(run.task, validation)
    thresholds = scores_lib.choose(table, targets)
    points = scores_lib.judge(thresholds, gain.scores)
  header = {
    **scores_lib.described(run, split, gain.scores, gain.summaries, points),
    'runs': [{'run': p.run_dir, 'step': p.step} for p in run.parts],
    **gain.record(),
  }
  with storage.convert_write_errors(output_dir):
    storage.makedirs(output_dir)
  external = None
  if not is_own:
    external = _external(run, split, gain.scores, thresholds, lacking)
    header |= external.record()
  name = scores_lib.file_name(run, f'{split}_ensemble', is_own)
  path = os.path.join(output_dir, name)
  scores_lib.write_table(path, gain.scores, header)
  for line in evaluation_text.lines(
    run.task, split, gain.scores, gain.summaries, points, lacking
  ):
    print(line)
  for line in _gain_lines(run, split, gain):
    print(line)
  for line in evaluation_text.files(path, gain.scores, external):
    print(line)
  return gain.scores


def _external(run, split, scores, thresholds, lacking):
  """Return the comparison with the members' own test images."""
  tables, missing = ensemble_scores.stored_tables(
    run.parts, run_folder.TEST_SCORES
  )
  own = ensemble_scores.mean_table(run.task, tables)[0] if tables else None
  return external_lib.Validation(
    f'Ensemble of {len(run.parts)} runs',
    f'the mean of {", ".join(run.members)}',
    run.task,
    run.primary_metric,
    external_lib.Scored(
      run.source.prepared.name, scores, '', run.source.prepared, split
    ),
    external_lib.home(run.parts[0].run_dir, own, missing),
    run.source.label_map,
    thresholds,
    lacking,
  )


def _gain_lines(run, split, gain):
  primary = run.primary_metric
  for name, summaries in gain.members.items():
    text = metrics.text(summaries[primary])
    at = gain.validated.get(name)
    known = '' if at is None else f', validation {at:.4f}'
    yield f'{split} {primary} of {name} {text}{known}'
  for over, differences in (
    (gain.best and f'{gain.best}, the best single one', gain.over_best),
    ('the mean of the single ones', gain.over_mean),
  ):
    for metric, difference in differences.items():
      yield f'{split} {metric} less that of {over} {metrics.text(difference)}'
  if not gain.best:
    yield (
      'note: not compared with the best single run: validation, which chooses '
      'it, is not known'
    )
