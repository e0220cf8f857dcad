"""Convergence in panels: Figures 6 to 8 and 15 to 20."""

from matplotlib import axes as axes_lib
from matplotlib import figure

from transfusion_tf.models import registry
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.study.plots import convergence
from transfusion_tf.study.plots import layout


def of_panels(study: study_lib.Study, name: str) -> figure.Figure:
  """Return a pair of axes for each panel of a figure."""
  panels = figure_specs.panels(name, study.scale)
  fig, (block,) = layout.blocks(1, len(panels))
  for axes, panel in zip(block, panels, strict=True):
    layout.attempt(axes, lambda a=axes, p=panel: draw_panel(a, study, p))
    axes.set_title(title(panel), fontsize=10)
  return fig


def draw_panel(
  axes: axes_lib.Axes, study: study_lib.Study, panel: figure_specs.Panel
) -> None:
  """Draw the curves of a panel's groups that are there."""
  curves, gap = {}, None
  for group in panel.groups:
    try:
      curves[styles.style(group.start)] = study.seeds(group)
    except study_lib.Gap as missing:
      gap = missing
  if not curves:
    raise gap
  convergence.draw(axes, curves, panel.metric)
  if gap:
    axes.annotate(
      f'missing: {gap}', (0, 1.0), xycoords='axes fraction', fontsize=6
    )


def title(panel: figure_specs.Panel) -> str:
  group = panel.groups[0]
  return f'{styles.DATASETS[group.dataset]}, {registry.label(group.model)}'
