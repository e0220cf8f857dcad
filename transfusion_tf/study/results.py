"""Run folders -> what tables and figures are made of.

Nothing here trains: a folder that is missing, unfinished or damaged becomes a
`Missing` with the reason, and everything else stands.
"""

import dataclasses
import functools
import json
import math
import os

import numpy as np
import pandas as pd

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf.study import first_layer
from transfusion_tf.train import history


class Gap(Exception):  # noqa: N818
  """Something that a cell, curve or claim needs is not there; says what."""


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
  def primary_metric(self) -> str:
    return self.result['headline']

  def test(self, metric: str | None = None) -> dict:
    """Value, low and high of a test metric; the primary_metric by default."""
    return self.result['test'][metric or self.primary_metric]

  def steps_to(self, threshold: float, metric: str | None = None) -> int | None:
    """First evaluated step whose validation metric reaches `threshold`."""
    reached = self.curve[self.curve[metric or self.primary_metric] >= threshold]
    return int(reached['step'].iloc[0]) if len(reached) else None

  def area(self, last_step: int, metric: str | None = None) -> float:
    """Mean validation metric over training up to `last_step`."""
    curve = self.curve[self.curve['step'] <= last_step].dropna(
      subset=[metric or self.primary_metric]
    )
    steps, values = curve['step'], curve[metric or self.primary_metric]
    if len(curve) < 2:
      return float('nan')
    return float(np.trapezoid(values, steps) / np.ptp(steps))

  @functools.cached_property
  def scores(self) -> pd.DataFrame:
    """RUN/test_scores.csv."""
    path = os.path.join(self.run_dir, run_folder.TEST_SCORES)
    ids = {'image_id': str, 'patient_id': str}
    return pd.read_csv(path, dtype=ids)

  def test_metric(self, metric: str | None = None) -> metrics.Metric:
    """Return a test metric, rebuilt from `scores`; the primary by default."""
    return metrics.from_columns(self.scores, metric or self.primary_metric)

  @property
  def num_outputs(self) -> int:
    """K, the outputs of the network."""
    return len(run_folder.task(self.run_dir, self.experiment.data).names)

  @functools.cached_property
  def conv1(self) -> dict[str, np.ndarray]:
    """The first convolution, [h, w, 3, n], `before` and `after` training."""
    return first_layer.read(self.run_dir, self.result['judged_step'])


@dataclasses.dataclass(frozen=True)
class Missing:
  """A run that is not there, and why.

  Attributes:
    key: Its path below the study's folder.
    reason: Why it is missing.
    unscored: The run, if it is there and only its score is not defined.
  """

  key: str
  reason: str
  unscored: Result | None = None


# What reading a damaged file raises.
UNREADABLE = (errors.InputError, OSError, ValueError, KeyError, TypeError)


def read(root: str, key: str) -> Result | Missing:
  """Return the run at ROOT/KEY."""
  run_dir = os.path.join(root, key)
  path = os.path.join(run_dir, run_folder.RESULT)
  if not os.path.exists(path):
    started = os.path.exists(os.path.join(run_dir, run_folder.CONFIG))
    return Missing(key, 'not finished' if started else 'not run')
  try:
    found = Result(
      key,
      run_dir,
      config.load(os.path.join(run_dir, run_folder.CONFIG)),
      run_folder.result(run_dir),
      _curve(run_dir),
    )
    undefined = _undefined(found)
  except UNREADABLE as error:
    return Missing(key, f'damaged: {error}')
  return Missing(key, undefined, found) if undefined else found


def _curve(run_dir):
  rows = history.read(os.path.join(run_dir, run_folder.METRICS))
  for row in rows:
    for name, value in row['validation'].items():
      # Undefined is null. Nobody writes NaN, though readers of JSON take it.
      if value is not None and not _finite(value):
        raise ValueError(f'metrics.jsonl has no {name} at step {row["step"]}')
  return pd.DataFrame(
    [
      {'step': row['step'], 'loss': row['loss'], **row['validation']}
      for row in rows
    ]
  ).astype(float)


def _undefined(found):
  """Which score of a run is not defined, and why; '' if all are."""
  test = found.test()
  if reason := test.get('undefined'):
    return f'test {found.primary_metric} is not defined: {reason}'
  if not _finite(test['value']):
    raise ValueError(f'result.json has no value for {found.primary_metric}')
  values = found.curve[found.primary_metric]
  if values.isna().all():
    return (
      f'validation {found.primary_metric} is not defined: the split lacks a '
      'class'
    )
  if values.isna().any():
    steps = found.curve['step'][values.isna()]
    raise ValueError(
      f'metrics.jsonl has no {found.primary_metric} at step {steps.iloc[0]:.0f}'
    )
  return ''


def _finite(value):
  return isinstance(value, int | float) and math.isfinite(value)


def common_threshold(results: list[Result]) -> float:
  """Return the highest validation score, in 0.01, that all runs reach."""
  best = min(r.curve[r.primary_metric].max() for r in results)
  return float(np.floor(best * 100) / 100)


def read_similarity(root: str, key: str) -> dict[str, dict] | Missing:
  """Layer -> `Similarity.to_json`, of OUTPUT_DIR/similarity/KEY.json."""
  path = similarity_path(root, key)
  if not os.path.exists(path):
    return Missing(key, 'not compared')
  try:
    with open(path, encoding='utf-8') as file:
      record = json.load(file)
    if 'refused' in record:
      return Missing(key, record['refused'])
    for layer, found in record['layers'].items():
      if not _finite(found['mean']):
        raise ValueError(f'no similarity of {layer}')
  except UNREADABLE as error:
    return Missing(key, f'damaged: {error}')
  return record['layers']


def similarity_path(root: str, key: str) -> str:
  return os.path.join(root, 'similarity', f'{key}.json')
