"""Figure 2: are networks from pretrained and from random weights alike?"""

from matplotlib import figure
import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.paper import cca_pairs
from transfusion_tf.paper import cca_results
from transfusion_tf.paper import figure_specs
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study import results
from transfusion_tf.study.plots import layout

# The paper's colors: blue for two random starts, orange across.
_BARS = {cca_pairs.RANDOM: ('#0072B2', ''), cca_pairs.ACROSS: ('#E69F00', '//')}
_WIDTH = 0.36


def plot(study: study_lib.Study) -> figure.Figure:
  """Mean CCA of the two highest stages, a pair of bars a network."""
  fig, axes = layout.single((8, 3.8))
  for place, model in enumerate(figure_specs.ALL_MODELS):
    try:
      _draw(axes, place, cca_results.trained(study, model))
    except results.MissingResultError as error:
      note = f'missing: {error}'
      axes.text(place, 0.01, note, rotation=90, fontsize=6, ha='center')
  names = [registry.label(model) for model in figure_specs.ALL_MODELS]
  axes.set_xticks(range(len(names)), names)
  axes.set_ylabel('CCA similarity after training')
  axes.set_ylim(bottom=0)
  if axes.get_legend_handles_labels()[0]:
    layout.legend(axes, loc='upper center', ncols=2, bbox_to_anchor=(0.5, 1.12))
  return fig


def _draw(axes, place, pairs):
  for side, (kind, (color, hatch)) in enumerate(_BARS.items()):
    x = place + (side - 0.5) * _WIDTH
    axes.bar(
      x,
      np.mean(pairs[kind]),
      _WIDTH * 0.95,
      color=color,
      hatch=hatch,
      edgecolor='white',
      label=kind if kind not in axes.get_legend_handles_labels()[1] else None,
    )
    axes.plot([x] * len(pairs[kind]), pairs[kind], 'o', color='0.1', ms=3)
