"""Weight transfusion: Figures 7 and 19."""

from matplotlib import figure
import numpy as np

from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.paper.figures import panels
from transfusion_tf.study import results
from transfusion_tf.study.plots import convergence
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study, name: str) -> figure.Figure:
  """Return a row a network: curves, and steps to an AUC by transfused stage."""
  specs = figure_specs.PANELS[name](study.scale)
  fig, grid = layout.grid(len(specs), 2, size=(5.2, 3.6))
  for row, panel in zip(grid, specs, strict=True):
    for axes, draw in zip(row, (_draw_curves, _draw_steps), strict=True):
      layout.attempt(axes, draw, study, panel)
      axes.set_title(panels.title(study, panel), fontsize=10)
  return fig


def _draw_curves(axes, study, panel):
  convergence.draw(axes, _curves(study, panel))


def _curves(study, panel):
  shades = styles.ordered([group.initialization for group in panel.groups])
  return {
    style: study.seeds(group)
    for style, group in zip(shades, panel.groups, strict=True)
  }


def _draw_steps(axes, study, panel):
  curves = _curves(study, panel)
  threshold = study.scale.target_auc or results.common_threshold(
    [run for seeds in curves.values() for run in seeds]
  )
  for place, (style, seeds) in enumerate(curves.items()):
    _draw_bar(axes, place, style, seeds, threshold)
  axes.set_xticks(range(len(curves)), [style.label for style in curves])
  axes.tick_params(axis='x', rotation=30)
  axes.set_xlabel('transfused stages')
  axes.set_ylabel(f'steps to a validation AUC of {threshold:.2f}')
  axes.set_ylim(bottom=0)


def _draw_bar(axes, place, style, seeds, threshold):
  """Draw each seed's steps as a dot, their mean as a bar; an x for never.

  A run that ends before takes at least all its steps: a bar with such runs is
  hatched, for the mean is then at least as high.
  """
  steps = [run.steps_to(threshold) for run in seeds]
  reached = [s for s in steps if s is not None]
  ends = [
    run.curve['step'].max()
    for run, s in zip(seeds, steps, strict=True)
    if s is None
  ]
  mean, hatch = np.mean(reached + ends), '///' if ends else None
  axes.bar(place, mean, 0.6, color=style.color, alpha=0.45, hatch=hatch)
  axes.plot([place] * len(reached), reached, 'o', color='0.15', markersize=3)
  if ends:
    axes.plot([place] * len(ends), ends, 'x', color='0.15')
    axes.annotate(
      f'{len(ends)} never',
      (place, max(ends)),
      xytext=(0, 4),
      textcoords='offset points',
      ha='center',
      fontsize=7,
    )
