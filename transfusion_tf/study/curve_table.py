"""The rows of learning_curve.csv."""

from collections.abc import Iterator

from transfusion_tf.study import learning_curve
from transfusion_tf.study import measured_curves
from transfusion_tf.study import plan as plan_lib


def rows(curve: measured_curves.Curve) -> Iterator[dict]:
  """Yield what was measured of a curve, what is forecast and what held out."""
  names = {
    'model': curve.model,
    'start': curve.start,
    'minus': plan_lib.RANDOM if curve.is_difference else '',
  }

  def row(size, kind, value, low, high):
    runs = curve.runs.get(size, ())
    return names | {
      'patients': size,
      'images': runs[0].result['num_train'] if runs else '',
      'seeds': len(runs) or '',
      'kind': kind,
      'value': value,
      'low': low,
      'high': high,
    }

  for size, each in curve.scores.items():
    kind = 'at chance' if size in curve.at_chance else 'measured'
    yield row(size, kind, each.value, each.low, each.high)
  if not curve.law:
    return
  largest = curve.largest
  for factor in (1, 2, learning_curve.FARTHEST):
    law = curve.at(factor * largest)
    kind = 'law' if factor == 1 else 'forecast'
    yield row(factor * largest, kind, law.value, law.low, law.high)
  if found := curve.held_out():
    _, held = found
    yield row(largest, 'held out', held.value, held.low, held.high)
