"""Figure 11: a drawing of what initializations take from pretrained weights."""

from matplotlib import figure
from matplotlib import patches

from transfusion_tf.models import registry
from transfusion_tf.paper import study as study_lib
from transfusion_tf.study.plots import layout

_FILLS = {
  'pretrained weights': ('#D55E00', '//'),
  'their mean and variance': ('#009E73', '..'),
  'random weights': ('#FFFFFF', ''),
  'Gabor filters': ('#CC79A7', 'xx'),
}
_WEIGHTS, _MOMENTS, _RANDOM, _GABOR = _FILLS
_NUM = len(registry.stages('resnet50'))
# Initialization -> fill of each stage from the input up, and its width.
_INITIALIZATIONS: dict[str, tuple[list[str], list[float]]] = {
  'Random': ([_RANDOM] * _NUM, [1] * _NUM),
  'Transfer': ([_WEIGHTS] * _NUM, [1] * _NUM),
  'Mean Var': ([_MOMENTS] * _NUM, [1] * _NUM),
  'Transfusion\nup to block1': ([_WEIGHTS] * 2 + [_RANDOM] * 3, [1] * _NUM),
  'Slim hybrid': ([_WEIGHTS] * 3 + [_RANDOM] * 2, [1, 1, 1, 0.5, 0.5]),
  'Gabor conv1': ([_GABOR] + [_RANDOM] * 4, [1] * _NUM),
}


def plot(study: study_lib.Study) -> figure.Figure:
  """Draw a column per initialization, a box per stage, of its width."""
  del study  # A drawing.
  fig, axes = layout.single((9, 3.6))
  for x, (fills, widths) in enumerate(_INITIALIZATIONS.values()):
    for y, (fill, width) in enumerate(zip(fills, widths, strict=True)):
      color, hatch = _FILLS[fill]
      axes.add_patch(
        patches.Rectangle(
          (x - 0.35 * width, y + 0.08),
          0.7 * width,
          0.84,
          facecolor=color,
          edgecolor='0.2',
          hatch=hatch,
          alpha=0.8,
        )
      )
  axes.set_xlim(-0.6, len(_INITIALIZATIONS) - 0.4)
  axes.set_ylim(0, _NUM)
  axes.set_xticks(range(len(_INITIALIZATIONS)), list(_INITIALIZATIONS))
  axes.set_yticks([y + 0.5 for y in range(_NUM)], registry.stages('resnet50'))
  axes.tick_params(length=0)
  axes.spines[:].set_visible(False)
  layout.legend(
    axes,
    handles=[
      patches.Patch(facecolor=color, hatch=hatch, edgecolor='0.2', label=name)
      for name, (color, hatch) in _FILLS.items()
    ],
    loc='center left',
    bbox_to_anchor=(1.0, 0.5),
  )
  return fig
