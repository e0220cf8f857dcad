"""How far two metrics are apart, with the interval of the difference."""

from collections.abc import Sequence
import math

import numpy as np

from transfusion_tf.metrics import base
from transfusion_tf.metrics import summary


def paired(
  ours: base.Metric, others: Sequence[base.Metric], patients: Sequence
) -> summary.Summary:
  """Return a metric less the mean of others of the same examples.

  What makes a patient hard for all cancels.

  Args:
    ours: The metric.
    others: The others.
    patients: The patient's id of each example, [N].
  """
  if undefined := _undefined([ours, *others]):
    return undefined
  patient = base.patient_numbers(patients)
  own = ours.effects(patient)
  mean = base.mean_effects([other.effects(patient) for other in others])
  value = float(ours.value()) - np.mean([float(o.value()) for o in others])
  effects = base.Effects(own.values - mean.values, min(own.most, mean.most))
  low, high = base.interval(float(value), effects, is_fraction=False)
  return {**summary.finite({'value': float(value), 'low': low, 'high': high})}


def independent(
  ours: base.Metric,
  our_patients: Sequence,
  theirs: base.Metric,
  their_patients: Sequence,
) -> summary.Summary:
  """Return a metric less the same of other examples, of other patients.

  The interval is made of the two metrics' own ones by squaring and adding the
  distances of their ends (Zou and Donner, Statistics in Medicine 27, 2008;
  Newcombe's method 10 for proportions). So it keeps the skewness that they have
  near 1, where a symmetric interval covers too rarely.

  Args:
    ours: The metric.
    our_patients: The patient's id of each of its examples.
    theirs: The other metric.
    their_patients: The patient's id of each of the other's examples.
  """
  if undefined := _undefined([ours, theirs]):
    return undefined
  a, low_a, high_a = _with_interval(ours, our_patients)
  b, low_b, high_b = _with_interval(theirs, their_patients)
  low = a - b - math.hypot(a - low_a, high_b - b)
  high = a - b + math.hypot(high_a - a, b - low_b)
  return {**summary.finite({'value': a - b, 'low': low, 'high': high})}


def _with_interval(metric, patients):
  ends = metric.interval(base.patient_numbers(patients))
  return float(metric.value()), *ends


def _undefined(metrics):
  """Return the summary of a difference that one has no value for, or None."""
  reasons = [m.undefined for m in metrics if m.undefined]
  if not reasons:
    return None
  nothing = dict.fromkeys(('value', 'low', 'high'))
  return {**nothing, 'undefined': reasons[0]}
