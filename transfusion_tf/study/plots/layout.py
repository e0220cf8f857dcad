"""What all figures share: sizes, bare axes, and a note where data lack."""

from collections.abc import Callable, Sequence

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
  made = fig.subplots(rows, columns, squeeze=False)
  for axes in made.flat:
    axes.spines[['top', 'right']].set_visible(False)
  return fig, made


def row(
  columns: int, size: tuple[float, float] = _INCHES
) -> tuple[figure.Figure, np.ndarray]:
  """Return a figure and [columns] axes side by side."""
  fig, made = grid(1, columns, size)
  return fig, made[0]


def blocks(
  number: int, panels: int, size: tuple[float, float] = _INCHES
) -> tuple[figure.Figure, np.ndarray]:
  """Return a figure and [number, panels] axes, at most three in a row.

  Every block begins a row of its own.
  """
  columns = min(panels, _MOST_COLUMNS)
  rows = -(-panels // columns)
  fig, made = grid(number * rows, columns, size)
  made = made.reshape(number, rows * columns)
  for axes in made[:, panels:].flat:
    axes.set_visible(False)
  return fig, made[:, :panels]


def attempt(axes: axes_lib.Axes, draw: Callable[[], None]) -> bool:
  """Draws; where something is missing, says so in the axes instead."""
  try:
    draw()
  except (results.Gap, *results.UNREADABLE) as gap:
    axes.set_axis_off()
    axes.text(
      0.5,
      0.5,
      f'missing\n{gap}',
      ha='center',
      va='center',
      wrap=True,
      fontsize=8,
      color='0.35',
      transform=axes.transAxes,
    )
    return False
  return True


def band(
  axes: axes_lib.Axes,
  style: display.Style,
  places: Sequence[float],
  samples: Sequence[Sequence[float]],
  markevery: int = 1,
  markersize: float | None = None,
) -> None:
  """Draw a start's mean at each place and, from two values on, their range.

  Args:
    axes: Where to.
    style: The start's look; its label goes into the legend.
    places: [n].
    samples: [n] values over seeds each.
    markevery: Places from marker to marker.
    markersize: Matplotlib's own if None.
  """
  axes.plot(
    places,
    [np.mean(of) for of in samples],
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
      [np.min(of) for of in samples],
      [np.max(of) for of in samples],
      color=style.color,
      alpha=0.15,
      linewidth=0,
    )


def legend(axes: axes_lib.Axes, **settings) -> None:
  axes.legend(**{'frameon': False, 'fontsize': 8, **settings})
