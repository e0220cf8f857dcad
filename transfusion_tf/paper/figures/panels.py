"""Convergence in panels: Figures 6 to 8 and 15 to 20."""

from matplotlib import figure

from transfusion_tf.models import registry
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.study import results
from transfusion_tf.study.plots import convergence
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study, name: str) -> figure.Figure:
  """Return a pair of axes for each panel of a figure."""
  panels = figure_specs.PANELS[name](study.scale)
  fig, (block,) = layout.blocks(1, len(panels))
  for axes, panel in zip(block, panels, strict=True):
    layout.attempt(axes, _draw, study, panel, study.scale.repeats(name))
    axes.set_title(title(study, panel), fontsize=10)
  return fig


def _draw(axes, study, panel, repeats):
  """Draw the curves of a panel's finished groups, the same seeds of each."""
  seeds, missing = results.collect(
    lambda group: study.seeds(group)[:repeats], panel.groups
  )
  curves = {
    styles.style(group.initialization): runs for group, runs in seeds.items()
  }
  convergence.draw(axes, curves, panel.metric)
  if missing:
    axes.annotate(
      f'missing: {missing}', (0, 1.0), xycoords='axes fraction', fontsize=6
    )


def title(study: study_lib.Study, panel: figure_specs.Panel) -> str:
  group = panel.groups[0]
  dataset = study.scale.datasets[group.dataset].label
  return f'{dataset}, {registry.label(group.model)}'
