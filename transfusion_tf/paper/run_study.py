"""Runs a study: trains, compares and keeps what its report needs."""

from collections.abc import Iterable, Sequence
import dataclasses
import functools
import json
import math
import os

from transfusion_tf import errors
from transfusion_tf import run_folder
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import sampling
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import runs
from transfusion_tf.paper import sample_images
from transfusion_tf.paper import scales
from transfusion_tf.study import executors
from transfusion_tf.study import files
from transfusion_tf.study import first_layer
from transfusion_tf.study import results
from transfusion_tf.study import runner


@dataclasses.dataclass(frozen=True)
class Runner:
  """Runs a study in its folder.

  Attributes:
    scale: The scale of the study.
    root: OUTPUT_DIR, the folder of the study.
    data_dir: Folder of the prepared data sets.
    prune: Whether to delete checkpoints that nothing needs any more.
    executor: Does the runs and comparisons.
    until: When to stop training, as `runner.train`.
    pilot_of: The study of more seeds that this one begins, whose comparisons
      need its checkpoints as well; None if this is the whole.
  """

  scale: scales.Scale
  root: str
  data_dir: str
  prune: bool
  executor: executors.Executor = executors.HERE
  until: float = math.inf
  pilot_of: scales.Scale | None = None

  def run(self, targets: Sequence[str]) -> dict[str, str]:
    """Make what targets need and is missing; return what failed, and why."""
    names = runs.expand(targets)
    failures = self._take_samples() if 'figure1' in names else {}
    plans = runs.plans(names, self.scale)
    failures |= runner.train(
      {plan.key: plan.at(self.root, self.data_dir) for plan in plans},
      self.root,
      self.executor,
      self.keep,
      until=self.until,
    )
    return failures | self.compare(cca_pairs.required(names, self.scale))

  def _take_samples(self):
    """Save the images of Figure 1; return what failed, and why."""
    try:
      sample_images.take(self.scale, self.root, self.data_dir)
    except Exception as error:  # E.g. a record is damaged; the rest stands.
      return {'The images of Figure 1': startup.report_error(error)}
    return {}

  def keep(self, key: str) -> None:
    """Keep what figures need of a finished run, and prune its checkpoints."""
    run = results.read(self.root, key)
    if not isinstance(run, results.Result):
      return
    try:
      first_layer.save(run.run_dir, run.result['judged_step'])
    except results.UNREADABLE as error:  # E.g. its checkpoints are gone.
      print(f'{key}: {startup.report_error(error)}')
    self._prune(key)

  def compare(
    self, comparisons: Iterable[cca_pairs.Comparison]
  ) -> dict[str, str]:
    """Make missing comparisons of finished runs; return what failed, and why.

    Those of one network on one sampling are made in one pass.
    """
    kinds: dict[str, list[cca_pairs.Comparison]] = {}
    for comparison in comparisons:
      keys = self._keys(comparison)
      if not self._is_made(comparison) and all(map(self.has_weights, keys)):
        kind = f'{comparison.model}, {comparison.use}'
        kinds.setdefault(kind, []).append(comparison)
    for kind, group in kinds.items():
      print(f'== {kind}: {len(group)} pairs to compare', flush=True)
    # A process that compares needs no way to others.
    alone = dataclasses.replace(self, executor=executors.HERE)
    jobs = [
      executors.Job(kind, functools.partial(alone._compare, group))
      for kind, group in kinds.items()
    ]
    failures = {}
    for kind, error in self.executor.run(jobs):
      print(f'== {kind}: {error or "finished"}', flush=True)
      if error:
        failures[f'Comparing {kind}'] = error
    for key in {k for g in kinds.values() for c in g for k in self._keys(c)}:
      self._prune(key)
    return failures

  def _compare(self, comparisons):
    """Compare all pairs of a kind in one pass over the images.

    Where that is refused, each pair is compared by itself: one network with a
    damaged checkpoint leaves the others' similarities.
    """
    sample = sampling.Sampling(**self.scale.sampling[comparisons[0].use])
    pairs = {c: self._pair(c) for c in comparisons}
    try:
      similarities = compare_runs.compare(
        list(pairs.values()), sampling=sample, data_dir=self.data_dir
      )
    except errors.InputError as error:
      if len(comparisons) > 1:
        for comparison in comparisons:
          self._compare([comparison])
        return
      print(f'{comparisons[0].key}: {error}')
      write_similarity(self.root, comparisons[0], {'refused': str(error)})
      return
    for comparison, pair in pairs.items():
      layers = {
        name: _without_coefficients(layer.to_json())
        for name, layer in similarities[pair].items()
      }
      write_similarity(self.root, comparison, {'layers': layers})

  def _prune(self, key):
    """Delete a run's checkpoints once nothing will need them."""
    pretraining = self.scale.datasets[self.scale.pretraining].name
    if not self.prune or key.startswith(f'{pretraining}/'):
      return
    whole = self.pilot_of or self.scale
    unmade = (
      comparison
      for comparison in cca_pairs.required(figure_specs.targets(), whole)
      if not self._is_made(comparison)
    )
    if not any(key in self._keys(comparison) for comparison in unmade):
      folder = os.path.join(self.root, key, run_folder.CHECKPOINTS)
      storage.remove_folder(folder)

  def has_weights(self, key: str) -> bool:
    """Return whether a run is finished and has its checkpoints."""
    return files.is_finished(self.root, key) and storage.isdir(
      os.path.join(self.root, key, run_folder.CHECKPOINTS)
    )

  def _is_made(self, comparison):
    path = results.similarity_path(self.root, comparison.key)
    return storage.exists(path)

  def _keys(self, comparison):
    """Return the keys of the two runs."""
    return [
      runs.key(self.scale, comparison.group(network), network.seed)
      for network in (comparison.a, comparison.b)
    ]

  def _pair(self, comparison):
    """Return the two checkpoints."""
    key_a, key_b = self._keys(comparison)
    return (
      f'{os.path.join(self.root, key_a)}@{comparison.a.checkpoint}',
      f'{os.path.join(self.root, key_b)}@{comparison.b.checkpoint}',
    )


def _without_coefficients(record):
  """Return a similarity without the coefficients, which no figure shows."""
  for repeat in record['repeats']:
    del repeat['coefficients']
  return json.loads(json.dumps(record, default=float))


def write_similarity(
  root: str, comparison: cca_pairs.Comparison, record: dict
) -> None:
  """Write OUTPUT_DIR/similarity/KEY.json."""
  path = results.similarity_path(root, comparison.key)
  storage.makedirs(os.path.dirname(path))
  storage.write_json(path, record)
