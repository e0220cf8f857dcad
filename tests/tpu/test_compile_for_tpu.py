"""Steps on their way to the TPU compiler, and what comes back."""

import dataclasses
import json
import re

import host_xla
import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.tpu import cells as cells_lib
from transfusion_tf.tpu import chips
from transfusion_tf.tpu import compile_hlo
from transfusion_tf.tpu import environment
from transfusion_tf.tpu import programs
from transfusion_tf.tpu import table

_CELL = cells_lib.Cell('cbr_tiny', 64, 16, 'mixed_bfloat16', 'train', 'v5e:2x2')
_SMALL = config.override(
  config.RETINA,
  {
    'model.name': 'cbr_tiny',
    'data.image_size': 64,
    'train.batch_size': 16,
    'train.precision': 'mixed_bfloat16',
  },
)
_PAGE = 'before\n<!-- begin table -->\nold\n<!-- end table -->\nafter\n'


@pytest.mark.parametrize(
  ('copy', 'conversion'),
  [
    (
      '%2 = mhlo.copy %1 : tensor<5x3xf32> loc(#loc4)',
      '%2 = stablehlo.convert %1 : (tensor<5x3xf32>) -> tensor<5x3xf32> '
      'loc(#loc4)',
    ),
    (
      '%2 = "mhlo.copy"(%arg0) : (tensor<f32>) -> tensor<f32>',
      '%2 = stablehlo.convert %arg0 : (tensor<f32>) -> tensor<f32>',
    ),
    ('%2 = stablehlo.add %1, %1 : tensor<f32>',) * 2,
  ],
)
def test_copies_become_conversions_to_the_same_type(copy, conversion):
  assert compile_hlo.replace_copies(copy) == conversion


def test_the_bound_is_the_slower_of_arithmetic_and_traffic():
  chip = chips.CHIPS['v5e']
  cell = dataclasses.replace(
    _CELL, flops=chip.flops * 0.5, traffic=int(chip.bandwidth * 2)
  )
  assert cell.bound == pytest.approx(2)
  assert cell.images_per_second == pytest.approx(8)
  assert '2000.00 ms' in cells_lib.text(cell)


def test_cells_are_files(tmp_path):
  cell = dataclasses.replace(_CELL, largest=((1, 'fusion', 'conv1', 'f32[]'),))
  assert not cells_lib.exists(cell, tmp_path)
  cells_lib.save(cell, str(tmp_path))
  assert cells_lib.exists(cell, tmp_path)
  assert not cells_lib.exists(cell, tmp_path, with_code=True)
  (loaded,) = cells_lib.load(str(tmp_path))
  assert json.dumps(dataclasses.asdict(loaded)) == json.dumps(
    dataclasses.asdict(cell)
  )


def test_the_table_stands_between_its_marks():
  cells = [
    dataclasses.replace(_CELL, traffic=819_000_000, flops=1e9),
    dataclasses.replace(_CELL, model='resnet50', error='too large'),
  ]
  page = table.replace(_PAGE, cells)
  assert page.startswith('before\n') and page.endswith('\nafter\n')
  assert '| CBR-Tiny | 64 | 16 | mixed_bfloat16 | 0.00 | 0.82 |' in page
  assert '| no: too large |' in page
  assert 'old' not in page
  assert table.replace(page, cells) == page
  with pytest.raises(ValueError, match='lacks'):
    table.replace('no marks', cells)


def test_there_is_no_such_chip():
  with pytest.raises(errors.InputError, match='v5e'):
    chips.of_topology('v55:2x2')


@host_xla.needed
def test_a_step_of_one_chip_has_no_all_reduce_and_one_of_four_has():
  """A gradient and two statistics for each of the four convolutions."""
  alone = programs.training_step(_SMALL)
  shared = programs.training_step(_SMALL, num_chips=4)
  assert b'CollectiveReduceV2' not in alone
  assert b'CollectiveReduceV2' in shared
  assert b'prepare/' in alone


@host_xla.needed
def test_batch_norm_of_all_chips_is_reduced_in_both_passes():
  """Sums and sums of squares of four layers, and their gradients."""
  apart = programs.training_step(_SMALL, num_chips=4)
  experiment = config.override(_SMALL, {'train.sync_batch_norm': True})
  together = programs.training_step(experiment, num_chips=4)
  forward = re.compile(rb'conv(\d).bn_\d/CollectiveReduceV2')
  assert not forward.findall(apart)
  assert set(forward.findall(together)) == {b'1', b'2', b'3', b'4'}
  reductions = [hlo.count(b'CollectiveReduceV2') for hlo in (apart, together)]
  assert reductions[1] - reductions[0] >= 2 * 2 * 4


@host_xla.needed
@pytest.mark.slow
def test_steps_compile_for_a_tpu(tmp_path):
  try:
    python = environment.make(environment.default_directory())
  except errors.InputError as error:
    pytest.skip(str(error))
  for hlo, num_chips in [
    (programs.training_step(_SMALL), 1),
    (programs.evaluation_step(_SMALL), 1),
    (programs.training_step(_SMALL, num_chips=4), 4),
  ]:
    cell, with_code = (
      cells_lib.measured(
        dataclasses.replace(_CELL, num_chips=num_chips),
        *environment.compile_hlo(python, hlo, 'v5e:2x2', num_chips, code),
      )
      for code in (False, True)
    )
    assert 0 < cell.temporary < cell.memory < cell.chip.memory
    assert cell.flops > 1e9
    assert bool(cell.exchanged) == (num_chips > 1)
    assert with_code.code
    assert dataclasses.replace(with_code, code=0) == cell


def test_a_batch_that_does_not_divide_is_one_line(call):
  done = call('compile_for_tpu.py', '--model=cbr_tiny', '--num_chips=3')
  assert done.returncode == 2
  assert done.stderr.count('\n') == 1
  assert 'does not divide' in done.stderr
