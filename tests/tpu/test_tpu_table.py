"""What docs/tpu.md says, beside the results that it is made of."""

import paths
import pytest

from transfusion_tf.tpu import cells as cells_lib
from transfusion_tf.tpu import table

_DOCS = paths.ROOT / 'docs'
_CELLS = list(cells_lib.load(str(_DOCS / 'results' / 'tpu')))
# Where a copy of the augmented pictures is one of them, as docs/tpu.md says.
_KNOWN = {
  'inception_v3-224-8-float32-train-1-v6e.2x2',
  'inception_v3-224-8-mixed_bfloat16-train-1-v5p.2x2x1',
  'resnet50-224-8-float32-train-1-v6e.2x2',
}
_PREPARE = 'prepare/'  # Of the operations of the input side.


def test_the_table_is_that_of_the_results():
  page = (_DOCS / 'tpu.md').read_text(encoding='utf-8')
  assert table.replace(page, _CELLS) == page


@pytest.mark.parametrize('cell', _CELLS, ids=lambda cell: cell.name)
def test_the_input_side_is_among_the_five_largest_where_that_is_said(cell):
  sources = [source for _, _, source, _ in cell.largest]
  assert cell.error or len(sources) == 10
  found = any(_PREPARE in source for source in sources[:5])
  assert found == (cell.name in _KNOWN)
