"""Calibration curves: how often what a network thinks probable is true."""

from collections.abc import Mapping, Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np
import pandas as pd

from transfusion_tf import metrics
from transfusion_tf import shown_text
from transfusion_tf import storage
from transfusion_tf.study import display
from transfusion_tf.study.plots import layout

Tables = Mapping[display.Style, Sequence[pd.DataFrame]]
_ALONE = display.Style('', '#0072B2', '-', 'o')
_DOTS_PER_INCH = 150


def write(path: str, scores: pd.DataFrame) -> bool:
  """Write the curve of one table of scores as PNG; return whether it has one.

  Args:
    path: Path of the file.
    scores: A table of `run.build.evaluate`.
  """
  if metrics.answers.from_table(scores) is None:
    return False
  fig = plot({_ALONE: [scores]})
  with storage.atomic_write(path, 'wb') as file:
    with shown_text.without_formulas(fig):
      fig.savefig(file, format='png', dpi=_DOTS_PER_INCH)
  return True


def noise(scores: pd.DataFrame) -> float:
  """Return the calibration error that a calibrated network would show."""
  error = metrics.from_columns(scores, 'ece')
  patient = metrics.patient_numbers(scores['patient_id'])
  return error.noise(patient)  # type: ignore[attr-defined]


def plot(tables: Tables) -> figure.Figure:
  """Draw a pair of axes for each question.

  Args:
    tables: The look of a group of networks -> their tables of scores. Of a
      single one, 95 % intervals over patients are drawn.
  """
  curves = {
    style: [_curves(table) for table in group]
    for style, group in tables.items()
  }
  questions = list(next(iter(curves.values()))[0])
  fig, axes = layout.blocks(1, len(questions))
  single = sum(map(len, tables.values())) == 1
  for question, each in zip(questions, axes[0], strict=True):
    each.plot([0, 1], [0, 1], color='0.6', linewidth=0.8, linestyle=':')
    for style, group in curves.items():
      for number, found in enumerate(group):
        label = '' if number else style.label
        _draw(each, found[question], style, label, single)
    name = 'positive' if len(questions) == 1 else question
    if question == metrics.answers.MOST_PROBABLE:
      name = 'right'
    each.set_xlabel('probability' if name != 'right' else 'highest probability')
    each.set_ylabel(f'fraction {name}')
  if not single:
    layout.legend(axes[0][0], loc='upper left')
  return fig


def _curves(table):
  """Return question -> the points of its curve."""
  answers = metrics.answers.from_table(table)
  patient = metrics.patient_numbers(table['patient_id'])
  bins = answers.bins if answers else {}
  return {name: each.curve(patient) for name, each in bins.items()}


def _draw(axes: axes_lib.Axes, curve, style, label, with_intervals):
  probability = np.array([point.probability for point in curve])
  frequency = np.array([point.frequency for point in curve])
  axes.plot(
    probability,
    frequency,
    color=style.color,
    linestyle=style.line,
    marker=style.marker,
    markersize=4,
    linewidth=1,
    label=label,
  )
  if with_intervals:
    ends = np.array([point.interval for point in curve])
    axes.vlines(probability, *ends.T, color=style.color, linewidth=0.8)
