"""Reads run folders, for tables and figures.

A folder that is missing, unfinished or damaged becomes a `MissingRun` with the
reason; the others are used without it.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
import dataclasses
import functools
import math
import os
from typing import Any, NotRequired, TypedDict, TypeVar

import numpy as np
import pandas as pd
from scipy import stats
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import metrics
from transfusion_tf import run_folder
from transfusion_tf import storage
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.study import first_layer
from transfusion_tf.train import history

T = TypeVar('T')
# Begins the reason of a run whose files cannot be used.
DAMAGED = 'damaged'
_NOT_RUN, _NOT_COMPARED = _ABSENT = ('not run', 'not compared')


class MissingResultError(Exception):
  """A result that a table cell, curve or claim needs is missing."""


# A validation score still rises if it does over this fraction of a run's
# evaluations, its last ones, by Kendall's tau at this level.
_END, _FEWEST, _RISING_LEVEL = 1 / 3, 4, 0.05

# What reading a damaged file raises.
UNREADABLE = (
  errors.InputError,
  tf.errors.OpError,
  OSError,
  ValueError,
  LookupError,
  TypeError,
  AttributeError,
)
UNAVAILABLE = (MissingResultError, *UNREADABLE)


class _Mean(TypedDict):
  mean: float


class _Layer(TypedDict):
  mean: float
  mean_std: float
  noise_floor: _Mean
  repeats: list[_Mean]


class _Similarity(TypedDict):
  layers: NotRequired[dict[str, _Layer]]
  refused: NotRequired[str]


@dataclasses.dataclass(frozen=True)
class Crossing:
  """When the validation curve of a run first reaches a score.

  Attributes:
    log_steps: Logarithm of the training steps, interpolated between
      evaluations; of the whole run if it ended before.
    reached: Whether it did.
  """

  log_steps: float
  reached: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """One finished run.

  Attributes:
    key: Its path below the study's folder, e.g. `retina/cbr_tiny/random/seed0`.
    run_dir: Its folder.
    experiment: The config.
    result: The content of RUN/result.json.
    curve: A row per evaluation: step, loss and the validation metrics.
    stderr: Standard error of its best validation score over the patients;
      NaN if it was not recorded.
  """

  key: str
  run_dir: str
  experiment: config.Experiment
  result: dict
  curve: pd.DataFrame
  stderr: float = math.nan

  @property
  def primary_metric(self) -> str:
    return self.result['headline']

  def test(self, metric: str | None = None) -> dict:
    """Return value, low and high of a test metric, by default the primary."""
    return self.result['test'][metric or self.primary_metric]

  def steps_to(self, threshold: float) -> int | None:
    """Return the first evaluated step whose validation score is that high."""
    reached = self.curve[self.curve[self.primary_metric] >= threshold]
    return int(reached['step'].iloc[0]) if len(reached) else None

  def best(self, metric: str | None = None) -> float:
    """Return the best score of a validation metric, by default the primary."""
    return float(self.curve[metric or self.primary_metric].max())

  @property
  def was_cut(self) -> bool:
    """Whether patience ended it before its last step."""
    return bool(self.result.get('stopped_early'))

  @property
  def is_improving(self) -> bool:
    """Whether it ended while its validation score still rose.

    The last third of its evaluations tells, in which the scores vary around a
    trend: a plateau is called rising about as often as `_RISING_LEVEL`, and
    more often where neighboring scores are alike. Of fewer than twelve
    evaluations the last four do, and of less than four whether the last is the
    best.
    """
    scores = self.curve[self.primary_metric].to_numpy()
    if self.was_cut or len(scores) < 2 or np.isnan(scores).all():
      return False
    if len(scores) < _FEWEST:
      return bool(np.nanargmax(scores) == len(scores) - 1)
    end = scores[-max(_FEWEST, round(len(scores) * _END)) :]
    tau = stats.kendalltau(
      np.arange(len(end)), end, alternative='greater', nan_policy='omit'
    )
    return bool(tau.pvalue < _RISING_LEVEL)

  def crossing(self, threshold: float, metric: str | None = None) -> Crossing:
    """Return when the metric, by default the primary, reaches a score."""
    curve = self.curve.dropna(subset=[metric or self.primary_metric])
    steps = curve['step'].to_numpy()
    values = curve[metric or self.primary_metric].to_numpy()
    above = np.flatnonzero(values >= threshold)
    if not len(above):
      return Crossing(math.log(max(steps[-1], 1)), False)
    around = slice(max(above[0] - 1, 0), above[0] + 1)
    step = np.interp(threshold, values[around], steps[around])
    return Crossing(math.log(max(step, 1)), True)

  @functools.cached_property
  def scores(self) -> pd.DataFrame:
    """RUN/test_scores.csv."""
    path = os.path.join(self.run_dir, run_folder.TEST_SCORES)
    return scores_lib.read(path)

  @functools.cached_property
  def validation_scores(self) -> pd.DataFrame | None:
    """RUN/validation_scores.csv; None if an earlier version made the run."""
    path = os.path.join(self.run_dir, run_folder.VALIDATION_SCORES)
    return scores_lib.read(path) if storage.exists(path) else None

  def test_metric(self, metric: str | None = None) -> metrics.Metric:
    """Return a test metric, rebuilt from `scores`; the primary by default."""
    return metrics.from_columns(self.scores, metric or self.primary_metric)

  @property
  def num_outputs(self) -> int:
    """K, the outputs of the network."""
    task = run_folder.task(self.run_dir, self.experiment.data)
    if task is None:
      raise MissingResultError(f'{self.key}: the outputs have no names')
    return len(task.names)

  @functools.cached_property
  def conv1(self) -> dict[str, np.ndarray]:
    """The first convolution, [h, w, 3, n], `before` and `after` training."""
    return first_layer.read(self.run_dir, self.result['judged_step'])


@dataclasses.dataclass(frozen=True)
class MissingRun:
  """A run without a usable result.

  Attributes:
    key: Its path below the study's folder.
    reason: Why it is missing.
    unscored: The run, if it is finished and only its score is not defined.
  """

  key: str
  reason: str
  unscored: Result | None = None

  def __str__(self) -> str:
    return f'{self.key}: {self.reason}'


def split(
  runs: Iterable[Result | MissingRun],
) -> tuple[list[Result], list[MissingRun]]:
  """Return the finished runs, and the missing ones."""
  runs = list(runs)
  return (
    [run for run in runs if isinstance(run, Result)],
    [run for run in runs if isinstance(run, MissingRun)],
  )


def finished(runs: Iterable[Result | MissingRun]) -> list[Result]:
  """Return the finished runs.

  Raises:
    MissingResultError: There is none.
  """
  done, missing = split(runs)
  if not done:
    raise MissingResultError(missing[0])
  return done


def collect(
  get: Callable[[Any], Any], keys: Iterable[Hashable]
) -> tuple[dict[Any, Any], str]:
  """Return key -> `get(key)` without missing results, and why one is missing.

  Raises:
    MissingResultError: All results are missing.
  """
  values, missing = {}, ''
  for key in keys:
    try:
      values[key] = get(key)
    except MissingResultError as error:
      missing = str(error)
  if not values:
    raise MissingResultError(missing)
  return values, missing


def read(root: str, key: str) -> Result | MissingRun:
  """Return the run at ROOT/KEY."""
  run_dir = os.path.join(root, key)
  config_path = os.path.join(run_dir, run_folder.CONFIG)
  try:
    result = run_folder.result(run_dir)
    if result is None:
      started = storage.exists(config_path)
      return MissingRun(key, 'not finished' if started else _NOT_RUN)
    experiment = config.load(config_path)
    rows = history.read(os.path.join(run_dir, run_folder.METRICS))
    if not rows:
      raise ValueError(f'{run_folder.METRICS}: empty')
    best = history.best(rows, result['headline']) or {}
    stderr = best.get('stderr')
    run = Result(
      key,
      run_dir,
      experiment,
      result,
      _curve(rows),
      math.nan if stderr is None else stderr,
    )
    undefined = _undefined(run)
  except UNREADABLE as error:
    return MissingRun(key, damage(error))
  return MissingRun(key, undefined, run) if undefined else run


def read_first(
  read: Callable[[str, str], T | MissingRun], roots: Sequence[str], key: str
) -> T | MissingRun:
  """Return what the first folder that has it holds under a key.

  Args:
    read: `read` or `read_similarity`.
    roots: Folders of studies.
    key: Path below each.

  Returns:
    That; where none has it, the first that says more than that it is absent.
  """
  missing: list[MissingRun] = []
  for root in roots:
    found = read(root, key)
    if not isinstance(found, MissingRun):
      return found
    missing.append(found)
  return next((m for m in missing if m.reason not in _ABSENT), missing[0])


def damage(error: Exception) -> str:
  """Return why a run is missing, for a row that says which run it is."""
  if isinstance(error, errors.DamagedFileError):
    return f'{DAMAGED}: {os.path.basename(error.path)}: {error.problem}'
  return f'{DAMAGED}: {storage.reason(error)}'


def _curve(rows):
  return pd.DataFrame(
    [
      {'step': row['step'], 'loss': row['loss'], **row['validation']}
      for row in rows
    ]
  ).astype(float)


def _undefined(run):
  """Return which score of a run is not defined, and why; '' if all are."""
  test, metric = run.test(), run.primary_metric
  if reason := test.get('undefined'):
    return f'test {metric} is not defined: {reason}'
  if not _finite(test['value']):
    raise ValueError(f'result.json has no value for {metric}')
  undefined = run.curve[metric].isna()
  if undefined.all():
    return f'validation {metric} is not defined: the split lacks a class'
  if undefined.any():
    step = run.curve['step'][undefined].iloc[0]
    raise ValueError(f'metrics.jsonl has no {metric} at step {step:.0f}')
  return ''


def _finite(value):
  return isinstance(value, int | float) and math.isfinite(value)


def common_threshold(runs: Iterable[Result]) -> float:
  """Return the highest validation score, in 0.01, that all runs reach.

  NaN without runs, or where it is not defined.
  """
  best = min((run.best() for run in runs), default=math.nan)
  return float(np.floor(best * 100) / 100)


def read_similarity(root: str, key: str) -> dict[str, dict] | MissingRun:
  """Return layer -> `Similarity.to_json` of OUTPUT_DIR/similarity/KEY.json."""
  path = similarity_path(root, key)
  try:
    record = json_file.read(path, _Similarity, 'delete it and compare again')
  except FileNotFoundError:
    return MissingRun(key, _NOT_COMPARED)
  except UNREADABLE as error:
    return MissingRun(key, damage(error))
  if 'refused' in record:
    return MissingRun(key, record['refused'])
  if not record.get('layers'):
    return MissingRun(key, f'{DAMAGED}: it has no layers')
  return record['layers']


def similarity_path(root: str, key: str) -> str:
  return os.path.join(root, 'similarity', f'{key}.json')
