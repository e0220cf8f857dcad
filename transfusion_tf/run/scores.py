"""Scores of a split as a table, with a JSON file that says what they are."""

from collections.abc import Mapping
import datetime
import os

import pandas as pd

from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.run import build as run_lib


def is_training_data(run: run_lib.Run, run_dir: str) -> bool:
  """Return whether the open data set is the one that the run was trained on.

  For a run of an earlier version, the folder has to be the same one.
  """
  source = run.source
  if not source.label_map.is_identity:
    return False
  if run_folder.begun_on(run_dir):
    fingerprint = source.prepared.fingerprint
    return not run_folder.begun_on_other(run_dir, fingerprint)
  result = run_folder.result(run_dir)
  return not result or result['data'] == source.prepared.directory


def write(
  run: run_lib.Run,
  run_dir: str,
  split: str,
  which: str,
  scores: pd.DataFrame,
  summaries: Mapping[str, metrics.Summary],
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

  Returns:
    The path of the table.
  """
  source = run.source
  identity = source.prepared.identity
  name = f'{split}_{which}'
  if not is_training_data(run, run_dir):
    digest = identity['fingerprint'][:8]
    name = f'{source.prepared.name}-{digest}_{name}'
  path = os.path.join(run_dir, f'scores_{name}.csv')
  step = run_folder.checkpoint_step(run_dir, which)
  header = {
    'data': identity,
    'split': split,
    'checkpoint': which,
    'step': step,
    'outputs': list(run.task.names),
    'names': dict(source.label_map.stored),
    'notes': source.label_map.notes(identity['dataset']),
    'metrics': dict(summaries),
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  }
  storage.write_text(path, scores.to_csv(index=False))
  storage.write_json(path.removesuffix('.csv') + '.json', header)
  return path
