"""Where the benefit sits: stages put back, and lines between two networks."""

from collections.abc import Callable

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np
import pandas as pd

from transfusion_tf.models import registry
from transfusion_tf.study import display
from transfusion_tf.study.plots import layout


def resets(table: pd.DataFrame, metric: str) -> figure.Figure:
  """Draw the change of the score by stage, a panel a network."""

  def draw(axes, style, rows, shift):
    places = np.arange(len(rows)) + shift
    values = rows['change'].to_numpy()
    axes.errorbar(
      places,
      values,
      np.abs(rows[['low', 'high']].to_numpy().T - values),
      color=style.color,
      linestyle='none',
      marker=style.marker,
      markersize=5,
      capsize=2,
      label=style.label,
    )
    axes.set_xticks(range(len(rows)), rows['stage'], rotation=45, ha='right')
    axes.set_ylabel(f'change of test {metric}')
    axes.axhline(0, color='0.6', linewidth=0.8, linestyle=':')

  return _panels(table, draw)


def paths(table: pd.DataFrame) -> figure.Figure:
  """Draw the loss between two networks of one start, a panel a network."""

  def draw(axes, style, rows, shift):
    del shift
    axes.plot(
      rows['position'],
      rows['loss'],
      color=style.color,
      linestyle=style.line,
      marker=style.marker,
      markersize=4,
      label=style.label,
    )
    axes.set_xlabel('position between the first two seeds')
    axes.set_ylabel('test loss')

  return _panels(table, draw)


def _panels(
  table: pd.DataFrame,
  draw: Callable[[axes_lib.Axes, display.Style, pd.DataFrame, float], None],
) -> figure.Figure:
  models = list(table['model'].unique())
  fig, axes = layout.blocks(1, len(models))
  for panel, model in zip(axes[0], models, strict=True):
    ours = table[table['model'] == model].astype({'start': str})
    looks = display.distinct(ours['start'].unique())
    starts = ours.groupby('start', sort=False)
    for number, (start, rows) in enumerate(starts):
      shift = 0.15 * (number - (len(starts) - 1) / 2)
      draw(panel, looks[start], rows, shift)
    panel.set_title(registry.label(model), fontsize=9)
    layout.legend(panel)
  return fig
