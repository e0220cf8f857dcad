"""Pictures of a run for a person to look at: uint8 [height, width, 3] each."""

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
from transfusion_tf import tasks
from transfusion_tf.models import filters as filters_lib

# Confusion -> the names of its rows and columns, and [k, k] counts: rows are
# what the labels say, columns what the network does.
Confusions = dict[str, tuple[Sequence[str], np.ndarray]]

_DOTS_PER_INCH = 100
_FILTER_SIDE = 40  # Pixels, at least.
_SHEET_COLUMNS = 4
_TILE_INCHES = 2.2
_TILE_HEIGHT = 1.2  # With two lines of caption, in sides of the image.
_CAPTION_WIDTH = 26  # Letters in a line.
_LONE_INCHES = 3.0  # Of a matrix that has the picture to itself.
_NAME_WIDTH = 16
# A larger confusion matrix cannot be read.
_MOST_CLASSES = 25


def filters(model: keras.Model) -> np.ndarray | None:
  """Return the first convolution's filters, or None if they are not images."""
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
  drawn = figure.Figure((side * columns, side * _TILE_HEIGHT * rows))
  axes = drawn.add_axes((0, 0, 1, 1))  # One: each costs 10 ms.
  for n, (image, caption) in enumerate(zip(images, captions, strict=True)):
    top, left = n // columns * _TILE_HEIGHT, n % columns
    axes.imshow(image, extent=(left + 0.02, left + 0.98, top + 0.98, top))
    text = textwrap.fill(caption, _CAPTION_WIDTH)
    axes.text(left + 0.5, top + 1, text, ha='center', va='top', fontsize=11)
  axes.set(xlim=(0, columns), ylim=(rows * _TILE_HEIGHT, 0))
  axes.set_axis_off()
  return _pixels(drawn)


def confusion(found: Confusions) -> np.ndarray:
  """Plot matrices side by side, shaded by the fraction of their row."""
  size = max(len(names) for names, _ in found.values())
  least = _LONE_INCHES if len(found) == 1 else 0.0
  drawn, grid = _figure(len(found), 2, max(least, 0.9 + 0.5 * size))
  for axes, title in zip(grid, found, strict=True):
    _draw_matrix(axes, *found[title])
    axes.set_title(title, fontsize=9)
  drawn.supxlabel('network', fontsize=9)
  drawn.supylabel('label', fontsize=9)
  return _pixels(drawn)


@functools.singledispatch
def confusions(
  task: tasks.Task, probabilities: np.ndarray, labels: dict
) -> Confusions:
  """Return what a task's network calls the N examples, against their labels.

  Grades and classes: the most probable one. Findings: each by itself, present
  from a probability of one half on.

  Args:
    task: Any; a task that is not known here has no confusions.
    probabilities: [N, K].
    labels: Labels of the examples, as `tasks.Task.metrics` takes them.
  """
  del task, probabilities, labels
  return {}


@confusions.register
def _(task: tasks.Grades, probabilities, labels):
  if task.cumulative:  # Output k says "at least grade k".
    called = (probabilities[:, 1:] >= 0.5).sum(axis=1)
  else:
    called = probabilities.argmax(axis=1)
  return _of_classes(task.names, labels['grade'], called)


@confusions.register
def _(task: tasks.Classes, probabilities, labels):
  return _of_classes(task.names, labels['label'], probabilities.argmax(axis=1))


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


def _of_classes(names, labels, called):
  if len(names) > _MOST_CLASSES:
    return {}
  counts = sklearn_metrics.confusion_matrix(
    labels, called, labels=range(len(names))
  )
  return {f'{len(called)} images': (names, counts)}


def _draw_matrix(axes: axes_lib.Axes, names, counts):
  share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
  axes.imshow(share, cmap='Blues', vmin=0, vmax=1)
  for row, column in np.ndindex(counts.shape):
    axes.text(
      column,
      row,
      str(counts[row, column]),
      ha='center',
      va='center',
      fontsize=9,
      color='white' if share[row, column] > 0.5 else 'black',
    )
  places = range(len(names))
  names = [n if len(n) <= _NAME_WIDTH else f'{n[:_NAME_WIDTH]}…' for n in names]
  axes.set_xticks(places, names, fontsize=9, rotation=45, ha='right')
  axes.set_yticks(places, names, fontsize=9)


def _figure(count, columns, inches):
  """Return a figure and its `count` axes, each about a square of `inches`."""
  columns = min(columns, count)
  rows = math.ceil(count / columns)
  drawn = figure.Figure(
    (inches * columns, (inches + 0.2) * rows), layout='constrained'
  )
  grid = drawn.subplots(rows, columns, squeeze=False).flatten()
  for unused in grid[count:]:
    unused.set_visible(False)
  return drawn, grid[:count]


def _pixels(drawn):
  drawn.set_dpi(_DOTS_PER_INCH)
  canvas = backend_agg.FigureCanvasAgg(drawn)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()
