"""What a set is known by: pictures, labels, patients, splits, and no names."""

import io
import json
import random

from PIL import Image
import pytest
import shapes

from data import images
from data import set_digest
from data import unlabelled
from data.image_table import given as given_lib
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from transfusion_tf import data_export
from transfusion_tf import run_folder
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.predict import pictures as pictures_lib

_EXAMPLES = [
  set_digest.Example(split, f'p{n // 2}', {'label': 'ab'[n % 2]}, b'%d' % n)
  for split in ('train', 'test')
  for n in range(6)
]
_PICTURES = shapes.rows(8, 4, 4)


def test_neither_order_nor_names_of_patients_matter():
  digest = set_digest.of_examples(_EXAMPLES)
  mixed = random.Random(0).sample(_EXAMPLES, len(_EXAMPLES))
  assert set_digest.of_examples(mixed) == digest
  renamed = [e._replace(patient=f'x{e.patient}') for e in _EXAMPLES]
  assert set_digest.of_examples(renamed) == digest


@pytest.mark.parametrize(
  'change',
  [
    {'split': 'validation'},
    {'patient': 'p1'},
    {'labels': {'label': 'b'}},
    {'labels': {'grade': 'a'}},
    {'picture': b'9'},
  ],
)
def test_all_else_matters(change):
  changed = [_EXAMPLES[0]._replace(**change), *_EXAMPLES[1:]]
  assert set_digest.of_examples(changed) != set_digest.of_examples(_EXAMPLES)


def test_an_example_more_matters():
  more = [*_EXAMPLES, _EXAMPLES[0]]
  assert set_digest.of_examples(more) != set_digest.of_examples(_EXAMPLES)


def _prepare(path, data_dir, name='pictures', **columns):
  given = given_lib.parse(str(path))
  builder = image_table_dataset_builder.Builder(
    name=name,
    table=layout.read(given.read(layout.Columns(**columns))),
    data_dir=data_dir,
  )
  builder.num_processes = 1
  builder.build(builder.check(given.root))
  return tfds_folder.open_dataset(str(data_dir), name)


def test_what_went_out_comes_in_as_the_same_set(tmp_path):
  """Bytes included: a JPEG of ours is not encoded again."""
  first = _prepare(shapes.medmnist(tmp_path / 'raw', _PICTURES), tmp_path / 'a')
  data_export.write(first, str(tmp_path / 'out'), data_export.About())
  again = _prepare(tmp_path / 'out', tmp_path / 'b', 'another')
  assert again.fingerprint == first.fingerprint
  for split in first.splits:
    assert list(again.records(split).as_numpy_iterator()) == list(
      first.records(split).as_numpy_iterator()
    )
  fewer = [p for p in _PICTURES if p.name != 'train_0001.png']
  other = _prepare(shapes.medmnist(tmp_path / 'few', fewer), tmp_path / 'c')
  assert other.fingerprint != first.fingerprint


def test_runs_of_earlier_versions_know_their_set(tmp_path):
  prepared = _prepare(
    shapes.medmnist(tmp_path / 'raw', _PICTURES), tmp_path / 'data'
  )
  assert len(prepared.known_as) == 2  # Read before it changes.
  run = tmp_path / 'run'
  run.mkdir()
  (path,) = (tmp_path / 'data').rglob('metadata.json')
  text = path.read_text()
  path.write_text(
    json.dumps({**json.loads(text), 'pixels_sha256': ''})  # As it was.
  )
  older = tfds_folder.PreparedDataset(prepared.directory)
  assert older.known_as == (older.fingerprint,)
  assert older.fingerprint != prepared.fingerprint
  outputs = {
    'outputs': {'kind': 'label', 'names': list(shapes.NAMES)},
    'data': older.identity,
  }
  (run / run_folder.OUTPUTS).write_text(json.dumps(outputs))
  assert not run_folder.begun_on_other(str(run), older.known_as)
  assert not run_folder.begun_on_other(str(run), prepared.known_as)
  assert run_folder.begun_on_other(str(run), ['another'])


def _jpeg(pixels, **options):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, 'JPEG', **options)
  return buffer.getvalue()


def test_a_jpeg_of_ours_is_stored_as_it_is_and_no_other():
  gray, color = shapes.rows(1, 0, 0)[0], shapes.rows(1, 0, 0, color=True)[0]
  for row in (gray, color):
    ours = _jpeg(row.pixels, quality=95, subsampling=0)
    assert images.stored(ours, images.load(ours)) == ours
    prepared = unlabelled.Preparer('own_size', 0)._prepared(ours)
    assert prepared == pictures_lib.Prepared(ours)
    others = [
      _jpeg(row.pixels, quality=94, subsampling=0),
      _jpeg(row.pixels, quality=95, subsampling=0, optimize=True),
      _jpeg(row.pixels, quality=95, subsampling=0, progressive=True),
      _jpeg(row.pixels, quality=95, subsampling=0, comment=b'a name'),
      ours + b'a name',
      shapes.png(row.pixels),
    ]
    if row is color:
      others.append(_jpeg(row.pixels, quality=95))
    for data in others:
      assert images.stored(data, images.load(data)) != data
      assert b'name' not in images.stored(data, images.load(data))
    turned = images.load(ours).transpose(0)
    assert images.stored(ours, turned) == images.jpeg(turned)
