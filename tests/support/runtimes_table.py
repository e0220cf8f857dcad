"""The table of docs/runtimes.md: what each runtime makes of each network."""

import re

import paths

PAGE = paths.ROOT / 'docs' / 'runtimes.md'
_HEAD = (
  'network',
  'runtime',
  'largest difference',
  'AUC',
  'one image, ms',
  'batch, ms an image',
  'size, MB',
)
_TABLE = re.compile(
  r'(?<=<!-- table -->\n\n).*?(?=\n\n<!-- end -->)', re.DOTALL
)


def rows() -> dict[tuple[str, str], tuple[str, ...]]:
  """Returns (network, runtime) -> the cells after them."""
  table = _TABLE.search(PAGE.read_text(encoding='utf-8'))[0]
  found = {}
  for line in table.splitlines()[2:]:
    network, runtime, *cells = line.strip('| ').split(' | ')
    found[network, runtime] = tuple(cells)
  return found


def write(networks, new) -> None:
  """Writes rows to the page, in the order of `networks`; others stay."""
  found = rows() | new
  lines = [f'| {" | ".join(_HEAD)} |', '|---' * len(_HEAD) + '|']
  for network in networks:
    for (name, runtime), cells in found.items():
      if name == network:
        lines.append(f'| {" | ".join((name, runtime, *cells))} |')
  text = PAGE.read_text(encoding='utf-8')
  text = _TABLE.sub(lambda _: '\n'.join(lines), text)
  PAGE.write_text(text, encoding='utf-8')
