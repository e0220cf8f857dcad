"""Each start less random weights, with its interval."""

from collections.abc import Sequence

from matplotlib import figure

from transfusion_tf.models import registry
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study.plots import layout

_INCHES_A_ROW = 0.32


def plot(
  effects: Sequence[decision.Effect], margin: float, label: str
) -> figure.Figure:
  """Draw a row for each effect, those of one network together.

  Args:
    effects: The effects.
    margin: Half the width of the band in which a difference does not matter.
    label: Name of the score.
  """
  fig, axes = layout.single((7, 1 + _INCHES_A_ROW * len(effects)))
  looks = display.distinct(dict.fromkeys(e.start for e in effects))
  axes.axvspan(-margin, margin, color='0.9', lw=0)
  axes.axvline(0, color='0.5', linewidth=0.8)
  for row, effect in enumerate(effects):
    look, estimate = looks[effect.start], effect.difference
    if estimate.known:
      axes.plot(estimate.interval(), [row, row], color=look.color)
    axes.plot(estimate.value, row, look.marker, color=look.color)
  axes.set_yticks(
    range(len(effects)),
    [f'{registry.label(e.model)}, {looks[e.start].label}' for e in effects],
  )
  axes.set_ylim(len(effects) - 0.5, -0.5)
  axes.locator_params(axis='x', nbins=5)  # Their labels would touch.
  axes.set_xlabel(f'test {label} less that of random weights')
  return fig
