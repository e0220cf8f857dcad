"""One law of all shapes: the same pictures become the same prepared set."""

import collections
import pathlib

import numpy as np
import pytest
import shapes
import tensorflow as tf

from data.image_table import given as given_lib
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from transfusion_tf.input_pipeline import tfds_folder

_PICTURES = shapes.rows()


def _compressed(folder, pictures):
  return shapes.medmnist(folder, pictures, np.savez_compressed)


# Shape -> how to write it; columns of a table.
_SHAPES = {
  'table': (shapes.table, {'split': 'split'}),
  'medmnist': (shapes.medmnist, {}),
  'medmnist, compressed': (_compressed, {}),
  'webdataset': (shapes.tar, {}),
  'tfds': (shapes.tfds_set, {}),
  'parquet': (shapes.parquet, {}),
  'save_to_disk': (shapes.saved_to_disk, {}),
  'imagefolder': (shapes.image_folder, {}),
  'classes': (shapes.classes, {}),
}


def _build(path, data_dir, images='', **columns):
  given = given_lib.parse(str(path), images)
  builder = image_table_dataset_builder.Builder(
    name='pictures',
    table=layout.read(given.read(layout.Columns(**columns))),
    data_dir=data_dir,
  )
  builder.num_processes = 1
  checked = builder.check(given.root)
  checked.refuse()
  builder.build(checked)
  return checked


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  """shape -> (the check, folder of the prepared set), each made once."""
  made = {}

  def build(shape):
    if shape not in made:
      write, columns = _SHAPES[shape]
      folder = tmp_path_factory.mktemp('shape')
      path = write(folder / 'raw', _PICTURES)
      images = str(folder / 'raw/images') if shape == 'table' else ''
      made[shape] = (
        _build(path, folder / 'data', images, **columns),
        folder / 'data',
      )
    return made[shape]

  return build


@pytest.mark.parametrize('shape', _SHAPES)
def test_runs_know_the_set_whatever_its_shape_is(shape, built):
  """By pictures, labels, patients and splits; names of files may be others."""
  sets = [
    tfds_folder.open_dataset(str(built(s)[1]), 'pictures')
    for s in ('table', shape)
  ]
  assert sets[0].fingerprint == sets[1].fingerprint
  assert sets[0].summary['pixels_sha256']


def _contents(data_dir):
  """{(split, name of the class, stored picture): number of them}"""
  opened = tfds_folder.open_dataset(str(data_dir), 'pictures')
  counts = collections.Counter()
  for split in opened.splits:
    for record in opened.records(split):
      example = opened.parse(record)
      name = opened.label_names[int(example['label'])]
      counts[split, name, example['image'].numpy()] += 1
  return counts


@pytest.mark.parametrize('shape', [s for s in _SHAPES if s != 'table'])
def test_the_same_pictures_are_the_same_set_in_any_shape(shape, built):
  _, table = built('table')
  checked, data_dir = built(shape)
  assert _contents(data_dir) == _contents(table)
  assert sum(_contents(table).values()) == len(_PICTURES)
  assert not [p for p in checked.dataset.problems if p.bad]


@pytest.mark.parametrize(
  'shape',
  [
    'medmnist',
    'medmnist, compressed',
    'webdataset',
    'parquet',
    'save_to_disk',
    'tfds',
  ],
)
def test_by_the_same_names_even_the_files_are_the_same(shape, built):
  """So that whatever is trained on them is, bit for bit."""
  folders = [built(s)[1] / 'pictures/1.0.0' for s in ('table', shape)]
  names = ('pictures-train.tfrecord-00000-of-00001', 'features.json')
  for name in (*names, 'splits.csv', 'label.labels.txt'):
    first, second = ((folder / name).read_bytes() for folder in folders)
    assert first == second, name


def test_stored_are_the_pixels(built):
  """The law would hold of shapes that are all black, too."""
  _, data_dir = built('medmnist')
  opened = tfds_folder.open_dataset(str(data_dir), 'pictures')
  (record,) = opened.records('test').take(1)
  example = opened.parse(record)
  name = example['image_id'].numpy().decode()
  (row,) = [row for row in _PICTURES if row.name == name]
  stored = tf.io.decode_jpeg(example['image']).numpy()[..., 0]
  assert np.abs(stored.astype(int) - row.pixels).mean() < 8


def test_the_report_shows_pictures_of_rows(built):
  """Those that are no files of their own have the same page."""
  pages = [
    pathlib.Path(built(s)[1], 'pictures/1.0.0/preflight.html').read_text()
    for s in ('table', 'medmnist')
  ]
  assert pages[0].count('data:image/jpeg') > 10
  assert pages[0] == pages[1]
