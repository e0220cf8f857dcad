"""Trains the runs of a study that are not there yet, several at a time."""

from collections.abc import Callable, Mapping
import functools
import os

from transfusion_tf import config
from transfusion_tf import flagfile
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import files
from transfusion_tf.study import process_pool


def train(
  planned: Mapping[str, config.Experiment],
  root: str,
  num_processes: int = 1,
  keep: Callable[[str], None] = lambda key: None,
) -> list[str]:
  """Make the runs that are not there; return what could not be made.

  Args:
    planned: Folder below `root` -> run. One whose pretrained weights are
      another's folder waits for it.
    root: Folder of the study.
    num_processes: Runs at a time; 1 is in this process.
    keep: Called with the key of each run that is there, or made.

  Raises:
    InputError: A data set was never prepared.
  """
  for experiment in planned.values():  # Refuses at once, not later.
    _open(experiment.runtime.data_dir, experiment.data.dataset)
  missing = [key for key in planned if not files.is_finished(root, key)]
  for key in planned:
    if key not in missing:
      keep(key)
  failures, made = [], len(planned) - len(missing)
  for keys in _in_order(missing, planned, root):
    jobs = {
      key: functools.partial(_make, planned[key], os.path.join(root, key))
      for key in keys
    }
    for key, wrong in process_pool.each(jobs, num_processes):
      made += not wrong
      state = wrong or f'finished, {made} of {len(planned)}'
      print(f'== {key}: {state}', flush=True)
      keep(key)
      if wrong:
        failures.append(f'{key}: {wrong}')
  return failures


def _make(experiment, run_dir):
  """Trains or continues a run."""
  train_and_evaluate.run(
    experiment, run_dir, flagfile.file(experiment, run_dir)
  )


_open = functools.cache(tfds_folder.open_dataset)


def _in_order(keys, planned, root):
  """Those that others take weights from, then the others."""
  sources = {planned[key].init.pretrained for key in keys}
  first = [key for key in keys if os.path.join(root, key) in sources]
  return first, [key for key in keys if key not in first]
