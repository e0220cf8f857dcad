"""What a study's runs left, and how far training moved their networks."""

import dataclasses
import os

import pandas as pd

from transfusion_tf import errors
from transfusion_tf.analysis import compare_runs
from transfusion_tf.analysis import sampling
from transfusion_tf.study import decision
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import results

_NO_ROWS = pd.DataFrame(
  columns=['layer', 'mean', 'noise_floor', 'model', 'start']
)
# Enough for a noise floor near 0.1 on a few hundred images.
_SAMPLING = sampling.Sampling(num_patches=8_000, num_channels=32, repeats=3)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a study's runs.

  Attributes:
    runs: Model -> start -> runs with a test score.
    unscored: The same, of runs whose test score is not defined.
    missing: Key of each run that is not there, or has a score that is not
      defined -> why.
  """

  runs: decision.Runs
  unscored: decision.Runs
  missing: dict[str, str]

  @property
  def finished(self) -> decision.Runs:
    """All runs that are there."""
    found = {}
    for part in (self.runs, self.unscored):
      for model, starts in part.items():
        for start, seeds in starts.items():
          found.setdefault(model, {}).setdefault(start, []).extend(seeds)
    return found


def read(plan: plan_lib.Plan, root: str) -> Outcome:
  """Return what the runs of a plan left below the folder `root`."""
  outcome = Outcome({}, {}, {})
  for model in plan.models:
    for start in plan.starts_of(model):
      for run in plan.seeds(root, model, start):
        found, group = results.read(root, run.key), outcome.runs
        if isinstance(found, results.Missing):
          outcome.missing[found.key] = found.reason
          found = found.unscored
          if found and found.test()['value'] is None:
            group = outcome.unscored
        if found:
          group.setdefault(model, {}).setdefault(start, []).append(found)
  return outcome


def similarity(runs: decision.Runs) -> tuple[pd.DataFrame, dict[str, str]]:
  """Each stage before training against after (Figure 3), of the first seeds.

  Returns:
    A row for each model, start and layer: `mean` and `noise_floor`; and model
    -> why it has none, where there are too few images.
  """
  tables, refused = [_NO_ROWS], {}
  for model, starts in runs.items():
    dirs = [seeds[0].run_dir for seeds in starts.values()]
    try:
      found = compare_runs.before_and_after(dirs, sampling=_SAMPLING)
    except errors.InputError as error:
      refused[model] = str(error)
      continue
    found = found.groupby(['b', 'layer'], sort=False)[['mean', 'noise_floor']]
    table = found.mean().reset_index()
    start_of = dict(zip(table['b'].unique(), starts, strict=True))
    start = table.pop('b').map(start_of.get)
    tables.append(table.assign(model=model, start=start))
  return pd.concat(tables[1:] or tables, ignore_index=True), refused


def path(root: str) -> str:
  """Where `similarity`'s table is kept."""
  return os.path.join(root, 'similarity.csv')
