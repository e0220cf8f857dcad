"""Run folders -> what tables and figures are made of.

Nothing here trains: a folder that is missing, unfinished or damaged becomes a
`Missing` with the reason, and everything else stands.
"""

import dataclasses
import json
import os

import numpy as np
import pandas as pd

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.train import checkpoint
from transfusion_tf.train import history


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """One finished run.

  Attributes:
    key: Its path below the study's folder, e.g. `retina/cbr_tiny/random/seed0`.
    run_dir: Where it lies.
    experiment: What was run.
    result: RUN/result.json.
    curve: One row an evaluation: step, loss and the validation metrics.
  """

  key: str
  run_dir: str
  experiment: config.Experiment
  result: dict
  curve: pd.DataFrame

  @property
  def headline(self) -> str:
    return self.result['headline']

  def test(self, metric: str | None = None) -> dict:
    """Value, low and high of a test metric; the headline by default."""
    return self.result['test'][metric or self.headline]

  def steps_to(self, threshold: float, metric: str | None = None) -> int | None:
    """First evaluated step whose validation metric reaches `threshold`."""
    reached = self.curve[self.curve[metric or self.headline] >= threshold]
    return int(reached['step'].iloc[0]) if len(reached) else None

  def weights(self, step: int) -> dict[str, np.ndarray]:
    """The weights at a checkpointed step, by path."""
    return checkpoint.read(os.path.join(self.run_dir, 'checkpoints'), step)


@dataclasses.dataclass(frozen=True)
class Missing:
  """A run that is not there, and why."""

  key: str
  reason: str


def read(root: str, key: str) -> Result | Missing:
  """The run at ROOT/KEY."""
  run_dir = os.path.join(root, key)
  result_path = os.path.join(run_dir, 'result.json')
  if not os.path.exists(result_path):
    started = os.path.exists(os.path.join(run_dir, 'config.json'))
    return Missing(key, 'not finished' if started else 'not run')
  try:
    with open(result_path, encoding='utf-8') as file:
      result = json.load(file)
    rows = history.read(os.path.join(run_dir, 'metrics.jsonl'))
    curve = pd.DataFrame(
      [
        {'step': row['step'], 'loss': row['loss'], **row['validation']}
        for row in rows
      ]
    )
    experiment = config.load(os.path.join(run_dir, 'config.json'))
    found = Result(key, run_dir, experiment, result, curve)
    _check(found)
  except (errors.InputError, OSError, ValueError, KeyError) as error:
    return Missing(key, f'damaged: {error}')
  return found


def common_threshold(results: list[Result]) -> float:
  """The highest validation score, in steps of 0.01, that all runs reach."""
  best = min(r.curve[r.headline].max() for r in results)
  return float(np.floor(best * 100) / 100)


def _check(found):
  if found.test()['value'] is None:
    raise ValueError(f'result.json has no value for {found.headline}')
  if found.curve[found.headline].isna().all():
    raise ValueError(f'metrics.jsonl has no value for {found.headline}')
