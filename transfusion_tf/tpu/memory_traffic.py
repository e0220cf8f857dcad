"""Bytes that a compiled program moves between a TPU and its memory.

The compiler's own figure, `bytes accessed`, counts what stays on the chip.
Here, every operation of the program reads its operands and writes its results,
each in its size in memory: the two minor dimensions are rounded up to tiles.
Arrays in a space `S(n)` are on the chip. An operation that reads a part of an
operand is counted with all of it: the sum is an upper bound.

The text is the compiler's, e.g. `bf16[8,294,294,64]{3,0,2,1:T(8,128)(2,1)}`:
dimensions, their order from the minor one, and tiles of [8, 128].
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import math
import re

_BYTES = {
  **dict.fromkeys(('pred', 's8', 'u8', 'f8e4m3fn', 'f8e5m2'), 1),
  **dict.fromkeys(('s16', 'u16', 'f16', 'bf16'), 2),
  **dict.fromkeys(('s32', 'u32', 'f32'), 4),
  **dict.fromkeys(('s64', 'u64', 'f64', 'c64'), 8),
}
_ARRAY = re.compile(r'\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([\d,]*)(:[^}]*)?\})?')
_INSTRUCTION = re.compile(r'\s*(?:ROOT )?%([\w.-]+) = (.+?) ([\w-]+)\((.*)$')
_NAME = re.compile(r'op_name="([^"]*)"')
# Move nothing. The results of the `-done` are those of the `-start`.
_FREE = {'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast'}
_COPIES = {'copy-start', 'slice-start', 'dynamic-slice-start'}
_CALLS = {'while', 'conditional', 'call'}
_COLLECTIVES = (
  'all-gather',
  'all-reduce',
  'all-to-all',
  'collective-permute',
  'reduce-scatter',
)


@dataclasses.dataclass(frozen=True)
class Operation:
  """One operation of a compiled program.

  Attributes:
    name: Its name in the program.
    kind: What it is, e.g. `fusion`.
    source: The operation of TensorFlow that it comes from, if that is known.
    result: The type of its result.
    operands: The types of its operands.
    bytes: Bytes that it reads from and writes to memory.
  """

  name: str
  kind: str
  source: str
  result: str
  operands: tuple[str, ...]
  bytes: int


def operations(program: str) -> list[Operation]:
  """Return the operations of a program's entry.

  Raises:
    ValueError: There are loops or calls, which this does not follow.
  """
  found = list(_parse(program[program.index('\nENTRY ') :]))
  if calls := sorted({o.kind for o in found} & _CALLS):
    raise ValueError(f'the program has {", ".join(calls)}: not counted')
  return found


def largest(found: Sequence[Operation], count: int) -> list[Operation]:
  """Return those that move the most bytes, without prefetches."""
  work = [o for o in found if o.bytes and o.kind not in _COPIES]
  return sorted(work, key=lambda o: o.bytes, reverse=True)[:count]


def collectives(found: Sequence[Operation]) -> list[Operation]:
  """Return the operations in which chips communicate."""
  return [
    o
    for o in found
    if o.kind.startswith(_COLLECTIVES) and not o.kind.endswith('-done')
  ]


def payload(operation: Operation) -> int:
  """Return the bytes of an operation's operands, wherever they are, untiled."""
  return sum(
    math.prod(int(d) for d in dims.split(',') if d) * _BYTES[dtype]
    for operand in operation.operands
    for dtype, dims, *_ in _ARRAY.findall(operand)
    if dtype in _BYTES
  )


def array_bytes(types: str, on_chip: bool = False) -> int:
  """Return the bytes in memory of the arrays of a type, or those on chip."""
  return sum(
    size for size, is_on_chip in _arrays(types) if is_on_chip == on_chip
  )


def _parse(entry) -> Iterator[Operation]:
  types: dict[str, str] = {}
  for line in entry.splitlines():
    if not (match := _INSTRUCTION.match(line)):
      continue
    name, result, kind, rest = match.groups()
    operands = [types.get(o, '') for o in _operands(rest)]
    types[name] = result
    source = _NAME.search(rest)
    yield Operation(
      name,
      kind,
      source[1] if source else '',
      result,
      tuple(operands),
      _moved(kind, result, operands),
    )


def _operands(rest):
  return re.findall(r'%([\w.-]+)', rest.split('), ')[0])


def _moved(kind, result, operands):
  if kind in _FREE or kind in _CALLS or kind.endswith('-done'):
    return 0
  if kind in _COPIES:
    # The result holds the source, the destination and a semaphore; as many
    # bytes as arrive are read.
    destination = _ARRAY.findall(result)[1]
    size, is_on_chip = _array(*destination)
    from_memory = not any(on_chip for _, on_chip in _arrays(operands[0]))
    return size * ((not is_on_chip) + from_memory)
  return array_bytes(result) + sum(map(array_bytes, operands))


def _arrays(types):
  return [_array(*a) for a in _ARRAY.findall(types) if a[0] in _BYTES]


def _array(dtype, dims, order, layout) -> tuple[int, bool]:
  """Return the size in bytes, tiled, and whether the array is on the chip."""
  shape = [int(d) for d in dims.split(',') if d]
  minor_first = [int(d) for d in order.split(',') if d]
  tile = re.search(r'T\(([\d,]+)\)', layout)
  if tile:
    sizes = [int(t) for t in tile[1].split(',')]
    for dim, size in zip(minor_first, reversed(sizes), strict=False):
      shape[dim] = -(-shape[dim] // size) * size
  return math.prod(shape) * _BYTES[dtype], bool(re.search(r'S\(\d\)', layout))


def by_kind(found: Sequence[Operation]) -> Mapping[str, int]:
  """Return kind -> bytes, largest first."""
  total: dict[str, int] = {}
  for operation in found:
    total[operation.kind] = total.get(operation.kind, 0) + operation.bytes
  return dict(sorted(total.items(), key=lambda item: -item[1]))
