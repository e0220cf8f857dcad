"""Carries a study out: trains, compares and keeps what its pages need."""

from collections.abc import Callable, Iterable, Sequence
import functools
import json
import os
import shutil

from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import sampling
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import runs
from transfusion_tf.paper import sample_images
from transfusion_tf.paper import scales
from transfusion_tf.study import files
from transfusion_tf.study import first_layer
from transfusion_tf.study import process_pool
from transfusion_tf.study import results
from transfusion_tf.study import runner


def run(
  targets: Sequence[str],
  scale: scales.Scale,
  root: str,
  data_dir: str,
  prune: bool,
  num_processes: int = 1,
) -> list[str]:
  """Make what targets need and is missing; return what could not be made."""
  plans = runs.plans(targets, scale)
  names = runs.expand(targets)
  if 'figure1' in names:
    sample_images.take(scale, root, data_dir)

  failures = runner.train(
    {plan.key: plan.at(root, data_dir) for plan in plans},
    root,
    num_processes,
    keeper(scale, root, prune),
  )
  return failures + compare(
    cca_pairs.wanted(names, scale),
    scale,
    root,
    data_dir,
    prune,
    num_processes,
  )


def keeper(
  scale: scales.Scale, root: str, prune: bool
) -> Callable[[str], None]:
  """Return what `train` calls with a run that is made, for figures."""

  def keep(key):
    found = results.read(root, key)
    if isinstance(found, results.Result):
      _keep_first_layer(found)
      if prune:
        _prune(scale, root, key)

  return keep


def _keep_first_layer(run):
  try:
    first_layer.save(run.run_dir, run.result['judged_step'])
  except errors.InputError as error:  # Its checkpoints are gone.
    print(f'{run.key}: {error}')


def _prune(scale, root, key):
  """Delete a run's checkpoints once nothing will need them."""
  pretraining = key.startswith(f'{scale.pretraining}/')
  if not pretraining and key not in _awaited(scale, root):
    shutil.rmtree(
      os.path.join(root, key, run_folder.CHECKPOINTS), ignore_errors=True
    )


def _awaited(scale, root):
  """Return the runs whose checkpoints a comparison still has to read."""
  return {
    key
    for comparison in cca_pairs.wanted(figure_specs.TARGETS, scale)
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
  wanted: Iterable[cca_pairs.Comparison],
  scale: scales.Scale,
  root: str,
  data_dir: str,
  prune: bool,
  num_processes: int = 1,
) -> list[str]:
  """Make the comparisons that are not there, of runs that are.

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
  for kind, wrong in process_pool.each(jobs, num_processes):
    print(f'== {kind}: {wrong or "finished"}', flush=True)
    if wrong:
      failures.append(f'Comparing {kind}: {wrong}')
  if prune:
    for key in {k for c in ready for k in _keys(scale, c)}:
      _prune(scale, root, key)
  return failures


def _has_weights(root, key):
  return files.is_finished(root, key) and os.path.isdir(
    os.path.join(root, key, run_folder.CHECKPOINTS)
  )


def _compare(of, scale, root, data_dir):
  """All pairs of one kind in one pass over the images."""
  pairs = {c: _pair(scale, root, c) for c in of}
  sample = sampling.Sampling(**scale.sampling[of[0].use])
  try:
    found = compare_runs.compare(
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
  storage.write_json(path, record)
