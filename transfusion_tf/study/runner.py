"""Trains the missing runs of a study, several at a time."""

from collections.abc import Callable, Mapping, Sequence
import functools
import math
import os

from transfusion_tf import config
from transfusion_tf import flagfile
from transfusion_tf.input_pipeline import label_counts
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import network as network_lib
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import executors
from transfusion_tf.study import files
from transfusion_tf.study import run_needs
from transfusion_tf.study import status


def train(
  planned: Mapping[str, config.Experiment],
  root: str,
  executor: executors.Executor = executors.HERE,
  keep: Callable[[str], None] = lambda key: None,
  refused: Mapping[str, str] | None = None,
  until: float = math.inf,
) -> dict[str, str]:
  """Train the missing runs; return the key of each that failed, and why.

  Args:
    planned: Folder below `root` -> run. One whose pretrained weights are
      another's folder waits for it.
    root: Folder of the study.
    executor: Does the runs.
    keep: Called with the key of each run, once it is finished or failed.
    refused: Model -> why its runs cannot be made.
    until: When to stop, in seconds of `time.monotonic`. The first seeds of all
      come first then, and what is left is no failure.

  Raises:
    InputError: A data set was never prepared, or no run can learn from it.
  """
  for data_dir, dataset in dict.fromkeys(
    (run.runtime.data_dir, run.data.dataset) for run in planned.values()
  ):
    # Refuses at once, not run by run.
    label_counts.check_trainable(tfds_folder.open_dataset(data_dir, dataset))
  missing = [key for key in planned if not files.is_finished(root, key)]
  progress = status.Status(planned, root, executor.at_a_time)
  for key in planned:
    if key not in missing:
      progress.ended(key)
      keep(key)
  failures = {
    key: reason
    for key in missing
    if (reason := (refused or {}).get(planned[key].model.name))
  }
  _tell(failures, progress)
  missing = [key for key in missing if key not in failures]
  if not missing:
    return failures
  with progress.shown():
    for keys in in_order(missing, planned, root, until < math.inf):
      lost = _without_source(keys, planned, root, failures)
      _tell(lost, progress)
      failures |= lost
      jobs = [
        _job(key, planned[key], root, executor)
        for key in keys
        if key not in failures
      ]
      for key, error in executor.run(
        jobs, network_lib.Shared, until, progress.began
      ):
        if error:
          failures[key] = error
        progress.ended(key, error)
        progress.print_end(key)
        keep(key)
  return failures


def _tell(failures, progress):
  for key, error in failures.items():
    progress.ended(key, error)
    print(f'== {key}: {error}', flush=True)


def _job(key, experiment, root, executor):
  return executors.Job(
    key,
    functools.partial(_train, experiment, os.path.join(root, key)),
    network_lib.shared_by(experiment),
    executor.needs(experiment),
    run_needs.size(experiment),
  )


def _train(experiment, run_dir, shared):
  """Train or continue a run."""
  extra_files = flagfile.file(experiment, run_dir)
  train_and_evaluate.run(experiment, run_dir, extra_files, shared)


def _without_source(keys, planned, root, failures):
  """Return the runs whose pretraining failed, with the reason."""
  lost = {os.path.join(root, key): key for key in failures}
  sources = {key: lost.get(planned[key].init.pretrained) for key in keys}
  return {
    key: f'{source}, from which it starts, failed: {failures[source]}'
    for key, source in sources.items()
    if source
  }


def in_order(
  keys: Sequence[str],
  planned: Mapping[str, config.Experiment],
  root: str,
  by_seed: bool,
) -> list[list[str]]:
  """Return the runs that others take weights from, then the others.

  Args:
    keys: The missing runs.
    planned: Key -> run.
    root: Folder of the study.
    by_seed: Whether the first seeds of all come first.
  """
  sources = {planned[key].init.pretrained for key in keys}
  first = [key for key in keys if os.path.join(root, key) in sources]
  rounds: dict[int, list[str]] = {}
  for key in keys:
    if key not in first:
      # Each time twice as many, so that networks are not compiled for each.
      number = planned[key].seed.bit_length() if by_seed else 0
      rounds.setdefault(number, []).append(key)
  return [first, *(rounds[number] for number in sorted(rounds))]
