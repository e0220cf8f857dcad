"""Scores of a split as a table, and beside it what they are scores of."""

from collections.abc import Mapping
import datetime
import os

import pandas as pd

from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.run import build as run_lib


def is_own(run: run_lib.Run, run_dir: str) -> bool:
  """Return whether a run has its own data set open, as it was trained on.

  Of a run that an earlier version made, the folder has to be the same one.
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
  found: Mapping[str, metrics.Summary],
) -> str:
  """Write what `build.evaluate` gave into the run's folder.

  Scores on another data set than the run's own get a file that is named after
  it. NAME.json beside NAME.csv says which data set, split and checkpoint they
  are of, and how names were matched.

  Args:
    run: The run, with the data set that was scored.
    run_dir: The folder of the run.
    split: The split.
    which: The checkpoint, as it was asked for.
    scores: One row an example.
    found: The metrics.

  Returns:
    The path of the table.
  """
  source = run.source
  identity = source.prepared.identity
  name = f'{split}_{which}'
  if not is_own(run, run_dir):
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
    'metrics': dict(found),
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  }
  storage.write_text(path, scores.to_csv(index=False))
  storage.write_json(path.removesuffix('.csv') + '.json', header)
  return path
