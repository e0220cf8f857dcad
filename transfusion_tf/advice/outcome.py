"""What a study's runs left, and how far training moved their networks."""

import os

import pandas as pd

from transfusion_tf import representations
from transfusion_tf.advice import plan as plan_lib
from transfusion_tf.advice import verdict
from transfusion_tf.analysis import sampling
from transfusion_tf.paper import results

# Enough for a noise floor near 0.1 on a few hundred images.
_SAMPLING = sampling.Sampling(num_patches=8_000, num_channels=32, repeats=3)


def read(plan: plan_lib.Plan, root: str) -> tuple[verdict.Runs, dict[str, str]]:
  """Model -> start -> runs that are there; key of each other -> why not."""
  runs, missing = {}, {}
  for model in plan.models:
    for start in plan.starts_of(model):
      for run in plan.seeds(root, model, start):
        found = results.read(root, run.key)
        if isinstance(found, results.Missing):
          missing[found.key] = found.reason
        else:
          runs.setdefault(model, {}).setdefault(start, []).append(found)
  return runs, missing


def similarity(runs: verdict.Runs) -> pd.DataFrame:
  """Each stage before training against after (Figure 3), of the first seeds.

  Returns:
    A row for each model, start and layer: `mean` and `noise_floor`.
  """
  tables = []
  for model, starts in runs.items():
    dirs = {seeds[0].run_dir: start for start, seeds in starts.items()}
    found = representations.before_and_after(list(dirs), sampling=_SAMPLING)
    found = found.groupby(['b', 'layer'], sort=False)[['mean', 'noise_floor']]
    table = found.mean().reset_index()
    tables.append(table.assign(model=model, start=table.pop('b').map(dirs.get)))
  return pd.concat(tables, ignore_index=True)


def path(root: str) -> str:
  """Where `similarity`'s table is kept."""
  return os.path.join(root, 'similarity.csv')
