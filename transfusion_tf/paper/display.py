"""How starts and networks are called and drawn, in all tables and figures.

Colours are Okabe and Ito's, told apart by colour-blind readers; line styles
and markers repeat the distinction in grey.
"""

from collections.abc import Sequence
import dataclasses

import matplotlib as mpl

from transfusion_tf.paper import starts


@dataclasses.dataclass(frozen=True)
class Style:
  """One start's look."""

  label: str
  color: str
  line: str | tuple
  marker: str


_DASHES = (0, (5, 1))
SCHEMES = {
  'random': Style('Random', '#0072B2', '--', 'o'),
  'transfer': Style('Transfer', '#D55E00', '-', 's'),
  'mean_var': Style('Mean Var', '#009E73', '-.', '^'),
  'sampling': Style('Sampling', '#CC79A7', ':', 'D'),
  'shuffled': Style('Shuffled', '#E69F00', _DASHES, 'v'),
}
_STARTS = SCHEMES | {
  'gabor': Style('Gabor conv1', '#CC79A7', ':', 'D'),
  'slim_transfer': Style('Slim hybrid', '#009E73', '-.', '^'),
  'slim_random': Style('Slim, random', '#000000', ':', 'X'),
  'transfer_upto_conv1': Style('conv1 transfer', '#E69F00', _DASHES, 'v'),
  'mean_var_bn_mean_var': Style('BN Mean Var', '#E69F00', _DASHES, 'v'),
  'mean_var_bn_transfer': Style('BN Transfer', '#CC79A7', ':', 'D'),
}
# Figures 12 and 13.
FIXED = {
  'imagenet': Style('pretrained; pretrained above', '#D55E00', '-', 's'),
  'transfused': Style('pretrained; random above', '#009E73', '-.', '^'),
  'random': Style('random; random above', '#0072B2', '--', 'o'),
}
_LINES, _MARKERS = ('--', '-.', ':', _DASHES, '-'), 'ov^DPs'

MODELS = {
  'resnet50': 'ResNet-50',
  'inception_v3': 'Inception-v3',
  'cbr_large_t': 'CBR-LargeT',
  'cbr_large_w': 'CBR-LargeW',
  'cbr_small': 'CBR-Small',
  'cbr_tiny': 'CBR-Tiny',
  'cbr_tiny_wide': 'CBR-Tiny (wide)',
}

DATASETS = {'retina': 'RETINA', 'chexpert': 'CheXpert'}

METRICS = {
  'referable': 'AUC, referable DR',
  'mean': 'AUC, mean over findings',
  'auc': 'AUC',
  'top1': 'top-1 accuracy',
  'top5': 'top-5 accuracy',
}


def metric(name: str) -> str:
  """A metric's name on an axis; findings are called by their own."""
  return METRICS.get(name, f'AUC, {name}')


def style(start: starts.Start) -> Style:
  return _STARTS[start.name]


def ordered(of: Sequence[starts.Start]) -> list[Style]:
  """Styles of transfusions from none to all: dark to light, in order."""
  shades = mpl.colormaps['cividis']
  count = len(of)
  return [
    Style(
      _TRANSFUSED.get(start.name, start.label),
      mpl.colors.to_hex(shades(0.9 * n / max(count - 1, 1))),
      _LINES[n % len(_LINES)],
      _MARKERS[n % len(_MARKERS)],
    )
    for n, start in enumerate(of)
  ]


_TRANSFUSED = {'random': 'none', 'transfer': 'all'}
