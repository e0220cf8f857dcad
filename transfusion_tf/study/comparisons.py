"""The comparisons after a study's runs: jobs, each of one network.

What a job has found is in a file, until those of all networks are put together:
STUDY/comparisons/MODEL.json.
"""

from collections.abc import Callable, Mapping
import functools
import io
import os
from typing import Any, TypedDict

import pandas as pd

from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf.models import registry
from transfusion_tf.study import benefit
from transfusion_tf.study import decision
from transfusion_tf.study import executors
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import similarity

_FOLDER = 'comparisons'
_NAMES = ('model', 'start', 'layer', 'stage')


class _Similarity(TypedDict):
  table: str  # As CSV, whose numbers may be NaN.
  refused: dict[str, str]
  failed: dict[str, str]


class _Benefit(TypedDict):
  resets: str
  paths: str
  notes: list[str]


def compare(
  runs: decision.Runs,
  root: str,
  failed: dict[str, str] | None = None,
  executor: executors.Executor = executors.HERE,
) -> tuple[pd.DataFrame, dict[str, str]]:
  """Compare networks before and after training, as `similarity.measure`.

  Args:
    runs: Finished runs.
    root: Folder of the study.
    failed: Gets what failed for another reason than its input, and why.
    executor: Does it, a network a job.
  """
  failed = {} if failed is None else failed
  empty, refused = similarity.measure({})
  found, lost = _run(_compare, _Similarity, runs, root, executor)
  for each in found:
    refused |= each['refused']
    failed |= each['failed']
  refused |= lost
  failed |= {f'Comparing {model}': reason for model, reason in lost.items()}
  return _join(empty, [each['table'] for each in found]), refused


def locate_benefit(
  runs: decision.Runs,
  root: str,
  executor: executors.Executor = executors.HERE,
) -> list[str]:
  """Measure where the benefit sits, and write the tables of `benefit`.

  Args:
    runs: Finished runs.
    root: Folder of the study.
    executor: Does it, a network a job.

  Returns:
    What could not be measured, and why.
  """
  empty = benefit.measure({})
  found, lost = _run(_locate, _Benefit, runs, root, executor)
  measured = benefit.Measured(
    _join(empty.resets, [each['resets'] for each in found]),
    _join(empty.paths, [each['paths'] for each in found]),
    [note for each in found for note in each['notes']],
  )
  benefit.write(measured, root)
  gone = [f'{registry.label(m)}: {reason}' for m, reason in lost.items()]
  return [*measured.notes, *gone]


def _run(
  job: Callable[[decision.Runs, str], None],
  schema: Any,
  runs: decision.Runs,
  root: str,
  executor: executors.Executor,
) -> tuple[list[Any], Mapping[str, str]]:
  """Return what the jobs of all networks found, and model -> why one failed."""
  folder = os.path.join(root, _FOLDER)
  storage.makedirs(folder)
  paths = {m: os.path.join(folder, plan_lib.folder(m) + '.json') for m in runs}
  jobs = [
    executors.Job(
      model,
      functools.partial(job, {model: starts}, paths[model]),
      needs=executor.needs(next(iter(starts.values()))[0].experiment),
    )
    for model, starts in runs.items()
  ]
  lost = {model: error for model, error in executor.run(jobs) if error}
  found = [
    json_file.read(path, schema, 'run the same command again')
    for model, path in paths.items()
    if model not in lost
  ]
  storage.remove_folder(folder)
  return found, lost


def _compare(runs, path):
  failed: dict[str, str] = {}
  table, refused = similarity.measure(runs, failed)
  content = _Similarity(
    table=table.to_csv(index=False), refused=refused, failed=failed
  )
  storage.write_json(path, content)


def _locate(runs, path):
  measured = benefit.measure(runs)
  content = _Benefit(
    resets=measured.resets.to_csv(index=False),
    paths=measured.paths.to_csv(index=False),
    notes=measured.notes,
  )
  storage.write_json(path, content)


def _join(empty, texts):
  """Return tables as one, to the last digit."""
  tables = [
    pd.read_csv(
      io.StringIO(text),
      dtype=dict.fromkeys(_NAMES, str),
      keep_default_na=False,
      na_values={name: [''] for name in empty.columns if name not in _NAMES},
      float_precision='round_trip',
    )
    for text in texts
  ]
  filled = [table for table in tables if len(table)]
  return pd.concat(filled or [empty], ignore_index=True)
