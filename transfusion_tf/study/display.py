"""Names and looks of initializations and metrics, in tables and figures.

Colors are Okabe and Ito's, distinct to color-blind readers; line styles
and markers repeat the distinction in gray.
"""

from collections.abc import Iterable
import dataclasses

from transfusion_tf import errors
from transfusion_tf import tasks
from transfusion_tf.study import starts


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
_COLORS = ('#56B4E9', '#CC79A7', '#E69F00', '#009E73', '#000000')
_LINES = ('-', '--', ':')
_OTHER = Style('', '#56B4E9', (0, (3, 1, 1, 1)), 'P')


def scheme(name: str) -> Style:
  """Return a scheme's look; a scheme of the user has its name as label."""
  return SCHEMES.get(name, dataclasses.replace(_OTHER, label=name))


def start(name: str) -> Style:
  """Return the look of a start of a study, by its name."""
  try:
    parsed = starts.parse(name)
  except errors.InputError:  # Of a scheme that is not registered any more.
    return scheme(name)
  label = scheme(parsed.scheme).label
  if parsed.probed:
    label = 'Probe, then fine-tune'
  elif parsed.frozen:
    of = '' if parsed.word == 'frozen' else f' {label}'
    label = f'Frozen{of}'
  if parsed.stage:
    label += f' to {parsed.stage}'
  if parsed.source:
    label += f' ({parsed.source})'
  return dataclasses.replace(scheme(parsed.scheme), label=label)


def distinct(names: Iterable[str]) -> dict[str, Style]:
  """Return name -> look, of starts of which no two look the same."""
  looks: dict[str, Style] = {}
  taken: set[tuple] = set()
  spare = [
    dataclasses.replace(_OTHER, color=color, line=line)
    for line in _LINES
    for color in _COLORS
  ]
  for name in names:
    look = start(name)
    while (look.color, look.line) in taken and spare:
      other = spare.pop(0)
      look = dataclasses.replace(other, label=look.label)
    taken.add((look.color, look.line))
    looks[name] = look
  return looks


def metric(name: str) -> str:
  """Return a metric's name on an axis; that of a finding holds its name."""
  return tasks.METRICS[name].label if name in tasks.METRICS else f'AUC, {name}'
