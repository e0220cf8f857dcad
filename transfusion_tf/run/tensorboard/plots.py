"""Plots of a run for TensorBoard: uint8 [height, width, 3] each."""

from collections.abc import Sequence
import functools
import math
import textwrap

import keras
from matplotlib import axes as axes_lib
from matplotlib import figure
from matplotlib.backends import backend_agg
import numpy as np
from sklearn import metrics as sklearn_metrics

from transfusion_tf import errors
from transfusion_tf import shown_text
from transfusion_tf import tasks
from transfusion_tf.models import filters as filters_lib

# Confusion -> the names of its rows and columns, and [k, k] counts: rows are
# labels, columns are predictions.
Confusions = dict[str, tuple[Sequence[str], np.ndarray]]

_DOTS_PER_INCH = 100
_FILTER_SIDE = 40  # Pixels, at least.
_SHEET_COLUMNS = 4
_TILE_INCHES = 2.2
_TILE_HEIGHT = 1.2  # With two lines of caption, in sides of the image.
_CAPTION_WIDTH = 26  # Letters in a line.
_LONE_INCHES = 3.0  # Side of a single matrix.
_NAME_WIDTH = 16
# A larger confusion matrix cannot be read.
_MAX_CLASSES = 25


def filters(model: keras.Model) -> np.ndarray | None:
  """Return the first convolution's filters, or None if they are no images."""
  try:
    kernel = filters_lib.conv1(model)
    zoom = math.ceil(_FILTER_SIDE / kernel.shape[0])
    return filters_lib.grid(kernel, zoom=zoom)
  except errors.InputError:
    return None


def sheet(images: np.ndarray, captions: Sequence[str]) -> np.ndarray:
  """Plot images [N, S, S, 3] in [0, 1], each with a caption below it."""
  columns = min(_SHEET_COLUMNS, len(images))
  rows = math.ceil(len(images) / columns)
  side = _TILE_INCHES
  fig = figure.Figure((side * columns, side * _TILE_HEIGHT * rows))
  axes = fig.add_axes((0, 0, 1, 1))  # One: each costs 10 ms.
  for n, (image, caption) in enumerate(zip(images, captions, strict=True)):
    top, left = n // columns * _TILE_HEIGHT, n % columns
    axes.imshow(image, extent=(left + 0.02, left + 0.98, top + 0.98, top))
    text = textwrap.fill(caption, _CAPTION_WIDTH)
    axes.text(left + 0.5, top + 1, text, ha='center', va='top', fontsize=11)
  axes.set(xlim=(0, columns), ylim=(rows * _TILE_HEIGHT, 0))
  axes.set_axis_off()
  return _pixels(fig)


def confusion(matrices: Confusions) -> np.ndarray:
  """Plot matrices side by side, shaded by the fraction of their row."""
  size = max(len(names) for names, _ in matrices.values())
  least = _LONE_INCHES if len(matrices) == 1 else 0.0
  fig, grid = _figure(len(matrices), 2, max(least, 0.9 + 0.5 * size))
  for axes, title in zip(grid, matrices, strict=True):
    _draw_matrix(axes, *matrices[title])
    axes.set_title(title, fontsize=9)
  fig.supxlabel('network', fontsize=9)
  fig.supylabel('label', fontsize=9)
  return _pixels(fig)


@functools.singledispatch
def confusions(
  task: tasks.Task, probabilities: np.ndarray, labels: dict
) -> Confusions:
  """Count the predictions of N examples against their labels.

  Predictions are the most probable grade or class, or for each finding whether
  its probability is at least one half.

  Args:
    task: Any task; one that is not registered here has no confusions.
    probabilities: Probabilities [N, K].
    labels: Labels of the examples, as in `tasks.Task.metrics`.
  """
  del task, probabilities, labels
  return {}


@confusions.register
def _(task: tasks.Grades, probabilities, labels):
  if task.cumulative:  # Output k says "at least grade k".
    predicted = (probabilities[:, 1:] >= 0.5).sum(axis=1)
  else:
    predicted = probabilities.argmax(axis=1)
  return _class_confusions(task.names, labels['grade'], predicted)


@confusions.register
def _(task: tasks.Classes, probabilities, labels):
  return _class_confusions(
    task.names, labels['label'], probabilities.argmax(axis=1)
  )


@confusions.register
def _(task: tasks.Findings, probabilities, labels):
  targets, known = (np.asarray(part) > 0 for part in task.targets(labels))
  return {
    name: (
      ('absent', 'present'),
      sklearn_metrics.confusion_matrix(
        targets[known[:, k], k],
        probabilities[known[:, k], k] >= 0.5,
        labels=[False, True],
      ),
    )
    for k, name in enumerate(task.names)
    if known[:, k].any()
  }


def _class_confusions(names, labels, predicted):
  if len(names) > _MAX_CLASSES:
    return {}
  counts = sklearn_metrics.confusion_matrix(
    labels, predicted, labels=range(len(names))
  )
  return {f'{len(predicted)} images': (names, counts)}


def _draw_matrix(axes: axes_lib.Axes, names, counts):
  fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
  axes.imshow(fractions, cmap='Blues', vmin=0, vmax=1)
  for row, column in np.ndindex(counts.shape):
    axes.text(
      column,
      row,
      str(counts[row, column]),
      ha='center',
      va='center',
      fontsize=9,
      color='white' if fractions[row, column] > 0.5 else 'black',
    )
  places = range(len(names))
  names = [n if len(n) <= _NAME_WIDTH else f'{n[:_NAME_WIDTH]}…' for n in names]
  axes.set_xticks(places, names, fontsize=9, rotation=45, ha='right')
  axes.set_yticks(places, names, fontsize=9)


def _figure(count, columns, inches):
  """Return a figure and its `count` axes, each about a square of `inches`."""
  columns = min(columns, count)
  rows = math.ceil(count / columns)
  fig = figure.Figure(
    (inches * columns, (inches + 0.2) * rows), layout='constrained'
  )
  grid = fig.subplots(rows, columns, squeeze=False).flatten()
  for unused in grid[count:]:
    unused.set_visible(False)
  return fig, grid[:count]


def _pixels(fig):
  fig.set_dpi(_DOTS_PER_INCH)
  canvas = backend_agg.FigureCanvasAgg(fig)
  with shown_text.without_formulas(fig):
    canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()
