"""Figure 14: conv1's weights and filters: pretrained, random, Mean Var."""

from matplotlib import figure
import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import first_layer
from transfusion_tf.study.plots import filters
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study) -> figure.Figure:
  """Histograms above, filters below, before training."""
  ((panel,),) = [figure_specs.PANELS['figure14'](study.scale)]
  fig, grid = layout.grid(2, len(panel.groups), size=(3.6, 2.4))
  for column, group in zip(grid.T, panel.groups, strict=True):
    layout.attempt(column, _draw, study, group)
    column[1].set_axis_off()
    name = registry.label(group.model)
    column[0].set_title(
      f'{name} conv1, {group.initialization.label}', fontsize=10
    )
  return fig


def _draw(column, study, group):
  kernel = study.seeds(group)[0].conv1[first_layer.BEFORE]
  above, below = column
  above.hist(kernel.ravel(), bins=60, color='0.35')
  above.set_xlabel('weight')
  above.set_ylabel('number')
  above.annotate(
    f'mean {kernel.mean():.3f}\nsd {np.std(kernel):.3f}',
    (0.97, 0.95),
    xycoords='axes fraction',
    ha='right',
    va='top',
    fontsize=8,
  )
  filters.show(below, kernel)
