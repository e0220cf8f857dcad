"""conv1 filters before and after training: Figures 5, 9 and 10."""

from matplotlib import figure

from transfusion_tf.models import registry
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study.plots import filters
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study, name: str) -> figure.Figure:
  """Draw rows as those of `filters.plot`: random, then pretrained."""
  panels = figure_specs.PANELS[name](study.scale)
  groups = [group for panel in panels for group in panel.groups]
  fig, rows = filters.grid(len(groups))
  for row, group in zip(rows, groups, strict=True):
    label = f'{registry.label(group.model)}, {group.initialization.label}'
    for axes in row:
      axes.set_axis_off()
    layout.attempt(row, _draw, study, group, label)
  return fig


def _draw(row, study, group, label):
  filters.draw_pair(row, study.seeds(group)[0], label)
