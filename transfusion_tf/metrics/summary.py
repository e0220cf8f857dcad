"""Metrics as results hold them and as they are printed."""

from collections.abc import Mapping, Sequence
import math

from transfusion_tf.metrics import base

# A metric in results: `value`, `low` and `high`, each None where it is not
# defined, and then `undefined`, the reason.
Summary = dict[str, float | str | None]


def summaries(
  metrics: Mapping[str, base.Metric], patients: Sequence
) -> dict[str, Summary]:
  """Return metrics with their 95 % intervals over patients.

  Args:
    metrics: Name -> metric over N examples.
    patients: The patient's id of each example, [N].
  """
  patient = base.patient_numbers(patients)
  return {name: _summary(metric, patient) for name, metric in metrics.items()}


def _summary(metric, patient):
  if metric.undefined:
    nothing = dict.fromkeys(('value', 'low', 'high'))
    return {**nothing, 'undefined': metric.undefined}
  low, high = metric.interval(patient)
  return finite({'value': float(metric.value()), 'low': low, 'high': high})


UNDEFINED = 'not defined'


def cells(summary: Summary) -> tuple[str, str]:
  """Return a value and its interval as text, or `UNDEFINED` and the reason."""
  if summary['value'] is None:
    return UNDEFINED, str(summary.get('undefined') or 'no value')
  value = f'{summary["value"]:.4f}'
  if summary['low'] is None:
    return value, UNDEFINED
  return value, f'{summary["low"]:.4f} to {summary["high"]:.4f}'


def text(summary: Summary) -> str:
  """Return `0.9123 (95 % interval 0.8871 to 0.9342)`, or why there is none."""
  value, rest = cells(summary)
  if value == UNDEFINED:
    return f'{value} ({rest})'
  return f'{value} (95 % interval {rest})'


def finite(values: dict[str, float]) -> dict[str, float | None]:
  """Return values for JSON: those that are not finite become null."""
  return {k: v if math.isfinite(v) else None for k, v in values.items()}
