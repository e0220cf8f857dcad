"""Filters of the first convolution, before and after training."""

from collections.abc import Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from transfusion_tf.models import filters
from transfusion_tf.study import display
from transfusion_tf.study import first_layer
from transfusion_tf.study import results
from transfusion_tf.study.plots import layout

_COLUMNS = 8
_MOST_FILTERS = 32
# Inches around a network's filters, so that two do not run together.
_GAP = 0.1
_WHENS = (first_layer.BEFORE, first_layer.AFTER)


def plot(
  runs: Sequence[results.Result], starts: Sequence[str] = ()
) -> figure.Figure:
  """Draw a row a run: its first convolution's filters before and after.

  Args:
    runs: The runs.
    starts: Name of each one's start; by default its scheme.
  """
  fig, rows = grid(len(runs))
  starts = starts or [run.experiment.init.scheme for run in runs]
  for row, run, start in zip(rows, runs, starts, strict=True):
    draw_pair(row, run, display.start(start).label)
  return fig


def grid(rows: int) -> tuple[figure.Figure, np.ndarray]:
  """Return a figure of two axes a row."""
  fig, axes = layout.grid(rows, 2, size=(4.5, 2.4))
  fig.set_layout_engine('constrained', w_pad=_GAP, h_pad=_GAP)
  return fig, axes


def draw_pair(
  pair: Sequence[axes_lib.Axes], run: results.Result, label: str
) -> None:
  """Draw a run's filters before and after training, side by side."""
  for axes, when in zip(pair, _WHENS, strict=True):
    step = 0 if when == first_layer.BEFORE else run.result['judged_step']
    show(axes, run.conv1[when])
    axes.set_title(f'{label}: {when} training (step {step})', fontsize=8)


def show(axes: axes_lib.Axes, kernel: np.ndarray) -> None:
  """Draw the filters of a kernel [h, w, 3, n]."""
  picture = filters.grid(kernel[..., :_MOST_FILTERS], _COLUMNS)
  axes.imshow(picture, interpolation='nearest')
  axes.set_axis_off()
