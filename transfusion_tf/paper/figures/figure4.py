"""Figure 4: does similarity at initialization outlast training?"""

from matplotlib import figure
import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import cca_results
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study.plots import layout

_MARKERS = 'os^Dv'


def plot(study: study_lib.Study) -> figure.Figure:
  """Rows: the lowest and the highest stage; columns: network and pair.

  R squared is the mean of those within each pair of networks.
  """
  columns = [
    (m, kind) for m in figure_specs.CCA_MODELS for kind in cca_pairs.KINDS
  ]
  fig, grid = layout.grid(2, len(columns), size=(3.2, 2.9))
  for column, (model, kind) in enumerate(columns):
    for row, stage in enumerate(cca_results.shown_stages(model)):
      axes = grid[row, column]
      layout.attempt(axes, _draw, study, model, kind, stage)
      axes.set_title(
        f'{registry.label(model)} {stage}\n{kind}', fontsize=9, loc='left'
      )
  return fig


def _draw(axes, study, model, kind, stage):
  for n, (before, after) in enumerate(
    cca_results.dots(study, model, kind, stage)
  ):
    axes.plot(
      before,
      after,
      _MARKERS[n % len(_MARKERS)],
      color=f'{0.15 + 0.25 * (n % 3):.2f}',
      markersize=4,
      markerfacecolor='none',
    )
  r_squared = np.mean(cca_results.correlations(study, model, kind, stage))
  axes.set_title(f'R² = {r_squared:.2f}', fontsize=9, loc='right')
  axes.set_xlabel('CCA at initialization')
  axes.set_ylabel('CCA after training')
