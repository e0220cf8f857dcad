"""Paired comparison of runs on bootstraps of the same patients."""

from collections.abc import Sequence
import functools

import numpy as np

from transfusion_tf import metrics
from transfusion_tf.study import results
from transfusion_tf.study import statistics

NUM_RESAMPLES = 1000


class Resamples:
  """Test metrics of runs on bootstraps of patients, each computed once."""

  def __init__(self):
    self._resampled = functools.cache(_resampled)

  def difference(
    self,
    coefficients: Sequence[float],
    groups: Sequence[Sequence[results.Result]],
    metric: str | None = None,
  ) -> statistics.Estimate:
    """Return a sum of groups' test metrics, e.g. transfer minus random, paired.

    Its variance is that of the seeds plus that of the patients: all runs are
    scored on the same bootstrap of patients. With a seed each, that of the
    patients alone.

    Args:
      coefficients: One per group.
      groups: Runs that differ in their seed.
      metric: A test metric; the primary one if None.

    Raises:
      MissingResultError: A metric has no value, a file of scores is damaged,
        or runs were tested on different images.
    """
    values = [tested(group, metric) for group in groups]
    _check_paired([run for group in groups for run in group])
    resampled = [self._mean(group, metric) for group in groups]
    variance = float(np.nanvar(np.dot(coefficients, resampled)))
    if all(len(group) == 1 for group in values):
      value = float(np.dot(coefficients, np.ravel(values)))
      half = 1.96 * np.sqrt(variance)
      return statistics.Estimate(value, value - half, value + half)
    return statistics.contrast(coefficients, values, variance)

  def _mean(self, group, metric):
    """Return [S] the group's mean metric on each bootstrap of patients."""
    try:
      return np.mean([self._resampled(run, metric) for run in group], axis=0)
    except results.UNREADABLE as error:
      raise results.MissingResultError(
        f'{group[0].key}: test scores: {error}'
      ) from None


def tested(
  group: Sequence[results.Result], metric: str | None = None
) -> list[float]:
  """Return the test metric of each run that has one.

  Raises:
    MissingResultError: No run has one.
  """
  values = [run.test(metric)['value'] for run in group]
  values = [value for value in values if value is not None]
  if not values:
    raise results.MissingResultError(f'{group[0].key}: no test {metric}')
  return values


def _check_paired(runs):
  for run in runs[1:]:
    if list(_ids(run)) != list(_ids(runs[0])):
      raise results.MissingResultError(
        f'{run.key} was tested on other images than {runs[0].key}'
      )


def _ids(run):
  try:
    return run.scores['image_id']
  except results.UNREADABLE as error:
    raise results.MissingResultError(
      f'{run.key}: test scores: {error}'
    ) from None


def _resampled(run, metric):
  weights = _weights(tuple(run.scores['patient_id']))
  return metrics.resampled({'': run.test_metric(metric)}, weights)['']


@functools.lru_cache(maxsize=4)
def _weights(patients):
  return metrics.patient_weights(patients, NUM_RESAMPLES)
