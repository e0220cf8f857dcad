"""Carries a study out: trains, compares and keeps what its pages need."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
import json
import os
import shutil

import sample_images
import side_by_side
import train_flags
from transfusion_tf import comparison as comparison_lib
from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import files
from transfusion_tf import launch
from transfusion_tf import run_folder
from transfusion_tf.analysis import sampling
from transfusion_tf.input import prepared as prepared_lib
from transfusion_tf.paper import comparisons
from transfusion_tf.paper import contents
from transfusion_tf.paper import first_layer
from transfusion_tf.paper import results
from transfusion_tf.paper import runs
from transfusion_tf.paper import scales


def run(
  targets: Sequence[str],
  scale: scales.Scale,
  root: str,
  data_dir: str,
  prune: bool,
  num_processes: int = 1,
) -> list[str]:
  """Makes what targets need and is missing; returns what could not be made."""
  plans = runs.plans(targets, scale)
  names = runs.expand(targets)
  if 'figure1' in names:
    sample_images.take(scale, root, data_dir)

  failures = train(
    {plan.key: plan.at(root, data_dir) for plan in plans},
    root,
    num_processes,
    keeper(scale, root, prune),
  )
  return failures + compare(
    comparisons.wanted(names, scale),
    scale,
    root,
    data_dir,
    prune,
    num_processes,
  )


def keeper(
  scale: scales.Scale, root: str, prune: bool
) -> Callable[[str], None]:
  """What `train` does with a run of the paper that is made: for figures."""

  def keep(key):
    found = results.read(root, key)
    if isinstance(found, results.Result):
      _keep_first_layer(found)
      if prune:
        _prune(scale, root, key)

  return keep


def train(
  planned: Mapping[str, config.Experiment],
  root: str,
  num_processes: int = 1,
  keep: Callable[[str], None] = lambda key: None,
) -> list[str]:
  """Makes the runs that are not there; returns what could not be made.

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
  missing = [key for key in planned if not runs.finished(root, key)]
  for key in planned:
    if key not in missing:
      keep(key)
  failures, made = [], len(planned) - len(missing)
  for keys in _in_order(missing, planned, root):
    jobs = {
      key: functools.partial(_make, planned[key], os.path.join(root, key))
      for key in keys
    }
    for key, wrong in side_by_side.each(jobs, num_processes):
      made += not wrong
      state = wrong or f'finished, {made} of {len(planned)}'
      print(f'== {key}: {state}', flush=True)
      keep(key)
      if wrong:
        failures.append(f'{key}: {wrong}')
  return failures


def _make(experiment, run_dir):
  """Trains or continues a run."""
  launch.run(experiment, run_dir, train_flags.file(experiment, run_dir))


_open = functools.cache(prepared_lib.open_dataset)


def _in_order(keys, planned, root):
  """Those that others take weights from, then the others."""
  sources = {planned[key].init.pretrained for key in keys}
  first = [key for key in keys if os.path.join(root, key) in sources]
  return first, [key for key in keys if key not in first]


def _keep_first_layer(run):
  try:
    first_layer.save(run.run_dir, run.result['judged_step'])
  except errors.InputError as error:  # Its checkpoints are gone.
    print(f'{run.key}: {error}')


def _prune(scale, root, key):
  """Deletes a run's checkpoints once nothing will need them."""
  pretraining = key.startswith(f'{scale.pretraining}/')
  if not pretraining and key not in _awaited(scale, root):
    shutil.rmtree(
      os.path.join(root, key, run_folder.CHECKPOINTS), ignore_errors=True
    )


def _awaited(scale, root):
  """Runs whose checkpoints a comparison still has to read."""
  return {
    key
    for comparison in comparisons.wanted(contents.TARGETS, scale)
    if not _compared(root, comparison)
    for key in _keys(scale, comparison)
  }


def _keys(scale, comparison):
  return [
    runs.key(scale, comparison.group(network), network.seed)
    for network in (comparison.a, comparison.b)
  ]


def _compared(root, comparison):
  return os.path.exists(results.similarity_path(root, comparison.key))


def compare(
  wanted: Iterable[comparisons.Comparison],
  scale: scales.Scale,
  root: str,
  data_dir: str,
  prune: bool,
  num_processes: int = 1,
) -> list[str]:
  """Makes the comparisons that are not there, of runs that are.

  Returns:
    What could not be made.
  """
  ready = [
    c
    for c in wanted
    if not _compared(root, c)
    and all(_has_weights(root, k) for k in _keys(scale, c))
  ]
  kinds = {}
  for comparison in ready:
    kind = f'{comparison.model}, {comparison.use}'
    kinds.setdefault(kind, []).append(comparison)
  jobs = {
    kind: functools.partial(_compare, of, scale, root, data_dir)
    for kind, of in kinds.items()
  }
  for kind, of in kinds.items():
    print(f'== {kind}: {len(of)} pairs to compare', flush=True)
  failures = []
  for kind, wrong in side_by_side.each(jobs, num_processes):
    print(f'== {kind}: {wrong or "finished"}', flush=True)
    if wrong:
      failures.append(f'Comparing {kind}: {wrong}')
  if prune:
    for key in {k for c in ready for k in _keys(scale, c)}:
      _prune(scale, root, key)
  return failures


def _has_weights(root, key):
  return runs.finished(root, key) and os.path.isdir(
    os.path.join(root, key, run_folder.CHECKPOINTS)
  )


def _compare(of, scale, root, data_dir):
  """All pairs of one kind in one pass over the images."""
  pairs = {c: _pair(scale, root, c) for c in of}
  sample = sampling.Sampling(**scale.sampling[of[0].use])
  try:
    found = comparison_lib.compare(
      list(pairs.values()), sampling=sample, data_dir=data_dir
    )
  except errors.InputError as error:
    print(f'{of[0].key}: {error}')
    for comparison in of:
      _write(root, comparison, {'refused': str(error)})
    return
  for comparison, pair in pairs.items():
    layers = {name: _slim(s.to_json()) for name, s in found[pair].items()}
    _write(root, comparison, {'layers': layers})


def _pair(scale, root, comparison):
  ends = zip(
    _keys(scale, comparison), (comparison.a, comparison.b), strict=True
  )
  return tuple(
    f'{os.path.join(root, key)}@{network.checkpoint}' for key, network in ends
  )


def _slim(record):
  """Without the coefficients, which no figure shows."""
  for repeat in record['repeats']:
    del repeat['coefficients']
  return json.loads(json.dumps(record, default=float))


def _write(root, comparison, record):
  path = results.similarity_path(root, comparison.key)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  files.write_json(path, record)
