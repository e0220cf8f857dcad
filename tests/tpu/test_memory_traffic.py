"""Bytes of a compiled program, counted by hand."""

import pytest

from transfusion_tf.tpu import memory_traffic

_PROGRAM = """
HloModule step

%fused (p: f32[8]) -> f32[8] {
  %inner = f32[1000,1000]{1,0} parameter(0)
}

ENTRY %main (a: bf16[8,147,147,64]) -> bf16[8,147,147,64] {
  %a = bf16[8,147,147,64]{3,0,2,1:T(8,128)(2,1)} parameter(0)
  %k = f32[1,1,64,64]{3,2,1,0:T(8,128)S(1)} constant({...})
  %copy-start.1 = (f32[100]{0:T(128)S(1)}, f32[100]{0:T(128)}, u32[]{:S(2)}) \
copy-start(%b)
  %copy-done.1 = f32[100]{0:T(128)S(1)} copy-done(%copy-start.1)
  %fusion.1 = bf16[8,147,147,64]{3,0,2,1:T(8,128)(2,1)} fusion(%a, %k), \
kind=kOutput, calls=%fused, metadata={op_name="net/conv1/Conv2D"}
  %sum = (f32[64]{0:T(128)}) all-reduce(%fusion.1), replica_groups={{0,1}}
  ROOT %out = (bf16[8,147,147,64]{3,0,2,1:T(8,128)(2,1)}) tuple(%fusion.1)
}
"""
_ACTIVATION = 147 * 147 * 8 * 128 * 2  # 64 channels in 128 lanes.


@pytest.mark.parametrize(
  ('array', 'size'),
  [
    ('f32[100]', 400),
    ('f32[]', 4),
    ('f32[100]{0:T(128)}', 4 * 128),
    ('u8[8,528,528,3]{2,1,3,0:T(8,128)(4,1)}', 8 * 3 * 528 * 640),
    # Batch 8 in 128 lanes, 3 channels in 4 rows: 21 times as large.
    ('bf16[8,587,587,3]{0,3,2,1:T(4,128)(2,1)}', 587 * 587 * 4 * 128 * 2),
    ('bf16[8,147,147,64]{3,0,2,1:T(8,128)(2,1)}', _ACTIVATION),
    ('(f32[128]{0:T(128)}, bf16[2,128]{1,0:T(2,128)(2,1)})', 512 + 512),
    ('f32[128]{0:T(128)S(1)}', 0),
  ],
)
def test_arrays_are_counted_in_tiles_and_not_on_the_chip(array, size):
  assert memory_traffic.array_bytes(array) == size


def test_operations_of_the_entry_read_operands_and_write_results():
  operations = {o.name: o for o in memory_traffic.operations(_PROGRAM)}
  assert 'inner' not in operations
  fusion = operations['fusion.1']
  assert fusion.bytes == 2 * _ACTIVATION
  assert fusion.source == 'net/conv1/Conv2D'
  assert operations['copy-done.1'].bytes == 0
  assert operations['out'].bytes == operations['a'].bytes == 0


def test_a_prefetch_moves_what_arrives():
  """100 numbers, padded to 128: read where they were, written on the chip."""
  program = _PROGRAM.replace(
    '%k =', '%b = f32[100]{0:T(128)} parameter(1)\n  %k ='
  )
  program = program.replace(
    'S(1)}, f32[100]{0:T(128)},', 'S(1)}, f32[100]{0:T(128)S(1)},'
  )
  operations = {o.name: o for o in memory_traffic.operations(program)}
  assert operations['copy-start.1'].bytes == 4 * 128


def test_the_largest_and_what_crosses_chips():
  operations = memory_traffic.operations(_PROGRAM)
  (largest,) = memory_traffic.largest(operations, 1)
  assert largest.name == 'fusion.1'
  (sum_,) = memory_traffic.collectives(operations)
  assert sum_.kind == 'all-reduce'
  assert memory_traffic.payload(sum_) == 8 * 147 * 147 * 64 * 2
  assert memory_traffic.by_kind(operations)['fusion'] == 2 * _ACTIVATION


def test_what_is_not_followed_is_refused():
  loop = _PROGRAM.replace('fusion(%a, %k)', 'while(%a)')
  with pytest.raises(ValueError, match='while'):
    memory_traffic.operations(loop)
