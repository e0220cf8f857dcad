"""A split in memory gives the batches that its files give, to the bit."""

import dataclasses

import numpy as np
import prepared_sets
import pytest
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import memory
from transfusion_tf.image_ops import decode
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import in_memory
from transfusion_tf.input_pipeline import pipeline


def _spots(count, seed, encode):
  for n, example in enumerate(prepared_sets.spots(count, seed)):
    # Of several shapes, as in a table of one's own images.
    image = tf.pad(example['image'], [[n % 3, 0], [0, n % 5], [0, 0]])
    yield example | {'image': encode(image).numpy()}


def _write(data_dir, encode=decode.encode):
  prepared_sets.write(
    data_dir,
    'retina',
    {'grade': prepared_sets.GRADES},
    {
      split: list(_spots(count, seed, encode))
      for seed, (split, count) in enumerate(
        {'train': 96, 'validation': 33, 'test': 8}.items()
      )
    },
  )


@pytest.fixture(scope='module')
def full_color_dir(tmp_path_factory):
  data_dir = tmp_path_factory.mktemp('full_color')
  _write(data_dir)
  return data_dir


def _both(data_dir, **changes):
  """Return the same source as read from files and as held in memory."""
  read = prepared_sets.source(data_dir, **changes)
  held = dataclasses.replace(read, memory_share=0.5)
  assert read.held_images('train') is None
  assert held.held_images('train') is not None
  return read, held


def _assert_equal(make):
  for one, other in zip(*make, strict=True):
    tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize(
  'changes',
  [
    {},
    {'data__augment': config.IMAGENET.data.augment},
    {'data__subset': 48},
    {'data__shuffle_labels': True},
  ],
)
@pytest.mark.parametrize('lanes', [1, 4])
def test_training_in_memory_is_training_from_files(
  full_color_dir, changes, lanes
):
  shard = example_order.Shard(tuple(range(lanes)), lanes)
  _assert_equal(
    pipeline.train(source, 8, 7, shard).take(20).as_numpy_iterator()
    for source in _both(full_color_dir, **changes)
  )


@pytest.mark.parametrize('workers', [1, 2])
def test_validation_in_memory_is_validation_from_files(full_color_dir, workers):
  _assert_equal(
    pipeline.evaluation(
      source, 'validation', 8, workers - 1, workers
    ).as_numpy_iterator()
    for source in _both(full_color_dir, data__eval_crop=0.8)
  )


def test_the_files_are_read_once(tmp_path):
  _write(tmp_path)
  _, held = _both(tmp_path)
  for path in held.prepared.files('train'):
    open(path, 'wb').close()
  images = [b['image'] for b in pipeline.train(held, 8).take(24)]
  assert len(images) == 24


def test_what_does_not_fit_is_read_from_files(full_color_dir, monkeypatch):
  held = prepared_sets.source(full_color_dir).prepared
  size = sum(
    np.prod(tf.io.decode_jpeg(held.parse(r)['image']).shape)
    for r in held.records('train')
  )
  for room, fits in ((size, True), (size - 1, False), (0, False)):
    monkeypatch.setattr(memory, 'available', lambda room=room: 2 * room)
    # A data set that is opened anew is decided anew.
    prepared = prepared_sets.source(full_color_dir).prepared
    assert (in_memory.images(prepared, 'train', 0.5) is not None) == fits


def test_images_of_coarse_color_are_read_from_files(tmp_path):
  """The edge of a window of them depends on what lies beyond it."""
  _write(tmp_path, tf.io.encode_jpeg)
  prepared = prepared_sets.source(tmp_path).prepared
  assert in_memory.images(prepared, 'train', 0.5) is None
  _write(tmp_path / 'png', tf.io.encode_png)
  prepared = prepared_sets.source(tmp_path / 'png').prepared
  assert in_memory.images(prepared, 'train', 0.5) is not None


def test_free_memory_is_told():
  assert 2**20 < memory.available() < 2**50
