"""Test score against the last stage that is pretrained, or stays frozen."""

from collections.abc import Mapping, Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from transfusion_tf.study import display
from transfusion_tf.study import statistics
from transfusion_tf.study.plots import layout

# Distance of the series at one stage, so that intervals do not overlap.
_SHIFT = 0.12


def plot(
  title: str,
  stages: Sequence[str],
  series: Mapping[str, Mapping[str, statistics.Estimate]],
  references: Mapping[str, statistics.Estimate],
  label: str,
) -> figure.Figure:
  """Draw the scores of one network with their 95 % intervals.

  Args:
    title: Name of the network.
    stages: Names of its stages, from the input.
    series: Name of a start without its stage -> stage -> test score.
    references: Name of a start without stages -> test score: a line.
    label: Name of the score.
  """
  fig, axes = layout.single((7, 4.2))
  looks = display.distinct(dict.fromkeys([*references, *series]))
  for name, score in references.items():
    _draw_line(axes, looks[name], score)
  for number, (name, scores) in enumerate(series.items()):
    shift = (number - (len(series) - 1) / 2) * _SHIFT
    _draw_series(axes, looks[name], stages, scores, shift)
  axes.set_xticks(range(len(stages)), stages, rotation=30, ha='right')
  axes.set_xlim(-0.5, len(stages) - 0.5)
  axes.set_xlabel('last stage that is pretrained, or stays frozen')
  axes.set_ylabel(f'test {label}')
  axes.set_title(title, fontsize=10)
  layout.legend(axes)
  return fig


def _draw_line(axes: axes_lib.Axes, look, score):
  axes.axhline(score.value, color=look.color, linestyle='--', label=look.label)
  if score.known:
    axes.axhspan(*_ends(score), color=look.color, alpha=0.1, lw=0)


def _draw_series(axes, look, stages, scores, shift):
  given = [stage for stage in stages if stage in scores]
  values = [scores[stage].value for stage in given]
  known = [scores[stage].known for stage in given]
  ends = np.array(
    [
      np.abs(np.subtract(_ends(scores[s]), value)) if is_known else (0, 0)
      for s, value, is_known in zip(given, values, known, strict=True)
    ]
  )
  axes.errorbar(
    [stages.index(stage) + shift for stage in given],
    values,
    yerr=ends.T,
    color=look.color,
    marker=look.marker,
    linestyle='-',
    capsize=3,
    label=f'{look.label} up to the stage',
  )


def _ends(score):
  """Return the interval; a t interval near a perfect score reaches beyond."""
  return max(score.low, 0), min(score.high, 1)
