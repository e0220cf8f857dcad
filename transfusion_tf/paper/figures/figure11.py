"""Figure 11: a schematic of large and small models in weight space."""

from typing import Any

from matplotlib import figure
from matplotlib import legend_handler
from matplotlib import lines
from matplotlib import patches

from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.paper import study as study_lib
from transfusion_tf.paper import styles
from transfusion_tf.study.plots import layout

_STYLES = {
  'pretrained': styles.style(init_lib.TRANSFER),
  'random': styles.style(init_lib.RANDOM),
}
# Initializations, the same in both panels, and where training leads from each.
# Nothing is measured: only that paths are short or long has a meaning.
_INITIALIZATIONS = (
  ('pretrained', (0.16, 0.22)),
  ('random', (0.86, 0.18)),
  ('random', (0.56, 0.84)),
)
_TRAINED = {
  'Large model': ((0.26, 0.36), (0.74, 0.30), (0.42, 0.76)),
  'Small model': ((0.61, 0.27), (0.80, 0.76), (0.13, 0.62)),
}
_BENDING = 0.3  # Of a path, as a fraction of its length.
_MARKER_SIZE = 11  # Points.


def plot(study: study_lib.Study) -> figure.Figure:
  """Return a panel a model: from the same points, short paths or long ones."""
  del study  # A drawing.
  fig, grid = layout.grid(1, len(_TRAINED))
  fig.set_layout_engine('constrained', wspace=0.06)
  for axes, (model, trained) in zip(grid[0], _TRAINED.items(), strict=True):
    axes.set(title=model, xlabel='weight space', xticks=[], yticks=[])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.spines[:].set(visible=True, color='0.7')
    for (name, start), end in zip(_INITIALIZATIONS, trained, strict=True):
      _draw_path(axes, name, start, end)
  samples: dict[str, Any] = {
    'pretrained weights': (_marker('pretrained'),),
    'random weights': (_marker('random'),),
    'after training': tuple(_marker(name, filled=True) for name in _STYLES),
  }
  fig.legend(
    samples.values(),
    samples.keys(),
    handler_map={tuple: legend_handler.HandlerTuple(ndivide=None, pad=0.8)},
    loc='outside lower center',
    ncols=len(samples),
    handlelength=2.4,
    frameon=False,
  )
  return fig


def _draw_path(axes, name, start, end):
  """Draw an arrow, with a marker at either end of it."""
  axes.add_patch(
    patches.FancyArrowPatch(
      start,
      end,
      connectionstyle=f'arc3,rad={_BENDING}',
      arrowstyle='-|>',
      mutation_scale=14,
      shrinkA=0.7 * _MARKER_SIZE,
      shrinkB=0.7 * _MARKER_SIZE,
      color=_STYLES[name].color,
      linewidth=1.8,
    )
  )
  axes.add_line(_marker(name, at=start))
  axes.add_line(_marker(name, filled=True, at=end))


def _marker(name, filled=False, at=(0, 0)):
  look = _STYLES[name]
  return lines.Line2D(
    *([value] for value in at),
    linestyle='',
    marker=look.marker,
    markersize=_MARKER_SIZE,
    markeredgewidth=1.8,
    markeredgecolor=look.color,
    markerfacecolor=look.color if filled else 'white',
  )
