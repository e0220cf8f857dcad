"""How the paper's starts and data sets are called and drawn."""

from collections.abc import Sequence

import matplotlib as mpl

from transfusion_tf.paper import initializations
from transfusion_tf.study import display

_STARTS = display.SCHEMES | {
  'gabor': display.Style('Gabor conv1', '#CC79A7', ':', 'D'),
  'slim_transfer': display.Style('Slim hybrid', '#009E73', '-.', '^'),
  'slim_random': display.Style('Slim, random', '#000000', ':', 'X'),
  'transfer_upto_conv1': display.Style(
    'conv1 transfer', '#E69F00', display.DASHES, 'v'
  ),
  'mean_var_bn_mean_var': display.Style(
    'BN Mean Var', '#E69F00', display.DASHES, 'v'
  ),
  'mean_var_bn_transfer': display.Style('BN Transfer', '#CC79A7', ':', 'D'),
}
# Figures 12 and 13.
FIXED = {
  'imagenet': display.Style(
    'pretrained; pretrained above', '#D55E00', '-', 's'
  ),
  'transfused': display.Style('pretrained; random above', '#009E73', '-.', '^'),
  'random': display.Style('random; random above', '#0072B2', '--', 'o'),
}
_LINES, _MARKERS = ('--', '-.', ':', display.DASHES, '-'), 'ov^DPs'

DATASETS = {'retina': 'RETINA', 'chexpert': 'CheXpert'}


def style(start: initializations.Start) -> display.Style:
  return _STARTS[start.name]


def ordered(of: Sequence[initializations.Start]) -> list[display.Style]:
  """Styles of transfusions from none to all: dark to light, in order."""
  shades = mpl.colormaps['cividis']
  count = len(of)
  return [
    display.Style(
      _TRANSFUSED.get(start.name, start.label),
      mpl.colors.to_hex(shades(0.9 * n / max(count - 1, 1))),
      _LINES[n % len(_LINES)],
      _MARKERS[n % len(_MARKERS)],
    )
    for n, start in enumerate(of)
  ]


_TRANSFUSED = {'random': 'none', 'transfer': 'all'}
