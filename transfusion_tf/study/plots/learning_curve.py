"""Test score by the number of training patients, and what transfer adds."""

from collections.abc import Sequence

from matplotlib import figure
from matplotlib import ticker
import numpy as np

from transfusion_tf.study import display
from transfusion_tf.study import learning_curve
from transfusion_tf.study import measured_curves
from transfusion_tf.study.plots import layout

_SIZE = (7, 3.6)
# Distance of the starts at one size, so that intervals do not overlap.
_SHIFT = 1.025
_PLACES = 40


def plot(
  title: str,
  scores: Sequence[measured_curves.Curve],
  differences: Sequence[measured_curves.Curve],
  margin: float,
  label: str,
  unit: str,
) -> figure.Figure:
  """Draw the scores of one network and, below, their differences.

  Args:
    title: Name of the network.
    scores: Curve of each start.
    differences: Curve of each start less random weights; may be empty.
    margin: The smallest difference that matters.
    label: Name of the score.
    unit: What is counted.
  """
  fig, axes = layout.grid(2 if differences else 1, 1, _SIZE)
  looks = display.distinct(dict.fromkeys(curve.start for curve in scores))
  for number, curve in enumerate(scores):
    shift = _SHIFT ** (number - (len(scores) - 1) / 2)
    _draw(axes[0, 0], curve, looks[curve.start], shift)
  axes[0, 0].set_ylabel(f'test {label}')
  axes[0, 0].set_title(title, fontsize=10)
  layout.legend(axes[0, 0])
  for below in axes[1:, 0]:
    below.axhspan(-margin, margin, color='0.9', lw=0)
    below.axhline(0, color='0.5', linewidth=0.8)
    for number, curve in enumerate(differences):
      shift = _SHIFT ** (number - (len(differences) - 1) / 2)
      _draw(below, curve, looks[curve.start], shift)
    below.set_ylabel('less random weights')
  for each in axes[:, 0]:
    _label_sizes(each, scores, unit)
  return fig


def _draw(axes, curve, look, shift):
  """Draw points with intervals, and the law: dashed where it is a forecast."""
  sizes = list(curve.scores)
  found = list(curve.scores.values())
  ends = _ends(curve)
  axes.errorbar(
    [size * shift for size in sizes],
    [each.value for each in found],
    yerr=np.array([_halves(each, *ends) for each in found]).T,
    color=look.color,
    marker=look.marker,
    markersize=5,
    linestyle='none',
    capsize=3,
    label=look.label,
  )
  if not curve.law:
    return
  first, last = curve.points.sizes[0], curve.points.sizes[-1]
  for start, end, line in (
    (first, last, '-'),
    (last, last * learning_curve.FARTHEST, '--'),
  ):
    places = np.geomspace(start, end, _PLACES)
    law = [curve.at(place) for place in places]
    axes.plot(places, [each.value for each in law], line, color=look.color)
    axes.fill_between(
      places,
      np.clip([each.low for each in law], *ends),
      np.clip([each.high for each in law], *ends),
      color=look.color,
      alpha=0.12 if line == '-' else 0.06,
      linewidth=0,
    )


def _ends(curve):
  """Return the least and the greatest value that there can be."""
  first = next(iter(curve.runs.values()))[0]
  if not first.test_metric().is_fraction:
    return -np.inf, np.inf
  return (-1 if curve.is_difference else 0), 1


def _halves(score, least, greatest):
  """Return what the interval has below, and above, the value."""
  if not score.known:
    return 0, 0
  low, high = max(score.low, least), min(score.high, greatest)
  return score.value - low, high - score.value


def _label_sizes(axes, curves, unit):
  sizes = sorted({size for curve in curves for size in curve.scores})
  # A forecast is there to be read as well.
  if any(curve.law for curve in curves):
    sizes += [2 * sizes[-1], learning_curve.FARTHEST * sizes[-1]]
  axes.set_xscale('log')
  axes.xaxis.set_minor_locator(ticker.NullLocator())
  axes.set_xticks(sizes, [f'{size:,}' for size in sizes])
  axes.set_xlabel(f'training {unit}')
