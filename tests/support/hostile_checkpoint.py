"""A checkpoint whose index promises more than its data hold.

An index is a table of LevelDB's format: blocks of entries, each followed by a
byte for its compression and a checksum; a block of where these are; a footer.
"""

import pathlib
import struct

from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

_FOOTER = 48
_TRAILER = 5


def enlarge(index: pathlib.Path, dimension: int, larger: int) -> int:
  """Replaces each dimension of this size; returns how many there were.

  Args:
    index: The .index file of a checkpoint.
    dimension: Below 128, as `larger`: they are bytes of their own.
    larger: What the index is to say.
  """
  content = bytearray(index.read_bytes())
  # A TensorShapeProto.Dim: field 2, of two bytes, whose field 1 is the size.
  before, after = (bytes([0x12, 2, 8, n]) for n in (dimension, larger))
  count = content.count(before)
  content = bytearray(content.replace(before, after))
  for offset, size in _blocks(content):
    checked = bytes(content[offset : offset + size + 1])
    checksum = struct.pack('<I', pywrap_tensorflow.masked_crc32c(checked))
    content[offset + size + 1 : offset + size + _TRAILER] = checksum
  index.write_bytes(content)
  return count


def _blocks(content):
  """Yields where the blocks of entries are: offset and size."""
  footer = content[-_FOOTER:]
  _, at = _handle(footer, 0)  # Of the meta index.
  (offset, size), _ = _handle(footer, at)
  block = content[offset : offset + size]
  (num_restarts,) = struct.unpack('<I', block[-4:])
  at, end = 0, len(block) - 4 * (1 + num_restarts)
  while at < end:
    _, at = _varint(block, at)
    unshared, at = _varint(block, at)
    _, at = _varint(block, at)
    handle, at = _handle(block, at + unshared)
    yield handle


def _handle(content, at):
  offset, at = _varint(content, at)
  size, at = _varint(content, at)
  return (offset, size), at


def _varint(content, at):
  value = shift = 0
  while True:
    byte = content[at]
    value |= (byte & 127) << shift
    at, shift = at + 1, shift + 7
    if byte < 128:
      return value, at
