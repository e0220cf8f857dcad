"""Names and looks of initializations and metrics, in tables and figures.

Colors are Okabe and Ito's, distinct to color-blind readers; line styles
and markers repeat the distinction in gray.
"""

import dataclasses

from transfusion_tf import tasks


@dataclasses.dataclass(frozen=True)
class Style:
  """The look of an initialization."""

  label: str
  color: str
  line: str | tuple
  marker: str


DASHES = (0, (5, 1))
SCHEMES = {
  'random': Style('Random', '#0072B2', '--', 'o'),
  'transfer': Style('Transfer', '#D55E00', '-', 's'),
  'mean_var': Style('Mean Var', '#009E73', '-.', '^'),
  'sampling': Style('Sampling', '#CC79A7', ':', 'D'),
  'shuffled': Style('Shuffled', '#E69F00', DASHES, 'v'),
}
_OTHER = Style('', '#56B4E9', (0, (3, 1, 1, 1)), 'P')


def scheme(name: str) -> Style:
  """Return a scheme's look; a scheme of the user has its name as label."""
  return SCHEMES.get(name, dataclasses.replace(_OTHER, label=name))


def metric(name: str) -> str:
  """Return a metric's name on an axis; that of a finding holds its name."""
  return tasks.METRICS[name].label if name in tasks.METRICS else f'AUC, {name}'
