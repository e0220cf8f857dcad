"""Short runs in `conftest.bucket`, and what they leave there."""

import prepared_sets

from transfusion_tf import config
from transfusion_tf import lease


def experiment(data_dir, **changes) -> config.Experiment:
  """Steps that are not all evaluated, evaluations that are not all saved."""
  return prepared_sets.experiment(
    data_dir,
    **{
      'train__train_steps': 40,
      'train__eval_every': 6,
      'train__patience': 50,
      'train__deterministic': True,
      'runtime__checkpoint_every': 4,
      'runtime__steps_per_call': 1,
    }
    | changes,
  )


def rows(bucket, name) -> list[bytes]:
  """The lines of a run's metrics.jsonl."""
  try:
    return bucket.read(f'{name}/metrics.jsonl').splitlines()
  except FileNotFoundError:
    return []


def leases(bucket, name) -> list[str]:
  """The objects by which processes hold a folder."""
  found = bucket.names(f'{name}/{lease.FOLDER}/')
  return [path for path in found if path.endswith('.json')]
