"""The table of docs/networks.md: what holds for each network of the zoo."""

import re

import paths

HELD = 'held'
PAGE = paths.ROOT / 'docs' / 'networks.md'
_UNKNOWN = '–'
_KERNEL = re.compile(r'^[\w/.]+ \([\d, ]+\): ')  # One reason for all of them.
_TABLE = re.compile(r'(?<=<!-- table -->\n\n).*', re.DOTALL)


class Table:
  """Network, law -> `HELD`, or the reason of a refusal.

  Attributes:
    is_rewritten: Whether outcomes that differ are taken for right.
  """

  def __init__(self, networks, laws, is_rewritten):
    self._networks, self._laws = networks, laws
    self.is_rewritten = is_rewritten
    rows = re.findall(r'^\| `(\w+)` \| (.*) \|$', _text(), re.MULTILINE)
    notes = dict(re.findall(r'^(\d+)\. (.*)$', _text(), re.MULTILINE))
    self._outcomes = {}
    for network, cells in rows:
      for law, cell in zip(_head(), cells.split(' | '), strict=True):
        number = re.fullmatch(r'refused \((\d+)\)', cell)
        self._outcomes[network, law] = notes[number[1]] if number else cell

  def check(self, network: str, law: str, outcome: str) -> None:
    """Compare an outcome with the table, or put it there."""
    outcome = _KERNEL.sub('the kernels: ', outcome)
    if self.is_rewritten:
      self._outcomes[network, law] = outcome
    assert self._outcomes.get((network, law), _UNKNOWN) == outcome

  def write(self) -> None:
    """Write the page anew."""
    notes: dict[str, int] = {}
    lines = [
      f'| network | {" | ".join(self._laws)} |',
      '|---' * (len(self._laws) + 1) + '|',
    ]
    for network in self._networks:
      cells = [
        self._outcomes.get((network, law), _UNKNOWN) for law in self._laws
      ]
      lines.append(
        f'| `{network}` | {" | ".join(_cell(cell, notes) for cell in cells)} |'
      )
    lines += ['', 'Refused, and why:', '']
    lines += [f'{number}. {reason}' for reason, number in notes.items()]
    text = '\n'.join(lines) + '\n'
    PAGE.write_text(_TABLE.sub(lambda _: text, _text()), encoding='utf-8')


def _cell(outcome, notes):
  if outcome in (HELD, _UNKNOWN):
    return outcome
  return f'refused ({notes.setdefault(outcome, len(notes) + 1)})'


def _text():
  return PAGE.read_text(encoding='utf-8')


def _head():
  found = re.search(r'^\| network \| (.*) \|$', _text(), re.MULTILINE)
  return found[1].split(' | ') if found else []
