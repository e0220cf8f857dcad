"""Validation score over training steps."""

from collections.abc import Mapping, Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from transfusion_tf.study import display
from transfusion_tf.study import results
from transfusion_tf.study.plots import layout

Curves = Mapping[display.Style, Sequence[results.Result]]
_MARKERS_A_CURVE = 10


def plot(
  runs: Mapping[str, Sequence[results.Result]],
  threshold: float | None = None,
) -> figure.Figure:
  """Draw curves of one network from several starts.

  Args:
    runs: Name of a start -> its runs, one a seed.
    threshold: A score to mark.
  """
  fig, axes = layout.single((7, 4.2))
  looks = display.distinct(runs)
  draw(axes, {looks[start]: seeds for start, seeds in runs.items()})
  if threshold is not None:
    _mark(axes, threshold)
  return fig


def draw(
  axes: axes_lib.Axes, curves: Curves, metric: str | None = None
) -> None:
  """Draw the mean over seeds and, from two seeds on, their range."""
  first, *_ = curves.values()
  metric = metric or first[0].primary_metric
  for style, seeds in curves.items():
    steps, scores = _aligned(seeds, metric)
    layout.band(
      axes,
      style,
      steps,
      scores.T,
      markevery=max(1, len(steps) // _MARKERS_A_CURVE),
      markersize=4,
    )
  axes.set_xlabel('training steps')
  axes.set_ylabel(f'validation {display.metric(metric)}')
  layout.legend(axes, loc='lower right')


def _mark(axes, threshold):
  """Draw a line at a score."""
  axes.axhline(threshold, color='0.5', linewidth=0.8)
  axes.annotate(
    f'{threshold:.2f}',
    (1, threshold),
    xycoords=('axes fraction', 'data'),
    xytext=(3, 0),
    textcoords='offset points',
    va='center',
    color='0.3',
  )


def _aligned(seeds, metric):
  """Return steps that all seeds evaluated, and their [seeds, steps] scores."""
  shared = set.intersection(*(set(run.curve['step']) for run in seeds))
  steps = sorted(shared)
  curves = [run.curve.set_index('step')[metric][steps] for run in seeds]
  return np.array(steps), np.array(curves, float)
