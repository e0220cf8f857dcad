"""The look of the paper's initializations and data sets in figures."""

from collections.abc import Sequence
import dataclasses

import matplotlib as mpl

from transfusion_tf.paper import initializations as init_lib
from transfusion_tf.study import display

# No figure shows an initialization together with the one whose look it has.
_LOOKS = display.SCHEMES | {
  'gabor': display.SCHEMES['sampling'],
  'slim_transfer': display.SCHEMES['mean_var'],
  'slim_random': display.Style('', '#000000', ':', 'X'),
  'transfer_upto_conv1': display.SCHEMES['shuffled'],
  'mean_var_bn_mean_var': display.SCHEMES['shuffled'],
  'mean_var_bn_transfer': display.SCHEMES['sampling'],
}
_LABELS = {'transfer_upto_conv1': 'conv1 transfer'}
# Kind of fixed features -> the scheme whose look it has.
_FIXED = {'imagenet': 'transfer', 'transfused': 'mean_var', 'random': 'random'}
_LINES, _MARKERS = ('--', '-.', ':', display.DASHES, '-'), 'ov^DPs'
_TRANSFUSED = {'random': 'none', 'transfer': 'all'}


def style(initialization: init_lib.Initialization) -> display.Style:
  """Return the look of an initialization in Figures 6, 8 and 15 to 20."""
  name = initialization.name
  label = _LABELS.get(name, initialization.label)
  return dataclasses.replace(_LOOKS[name], label=label)


def fixed(kind: str, initialization: init_lib.Initialization) -> display.Style:
  """Return the look of a kind of fixed features (Figures 12 and 13)."""
  look = display.SCHEMES[_FIXED[kind]]
  return dataclasses.replace(look, label=initialization.label)


def ordered(inits: Sequence[init_lib.Initialization]) -> list[display.Style]:
  """Return looks of transfusions from none to all, from dark to light."""
  shades = mpl.colormaps['cividis']
  return [
    display.Style(
      _TRANSFUSED.get(init.name, init.label),
      mpl.colors.to_hex(shades(0.9 * n / max(len(inits) - 1, 1))),
      _LINES[n % len(_LINES)],
      _MARKERS[n % len(_MARKERS)],
    )
    for n, init in enumerate(inits)
  ]
