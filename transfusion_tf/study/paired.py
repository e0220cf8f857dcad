"""Test metrics of runs that were scored on the same patients."""

from collections.abc import Sequence
import functools

import numpy as np

from transfusion_tf import metrics
from transfusion_tf.study import results
from transfusion_tf.study import statistics


class Comparer:
  """Compares groups of runs; the scores of a run are read once."""

  def __init__(self):
    self._effects = functools.cache(_effects)

  def difference(
    self,
    coefficients: Sequence[float],
    groups: Sequence[Sequence[results.Result]],
    metric: str | None = None,
  ) -> statistics.Estimate:
    """Return a sum of groups' test metrics, e.g. transfer minus random, paired.

    Its variance is that of the seeds plus that of the patients, who are the
    same for all runs: what makes a patient hard for both sides cancels.

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
    patients = self.effects(coefficients, groups, metric)
    return statistics.contrast(
      coefficients,
      values,
      statistics.Variance(patients.stddev**2, patients.freedom),
    )

  def effects(
    self,
    coefficients: Sequence[float],
    groups: Sequence[Sequence[results.Result]],
    metric: str | None = None,
  ) -> metrics.Effects:
    """Return the effects of the test patients on a `difference`."""
    means = [self._mean_effects(group, metric) for group in groups]
    return metrics.Effects(
      np.dot(coefficients, [mean.values for mean in means]),
      min(mean.most for mean in means),
    )

  def _mean_effects(self, group, metric):
    """Return the effects of patients on the mean of the runs that have one."""
    try:
      effects = [self._effects(run, metric) for run in group]
    except results.UNREADABLE as error:
      raise results.MissingResultError(
        f'{group[0].key}: {results.damage(error)}'
      ) from None
    return metrics.mean_effects([each for each in effects if each])


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
      f'{run.key}: {results.damage(error)}'
    ) from None


def _effects(run, metric):
  """Return the effects of a run's patients; None without a value."""
  scored = run.test_metric(metric)
  if scored.undefined:
    return None
  return scored.effects(metrics.patient_numbers(run.scores['patient_id']))
