"""Weight transfusion: Figures 7 and 19."""

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.paper.figures import panels
from transfusion_tf.study import display
from transfusion_tf.study import results
from transfusion_tf.study.plots import convergence
from transfusion_tf.study.plots import layout


def of_panels(study: study_lib.Study, name: str) -> figure.Figure:
  """Return a row a network: curves, and steps to an AUC by transfused stage."""
  specs = figure_specs.panels(name, study.scale)
  fig, grid = layout.grid(len(specs), 2, size=(5.2, 3.6))
  for row, panel in zip(grid, specs, strict=True):
    for axes, draw in zip(row, (_draw_curves, _draw_steps), strict=True):
      layout.attempt(axes, lambda a=axes, d=draw, p=panel: d(a, study, p))
      axes.set_title(panels.title(panel), fontsize=10)
  return fig


def _draw_curves(axes, study, panel):
  convergence.draw(axes, _curves(study, panel))


def _curves(study, panel):
  shades = styles.ordered([group.start for group in panel.groups])
  return {
    style: study.seeds(group)
    for style, group in zip(shades, panel.groups, strict=True)
  }


def _draw_steps(axes, study, panel):
  curves = _curves(study, panel)
  threshold = study.scale.mark or results.common_threshold(
    [run for seeds in curves.values() for run in seeds]
  )
  for place, (style, seeds) in enumerate(curves.items()):
    draw_steps(axes, place, style, seeds, threshold)
  axes.set_xticks(range(len(curves)), [style.label for style in curves])
  axes.tick_params(axis='x', rotation=30)
  axes.set_xlabel('transfused stages')
  axes.set_ylabel(f'steps to a validation AUC of {threshold:.2f}')
  axes.set_ylim(bottom=0)


def draw_steps(
  axes: axes_lib.Axes, place: int, style: display.Style, seeds, threshold
) -> None:
  """Each seed's steps as dots, their mean as a bar; never reached: an x."""
  steps = [run.steps_to(threshold) for run in seeds]
  reached = [s for s in steps if s is not None]
  if reached:
    axes.bar(place, np.mean(reached), 0.6, color=style.color, alpha=0.45)
    axes.plot([place] * len(reached), reached, 'o', color='0.15', markersize=3)
  if len(reached) < len(steps):
    last = max(run.curve['step'].max() for run in seeds)
    axes.plot(place, last, 'x', color='0.15')
    axes.annotate(
      f'{len(steps) - len(reached)} never',
      (place, last),
      xytext=(0, 4),
      textcoords='offset points',
      ha='center',
      fontsize=7,
    )
