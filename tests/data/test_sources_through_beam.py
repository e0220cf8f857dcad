"""Files of rows through Apache Beam: the same prepared set."""

import pytest
import shapes

from data import base_builder
from data.image_table import given as given_lib
from data.image_table import image_table_dataset_builder
from data.image_table import layout

pytest.importorskip('apache_beam')

_PICTURES = shapes.rows(9, 4, 4)
_SHAPES = {
  'medmnist': shapes.medmnist,
  'webdataset': shapes.tar,
  'tfds': shapes.tfds_set,
  'parquet': shapes.parquet,
  'save_to_disk': shapes.saved_to_disk,
}


def _build(path, data_dir, beam):
  given = given_lib.parse(str(path))
  builder = image_table_dataset_builder.Builder(
    name='pictures',
    table=layout.read(given.read(layout.Columns())),
    data_dir=data_dir,
  )
  builder.num_processes = 1
  checked = builder.check(given.root)
  checked.refuse()
  assert builder.build(checked, beam=beam)
  folder = data_dir / 'pictures/1.0.0'
  return {path.name: path.read_bytes() for path in folder.glob('*.tfrecord-*')}


@pytest.mark.parametrize('shape', _SHAPES)
def test_records_are_the_same(shape, tmp_path):
  path = _SHAPES[shape](tmp_path / 'raw', _PICTURES)
  plain = _build(path, tmp_path / 'plain', None)
  beam = base_builder.beam_config('DirectRunner', [])
  assert len(plain) == 3
  assert _build(path, tmp_path / 'beam', beam) == plain
