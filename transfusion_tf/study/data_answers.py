"""What learning curves say about the amount of data, in plain sentences."""

from collections.abc import Iterator, Sequence
import math

from transfusion_tf.study import curve_points
from transfusion_tf.study import display
from transfusion_tf.study import learning_curve
from transfusion_tf.study import measured_curves
from transfusion_tf.study import paired
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import statistics


def pays(
  curve: measured_curves.Curve, margin: float, unit: str
) -> Iterator[str]:
  """Yield up to which number of patients a start pays, and what is unknown.

  Args:
    curve: The start less random weights.
    margin: A start that is better by less does not pay.
    unit: What is counted.
  """
  name = display.start(curve.start).label
  if curve.at_chance:
    yield (
      f'With {_numbers(curve.at_chance)} {unit}, {name} or random weights are '
      'not shown to be better than chance: nothing here is said of that.'
    )
  found = {n: s for n, s in curve.scores.items() if n not in curve.at_chance}
  if len(found) < 2:
    yield f'Whether {name} pays cannot be told by the amount of data.'
    return
  sizes = list(found)
  between = f'{sizes[0]:,} to {sizes[-1]:,} {unit}'
  known = [s for s in found.values() if s.known]
  if len(known) == len(found) and all(s.low > margin for s in known):
    yield (
      f'{name} pays at all sizes measured, {between}: it is better than random '
      f'weights by more than {margin:g} at each.'
    )
    where = f'Where it stops, beyond {sizes[-1]:,},'
  elif len(known) == len(found) and all(s.high < margin for s in known):
    yield (
      f'{name} pays at none of the sizes measured, {between}: it is better '
      f'than random weights by less than {margin:g} at each.'
    )
    return
  else:
    where = f'Where {name} stops paying'
  yield from _stops(curve, margin, unit, name, where)


def doubling(curve: measured_curves.Curve, metric: str, unit: str) -> str:
  """Return what twice the patients would be worth; '' without a law."""
  if not curve.law:
    return ''
  size = curve.largest
  gain = curve.doubled()
  return (
    f'{display.start(curve.start).label}: {size:,} more {unit}, {2 * size:,} '
    f'in all, would be worth {_signed(gain.value)} test {metric} (95 % '
    f'interval {_signed(gain.low)} to {_signed(gain.high)}), if the curve goes '
    'on as a power law.'
  )


def equivalents(
  scores: Sequence[measured_curves.Curve],
  comparer: paired.Comparer,
  unit: str,
) -> Iterator[str]:
  """Yield how many patients random weights need for a start's score.

  Only where both ends of that number are known, and of the smallest such size.
  """
  random = next((c for c in scores if c.start == plan_lib.RANDOM), None)
  if random is None:
    return
  for curve in scores:
    for size in curve.scores if curve is not random else ():
      found = measured_curves.equivalent(curve, random, size, comparer)
      if found and found.closed:
        yield (
          f'Random weights reach with {_with_ends(found, unit)} what '
          f'{display.start(curve.start).label} reaches with {size:,}.'
        )
        break


def held_out(
  forecast: curve_points.Interval, measured: float
) -> tuple[str, str, str]:
  """Return a forecast, what was measured, and whether it is within."""
  text = f'{forecast.value:.3f} ({forecast.low:.3f} to {forecast.high:.3f})'
  return text, f'{measured:.3f}', 'yes' if measured in forecast else 'no'


def _stops(curve, margin, unit, name, where):
  """Yield where a difference falls below the margin, as far as it is known."""
  if not curve.law:
    yield f'{where} cannot be told: {curve.reason}.'
    return
  found = curve.crossing(margin)
  farthest = learning_curve.FARTHEST * curve.largest
  if found.closed:
    yield (
      f'{name} stops paying, by less than {margin:g}, at about '
      f'{_with_ends(found, unit)}.'
    )
    return
  if found.low > 0.999 * farthest:
    yield f'{name} still pays with {farthest:,}, where the forecast ends.'
    return
  if found.open_low and found.open_high:
    known = ''
  elif found.open_low:
    known = f', only that with {_rounded(found.high, 1)} {unit} it pays no more'
  elif found.open_high:
    known = (
      f', only that with {_rounded(found.low, -1)} {unit} it still pays; with '
      f'{farthest:,}, where the forecast ends, it may or may not'
    )
  else:
    known = (
      f', only that it is between {_rounded(found.low, -1)} and '
      f'{_rounded(found.high, 1)} {unit}'
    )
  yield f'{where} cannot be told{known}. {_remedy(curve)} would narrow it.'


def _remedy(curve) -> str:
  """Return what the interval of the last difference mostly comes from."""
  last = curve.scores[curve.largest]
  p = 0.05
  seeds = statistics.Variance(last.variance, last.freedom).squared_half(p)
  if seeds > last.patients.squared_half(p):
    return 'Most of the interval is that of the seeds: more of them'
  return 'Most of the interval is that of the test patients: more of them'


def _numbers(sizes):
  return ' and '.join(f'{size:,}' for size in sizes)


def _signed(value: float) -> str:
  return f'{round(value, 3) + 0.0:+.3f}'  # No -0.000.


def _with_ends(crossing, unit):
  low, high = _rounded(crossing.low, -1), _rounded(crossing.high, 1)
  return f'{_rounded(crossing.value)} {unit} (95 % interval {low} to {high})'


def _rounded(size: float, direction: int = 0) -> str:
  """Return a number of patients with two digits that count.

  Args:
    size: The number.
    direction: -1 rounds down and 1 up, as the ends of an interval are.
  """
  unit = max(10.0 ** (math.floor(math.log10(size)) - 1), 1.0)
  units = size / unit
  if direction:
    units = math.ceil(units) if direction > 0 else math.floor(units)
  return f'{round(round(units) * unit):,}'
