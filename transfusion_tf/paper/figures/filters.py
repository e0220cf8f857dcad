"""Figures 5, 9 and 10: conv1 filters before and after training."""

from collections.abc import Sequence

from matplotlib import figure
import numpy as np

from transfusion_tf.paper import display
from transfusion_tf.paper import results

_COLUMNS = 8
_MOST_FILTERS = 32


def plot(runs: Sequence[results.Result]) -> figure.Figure:
  """A row a run: its first convolution's filters before and after.

  Each filter is scaled to its own largest weight, grey is zero: the picture
  shows patterns, not magnitudes.
  """
  fig = figure.Figure(figsize=(9, 2.4 * len(runs)), layout='constrained')
  grid = fig.subplots(len(runs), 2, squeeze=False)
  for row, run in zip(grid, runs, strict=True):
    label = display.SCHEMES[run.experiment.init.scheme].label
    steps = (0, run.result['judged_step'])
    for axes, step, when in zip(row, steps, ('before', 'after'), strict=True):
      axes.imshow(tile(conv1(run.weights(step))), interpolation='nearest')
      axes.set_title(f'{label}: {when} training (step {step})', fontsize=10)
      axes.set_axis_off()
  return fig


def conv1(weights: dict[str, np.ndarray]) -> np.ndarray:
  """The first convolution's kernel, [h, w, 3, n], among a run's weights."""
  kernels = {p: w for p, w in weights.items() if np.ndim(w) == 4}
  first = [p for p, w in kernels.items() if w.shape[2] == 3]
  return kernels[first[0]]


def tile(kernel: np.ndarray) -> np.ndarray:
  """[h, w, 3, n] -> RGB picture in [0, 1], filters side by side."""
  kernel = kernel[..., :_MOST_FILTERS]
  height, width, _, count = kernel.shape
  largest = np.abs(kernel).max(axis=(0, 1, 2), keepdims=True)
  shades = 0.5 + 0.5 * kernel / np.maximum(largest, 1e-12)
  rows = -(-count // _COLUMNS)
  picture = np.ones((rows * (height + 1) - 1, _COLUMNS * (width + 1) - 1, 3))
  for n in range(count):
    top, left = n // _COLUMNS * (height + 1), n % _COLUMNS * (width + 1)
    picture[top : top + height, left : left + width] = shades[..., n]
  return picture
