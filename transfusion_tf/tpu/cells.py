"""What is measured of one compiled step, and the files of such cells."""

from collections.abc import Iterator
import dataclasses
import os

from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf.tpu import chips
from transfusion_tf.tpu import memory_traffic

_NUM_LARGEST = 10


@dataclasses.dataclass(frozen=True)
class Cell:
  """A step, the chip that it is compiled for, and what came of it.

  Attributes:
    model: Name of the network.
    image_size: Side of its input.
    batch_size: Images of one step on all chips.
    precision: As in `config.Train`.
    step: `train` or `evaluate`.
    topology: E.g. `v5e:2x2`.
    num_chips: Number of its chips that share the batch.
    sync_batch_norm: Whether batch norm sees the batch of all chips.
    error: Why it does not compile; empty if it does.
    flops: Operations of one chip.
    traffic: Bytes between one chip and its memory.
    memory: Bytes of the step's arrays.
    temporary: Those of `memory` that are neither arguments nor results.
    code: Bytes of the machine code; 0 if none was generated.
    largest: The operations that move the most: (bytes, kind, source, result).
    exchanged: What crosses chips: (bytes, kind, source, number of arrays).
  """

  model: str
  image_size: int
  batch_size: int
  precision: str
  step: str
  topology: str
  num_chips: int = 1
  sync_batch_norm: bool = False
  error: str = ''
  flops: float = 0.0
  traffic: int = 0
  memory: int = 0
  temporary: int = 0
  code: int = 0
  largest: tuple[tuple, ...] = ()
  exchanged: tuple[tuple, ...] = ()

  @property
  def program_name(self) -> str:
    """What the uncompiled program depends on, for a file's name."""
    parts = [self.model, self.image_size, self.batch_size, self.precision]
    parts += [self.step, self.num_chips, *['sync'] * self.sync_batch_norm]
    return '-'.join(map(str, parts)).replace(':', '.')

  @property
  def name(self) -> str:
    """The name of the cell's file."""
    return f'{self.program_name}-{self.topology.replace(":", ".")}'

  @property
  def chip(self) -> chips.Chip:
    """The chip."""
    return chips.of_topology(self.topology)

  @property
  def compute_seconds(self) -> float:
    """Seconds of the arithmetic at the chip's peak."""
    return self.flops / self.chip.flops

  @property
  def memory_seconds(self) -> float:
    """Seconds of the memory traffic at the chip's bandwidth."""
    return self.traffic / self.chip.bandwidth

  @property
  def bound(self) -> float:
    """Seconds that a step takes at least: the roofline."""
    return max(self.compute_seconds, self.memory_seconds)

  @property
  def images_per_second(self) -> float:
    """Images a second and chip at the bound."""
    return self.batch_size / self.num_chips / self.bound


def measured(cell: Cell, program: str, statistics: dict) -> Cell:
  """Return a cell with the figures of `environment.compile_hlo`."""
  operations = memory_traffic.operations(program)
  return dataclasses.replace(
    cell,
    traffic=sum(o.bytes for o in operations),
    **statistics,
    largest=_rows(memory_traffic.largest(operations, _NUM_LARGEST)),
    exchanged=tuple(
      (memory_traffic.payload(o), o.kind, o.source, f'{len(o.operands)} arrays')
      for o in memory_traffic.collectives(operations)
    ),
  )


def _rows(operations):
  return tuple((o.bytes, o.kind, o.source, o.result) for o in operations)


def save(cell: Cell, directory: str) -> None:
  """Write a cell as JSON."""
  storage.write_json(_path(cell, directory), dataclasses.asdict(cell))


def load(directory: str) -> Iterator[Cell]:
  """Read the cells of a directory."""
  for name in sorted(os.listdir(directory)):
    if name.endswith('.json'):
      yield _read(os.path.join(directory, name))


def _read(path):
  return json_file.read(path, Cell, 'delete it and compile again')


def exists(cell: Cell, directory: str, with_code: bool = False) -> bool:
  """Return whether a cell has been measured, `with_code` if that is wanted."""
  path = _path(cell, directory)
  if not with_code or not os.path.exists(path):
    return os.path.exists(path)
  found = _read(path)
  return bool(found.code or found.error)


def _path(cell, directory):
  return os.path.join(directory, f'{cell.name}.json')


def text(cell: Cell) -> str:
  """Return a cell for the terminal."""
  head = (
    f'{cell.model}, {cell.image_size} px, batch {cell.batch_size}, '
    f'{cell.precision}: {cell.step} on {cell.num_chips} of {cell.topology}'
  )
  if cell.error:
    return f'{head}\n  does not compile: {cell.error}'
  return '\n'.join(
    [
      head,
      f'  arithmetic     {cell.flops / 1e9:9.1f} GFLOP '
      f'{1e3 * cell.compute_seconds:8.2f} ms',
      f'  memory traffic {cell.traffic / 1e9:9.2f} GB    '
      f'{1e3 * cell.memory_seconds:8.2f} ms',
      f'  bound          {1e3 * cell.bound:9.2f} ms    '
      f'{cell.images_per_second:8.0f} images/s a chip',
      f'  memory         {cell.memory / 1e9:9.2f} of '
      f'{cell.chip.memory / 1e9:.1f} GB, temporary {cell.temporary / 1e9:.2f}',
      *[f'  machine code   {cell.code / 1e9:9.2f} GB'] * bool(cell.code),
      *_section('largest operations', cell.largest),
      *_section('between chips', cell.exchanged),
    ]
  )


def _section(title, rows):
  if rows:
    yield f'  {title}:'
  ordered = sorted(rows, key=lambda row: -row[0])
  for size, kind, source, result in ordered[:_NUM_LARGEST]:
    yield f'    {size / 1e6:8.2f} MB  {kind:<18} {source or ""} {result}'[:120]
  if rest := ordered[_NUM_LARGEST:]:
    yield f'    {sum(row[0] for row in rest) / 1e6:8.2f} MB  {len(rest)} more'
