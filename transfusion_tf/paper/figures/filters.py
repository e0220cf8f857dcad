"""conv1 filters before and after training: Figures 5, 9 and 10."""

from collections.abc import Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import display
from transfusion_tf.study import first_layer
from transfusion_tf.study import results
from transfusion_tf.study.plots import layout

_COLUMNS = 8
_MOST_FILTERS = 32
# Inches around a network's filters, so that two do not run together.
_GAP = 0.1
_WHENS = (first_layer.BEFORE, first_layer.AFTER)


def plot(runs: Sequence[results.Result]) -> figure.Figure:
  """A row a run: its first convolution's filters before and after.

  Each filter is scaled to its own largest weight, grey is zero: the picture
  shows patterns, not magnitudes.
  """
  fig, grid = _grid(len(runs))
  for row, run in zip(grid, runs, strict=True):
    label = display.SCHEMES[run.experiment.init.scheme].label
    _draw_pair(row, run, label)
  return fig


def of_panels(study: study_lib.Study, name: str) -> figure.Figure:
  """Rows as those of `plot`: each network from random, then pretrained."""
  panels = figure_specs.panels(name, study.scale)
  groups = [group for panel in panels for group in panel.groups]
  fig, grid = _grid(len(groups))
  for row, group in zip(grid, groups, strict=True):
    label = f'{display.MODELS[group.model]}, {group.start.label}'
    for axes in row:
      axes.set_axis_off()
    layout.attempt(
      row[0],
      lambda r=row, g=group, t=label: _draw_pair(r, study.seeds(g)[0], t),
    )
  return fig


def _grid(rows):
  fig, grid = layout.grid(rows, 2, size=(4.5, 2.4))
  fig.get_layout_engine().set(w_pad=_GAP, h_pad=_GAP)
  return fig, grid


def _draw_pair(pair, run, label):
  for axes, when in zip(pair, _WHENS, strict=True):
    step = 0 if when == first_layer.BEFORE else run.result['judged_step']
    show(axes, run.conv1[when])
    axes.set_title(f'{label}: {when} training (step {step})', fontsize=8)


def show(axes: axes_lib.Axes, kernel: np.ndarray) -> None:
  """The filters of a kernel [h, w, 3, n]."""
  axes.imshow(tile(kernel), interpolation='nearest')
  axes.set_axis_off()


def tile(kernel: np.ndarray, columns: int = _COLUMNS) -> np.ndarray:
  """[h, w, 3, n] -> RGB picture in [0, 1], filters side by side."""
  kernel = kernel[..., :_MOST_FILTERS]
  height, width, _, count = kernel.shape
  largest = np.abs(kernel).max(axis=(0, 1, 2), keepdims=True)
  shades = 0.5 + 0.5 * kernel / np.maximum(largest, 1e-12)
  rows = -(-count // columns)
  picture = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, 3))
  for n in range(count):
    top, left = n // columns * (height + 1), n % columns * (width + 1)
    picture[top : top + height, left : left + width] = shades[..., n]
  return picture
