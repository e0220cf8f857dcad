"""The table of docs/tpu.md, from the cells that were measured."""

from collections.abc import Iterator, Sequence
import re

from transfusion_tf.models import registry
from transfusion_tf.tpu import cells as cells_lib
from transfusion_tf.tpu import chips

_MARKS = ('<!-- begin table -->\n', '<!-- end table -->')
_HEADER = (
  '| Network | Pixels | Batch | Precision | Memory, GB | Traffic, GB '
  '| Arithmetic, ms | Bound, ms | Images/s | Code, MB |',
  '|---|---|---|---|---|---|---|---|---|---|',
)


def replace(page: str, cells: Sequence[cells_lib.Cell]) -> str:
  """Return a Markdown page with the table between its marks renewed.

  Raises:
    ValueError: The page has no marks.
  """
  begin, end = map(re.escape, _MARKS)
  new, count = re.subn(
    f'(?s){begin}.*{end}',
    lambda _: _MARKS[0] + '\n'.join(_tables(cells)) + '\n' + _MARKS[1],
    page,
  )
  if count != 1:
    raise ValueError(f'the page lacks {_MARKS[0].strip()} or {_MARKS[1]}')
  return new


def _tables(cells) -> Iterator[str]:
  for generation, chip in chips.CHIPS.items():
    of_chip = [
      cell
      for cell in cells
      if cell.topology == chip.topology
      and (cell.step, cell.num_chips) == ('train', 1)
    ]
    if of_chip:
      yield (
        f'\n### {generation}: {chip.flops / 1e12:.0f} TFLOP/s, '
        f'{chip.bandwidth / 1e9:.0f} GB/s, {chip.memory / 1e9:.1f} GB\n'
      )
      yield from _HEADER
      yield from map(_row, sorted(of_chip, key=_order))


def _order(cell):
  names = list(registry.NETWORKS)
  place = names.index(cell.model) if cell.model in names else len(names)
  return place, cell.image_size, cell.batch_size, cell.precision


def _row(cell):
  figures = (
    [
      f'{cell.memory / 1e9:.2f}',
      f'{cell.traffic / 1e9:.2f}',
      f'{1e3 * cell.compute_seconds:.2f}',
      f'{1e3 * cell.bound:.2f}',
      f'{cell.images_per_second:.0f}',
      f'{cell.code / 1e6:.0f}' if cell.code else '–',
    ]
    if not cell.error
    else [f'no: {cell.error}', '', '', '', '', '']
  )
  named = [registry.label(cell.model), cell.image_size, cell.batch_size]
  return f'| {" | ".join(map(str, [*named, cell.precision, *figures]))} |'
