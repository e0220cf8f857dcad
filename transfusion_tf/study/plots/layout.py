"""Sizes and axes of all figures, and a note where data are missing."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from transfusion_tf.study import display
from transfusion_tf.study import results

_INCHES = (4.4, 3.5)  # Of one pair of axes.
_MOST_COLUMNS = 3


def grid(
  rows: int, columns: int, size: tuple[float, float] = _INCHES
) -> tuple[figure.Figure, np.ndarray]:
  """Return a figure and its [rows, columns] axes, framed left and below."""
  fig = figure.Figure(
    figsize=(size[0] * columns, size[1] * rows), layout='constrained'
  )
  axes = fig.subplots(rows, columns, squeeze=False)
  for each in axes.flat:
    each.spines[['top', 'right']].set_visible(False)
  return fig, axes


def single(
  size: tuple[float, float],
) -> tuple[figure.Figure, axes_lib.Axes]:
  """Return a figure and its only axes."""
  fig, axes = grid(1, 1, size)
  return fig, axes[0, 0]


def blocks(
  number: int, panels: int, size: tuple[float, float] = _INCHES
) -> tuple[figure.Figure, np.ndarray]:
  """Return a figure and [number, panels] axes, at most three in a row.

  Every block begins a row of its own.
  """
  columns = min(panels, _MOST_COLUMNS)
  rows = -(-panels // columns)
  fig, axes = grid(number * rows, columns, size)
  axes = axes.reshape(number, rows * columns)
  for unused in axes[:, panels:].flat:
    unused.set_visible(False)
  return fig, axes[:, :panels]


def attempt(
  axes: axes_lib.Axes | Sequence[axes_lib.Axes],
  draw: Callable[..., None],
  *args: Any,
) -> None:
  """Call `draw(axes, *args)`; where results are missing, say so instead.

  Args:
    axes: A pair of axes, or several, of which the first shows the message.
    draw: The function.
    *args: More arguments of it.
  """
  try:
    draw(axes, *args)
  except results.UNAVAILABLE as error:
    first = axes if isinstance(axes, axes_lib.Axes) else axes[0]
    first.set_axis_off()
    first.text(
      0.5,
      0.5,
      f'missing\n{error}',
      ha='center',
      va='center',
      wrap=True,
      fontsize=8,
      color='0.35',
      transform=first.transAxes,
    )


def band(
  axes: axes_lib.Axes,
  style: display.Style,
  places: Sequence[float],
  samples: Sequence[Sequence[float]],
  markevery: int = 1,
  markersize: float | None = None,
) -> None:
  """Draw the mean at each place and, from two values on, their range.

  Args:
    axes: The axes.
    style: The look; its label goes into the legend.
    places: [n].
    samples: [n] samples of values over seeds.
    markevery: Distance of markers, in places.
    markersize: Size of markers; Matplotlib's default if None.
  """
  axes.plot(
    places,
    [np.mean(values) for values in samples],
    linestyle=style.line,
    color=style.color,
    marker=style.marker,
    markersize=markersize,
    markevery=markevery,
    label=style.label,
  )
  if max(map(len, samples)) > 1:
    axes.fill_between(
      places,
      [np.min(values) for values in samples],
      [np.max(values) for values in samples],
      color=style.color,
      alpha=0.15,
      linewidth=0,
    )


def legend(axes: axes_lib.Axes, **settings) -> None:
  axes.legend(**{'frameon': False, 'fontsize': 8, **settings})
