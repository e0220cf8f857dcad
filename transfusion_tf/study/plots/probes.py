"""Scores of linear probes by stage, pretrained features against random ones."""

from collections.abc import Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure
import numpy as np

from transfusion_tf.models import registry
from transfusion_tf.study import display
from transfusion_tf.study import probe_scores
from transfusion_tf.study.plots import layout

_SHIFT = 0.12  # Between kinds of features, so that intervals do not overlap.
_OTHER_COLORS = ('#CC79A7', '#009E73', '#56B4E9', '#E69F00')


def plot(features: Sequence[probe_scores.Features]) -> figure.Figure:
  """Draw a panel a network."""
  models = list(dict.fromkeys(each.model for each in features))
  fig, axes = layout.blocks(1, len(models))
  for panel, model in zip(axes[0], models, strict=True):
    draw(panel, [each for each in features if each.model == model])
  ends = [end for panel in axes[0] for end in panel.get_ylim()]
  for panel in axes[0]:  # Networks are compared.
    panel.set_ylim(min(ends), max(ends))
  return fig


def draw(
  axes: axes_lib.Axes, features: Sequence[probe_scores.Features]
) -> None:
  """Draw the kinds of features of one network, with their intervals."""
  stages = [score.stage for score in features[0].linear]
  others = iter(_OTHER_COLORS)
  for number, each in enumerate(features):
    style = display.scheme('transfer' if each.source else 'random')
    color = style.color if number < 2 else next(others, style.color)
    values = np.array([score.value for score in each.linear])
    ends = np.array([[score.low, score.high] for score in each.linear]).T
    axes.errorbar(
      np.arange(len(stages)) + _SHIFT * (number - (len(features) - 1) / 2),
      values,
      np.abs(ends - values),
      label=each.source or 'random',
      color=color,
      linestyle=style.line,
      marker=style.marker,
      markersize=4,
      linewidth=1.2,
      capsize=2,
    )
  if (chance := features[0].chance) is not None:
    axes.axhline(chance, color='0.6', linewidth=0.8, linestyle=':')
  axes.set_xticks(range(len(stages)), stages, rotation=45, ha='right')
  axes.set_ylabel(f'test {display.metric(features[0].metric)}')
  axes.set_title(registry.label(features[0].model), fontsize=9)
  layout.legend(axes)
