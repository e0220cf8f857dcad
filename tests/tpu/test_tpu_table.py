"""What docs/tpu.md says, beside the results that it is made of."""

import paths
import pytest

from transfusion_tf.tpu import cells as cells_lib
from transfusion_tf.tpu import step_bounds
from transfusion_tf.tpu import table

_DOCS = paths.ROOT / 'docs'
_CELLS = list(cells_lib.load(str(_DOCS / 'results' / 'tpu')))
_INPUT_SIDE = ('prepare/', 'space_to_depth/')  # In names of operations.


def test_the_table_is_that_of_the_results():
  page = (_DOCS / 'tpu.md').read_text(encoding='utf-8')
  assert table.replace(page, _CELLS) == page


@pytest.mark.parametrize('cell', _CELLS, ids=lambda cell: cell.name)
def test_no_operation_of_the_input_side_is_among_the_five_largest(cell):
  sources = [source for _, _, source, _ in cell.largest]
  assert cell.error or len(sources) == 10
  assert not [s for s in sources[:5] if any(n in s for n in _INPUT_SIDE)]


def test_plans_have_the_bounds_of_the_results():
  assert step_bounds.PATH.read_text('utf-8') == step_bounds.text(_CELLS)
