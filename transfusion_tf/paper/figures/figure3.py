"""Figure 3: how far training moves each stage."""

from matplotlib import figure
import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.study.plots import layout


def plot(study: study_lib.Study) -> figure.Figure:
  """CCA before and after training by stage, a pair of axes a network."""
  models = figure_specs.ALL_MODELS
  fig, (block,) = layout.blocks(1, len(models), size=(4.2, 3.2))
  for axes, model in zip(block, models, strict=True):
    layout.attempt(axes, _draw, study, model)
    axes.set_title(registry.label(model), fontsize=10)
  return fig


def _draw(axes, study, model):
  means = []
  for init in figure_specs.BOTH:
    stages = study.layers(cca_pairs.movement(study.scale, model, init))
    style, values = styles.style(init), np.array(list(stages.values()))
    means.append(values.mean(axis=1))
    places = np.arange(len(stages))
    layout.band(axes, style, places, values)
  axes.plot(places, means[1] - means[0], ':', color='0.4', label='difference')
  axes.set_xticks(places, list(stages), rotation=90, fontsize=7)
  axes.set_ylabel('CCA, before and after')
  axes.axhline(0, color='0.8', linewidth=0.8, zorder=0)
  layout.legend(axes)
