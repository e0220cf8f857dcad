"""The input pipeline's laws: which examples, in which order, how often."""

import collections
import functools
import itertools

import numpy as np
import prepared_sets
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from transfusion_tf import errors
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import pipeline
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import build as run_lib
from transfusion_tf.train import evaluation


def _take(source, count, batch_size=8, start_step=0):
  dataset = pipeline.train(source, batch_size, start_step)
  return list(dataset.take(count).as_numpy_iterator())


def _plain(data_dir, **changes):
  """A source whose images are not augmented, so that they can be told apart."""
  unaugmented = prepared_sets.config.NO_AUGMENT
  return prepared_sets.source(data_dir, data__augment=unaugmented, **changes)


def _names(batches):
  return [image.tobytes() for batch in batches for image in batch['image']]


def test_an_epoch_holds_each_example_once_in_an_order_of_its_own(data_dir):
  names = _names(_take(_plain(data_dir), 36))  # Three epochs of 96.
  epochs = [names[k : k + 96] for k in (0, 96, 192)]
  assert len(set(names)) == 96
  for epoch in epochs:
    assert set(collections.Counter(epoch).values()) == {1}
  assert all(a != b for a, b in itertools.combinations(epochs, 2))


def test_the_same_seed_gives_the_same_batches_and_another_does_not(data_dir):
  one, again, other = (
    _take(prepared_sets.source(data_dir, seed=seed), 3) for seed in (1, 1, 2)
  )
  tf.nest.map_structure(np.testing.assert_array_equal, one, again)
  assert not np.array_equal(one[0]['image'], other[0]['image'])


def test_a_global_seed_of_zero_is_no_error(data_dir):
  """As a notebook sets it; tf.data takes it for none."""
  before = context.global_seed()
  tf.random.set_seed(0)
  try:
    assert _take(prepared_sets.source(data_dir), 1)
  finally:
    tf.random.set_seed(before)


@pytest.fixture(scope='module')
def from_the_start(data_dir):
  return _take(prepared_sets.source(data_dir), 43, batch_size=10)


@pytest.mark.parametrize('start_step', [1, 11, 12, 13, 40])
def test_starting_late_gives_what_would_have_come(
  data_dir, from_the_start, start_step
):
  """In mid-epoch, at its end and after several; a batch may cross epochs."""
  source = prepared_sets.source(data_dir)
  expected = from_the_start[start_step : start_step + 3]
  got = _take(source, 3, batch_size=10, start_step=start_step)
  tf.nest.map_structure(np.testing.assert_array_equal, got, expected)


@pytest.fixture(scope='module')
def of_workers(data_dir):
  """The images of 12 global batches; those of each number are read once."""

  @functools.cache
  def read(num_workers, subset):
    source = prepared_sets.source(data_dir, data__subset=subset)
    shares = [
      list(pipeline.train(source, 8, 5, share).take(12).as_numpy_iterator())
      for share in (
        example_order.Shard.for_worker(w, num_workers, num_lanes=4)
        for w in range(num_workers)
      )
    ]
    return [np.concatenate([b[n]['image'] for b in shares]) for n in range(12)]

  return read


@pytest.mark.parametrize('subset', [0, 48])
@pytest.mark.parametrize('num_workers', [2, 4])
def test_workers_share_each_epoch_and_each_batch(
  of_workers, num_workers, subset
):
  """Four lanes: the global batches are the same on 1, 2 and 4 workers."""
  np.testing.assert_array_equal(
    of_workers(1, subset), of_workers(num_workers, subset)
  )


def test_lanes_of_files_cover_an_epoch_once(data_dir):
  for total in (2, 3):
    names = [
      name
      for lane in range(total)
      for name in _names(
        pipeline.train(
          _plain(data_dir), 6, 0, example_order.Shard((lane,), total)
        )
        .take(16)
        .as_numpy_iterator()
      )
    ]
    assert len(names) == 96
    assert len(set(names)) == 96


def test_a_batch_that_does_not_divide_is_refused(data_dir):
  with pytest.raises(errors.InputError, match='batch of 9'):
    pipeline.train(_plain(data_dir), 9, 0, example_order.Shard.for_worker(0, 2))


@pytest.mark.parametrize('batch_size', [1, 8, 33, 50])
def test_evaluation_gives_each_row_once_and_fills_up(data_dir, batch_size):
  source = prepared_sets.source(data_dir)
  batches = list(
    pipeline.evaluation(source, 'validation', batch_size).as_numpy_iterator()
  )
  assert {len(batch['row']) for batch in batches} == {batch_size}
  rows = [
    row
    for batch in batches
    for row, weight in zip(batch['row'], batch['weight'], strict=True)
    if weight
  ]
  assert rows == list(range(33))


@pytest.mark.parametrize('num_examples', [33, 50])
def test_each_pass_is_the_whole_split(num_examples):
  rows = tf.data.Dataset.range(num_examples)
  batch = rows.map(lambda row: {'row': row, 'weight': 1.0}).batch(10)
  passes = evaluation.Passes(batch.repeat(), len(batch))
  for _ in range(3):
    found = np.concatenate([b['row'] for b in passes])
    np.testing.assert_array_equal(found, range(num_examples))


def test_nothing_waits_for_a_tuner_to_end(data_dir):
  run = run_lib.build(prepared_sets.experiment(data_dir))
  batches = run.training_batches(0)
  assert isinstance(batches, tf.data.Dataset)  # Not a distributed one.
  evaluated = pipeline.evaluation(run.source, 'validation', 8)
  for dataset in (batches, evaluated):
    assert dataset.options().autotune.enabled is False


def test_targets_belong_to_their_images(data_dir):
  """The image of a grade has red spots, none at grade 0."""
  for batch in _take(_plain(data_dir), 12):
    red = (batch['image'][..., 0] > 200) & (batch['image'][..., 1] < 80)
    grade = batch['targets'].argmax(axis=1)
    np.testing.assert_array_equal(red.any(axis=(1, 2)), grade > 0)


def test_subsets_nest_and_have_their_size(data_dir):
  index = prepared_sets.source(data_dir).prepared.index('train')
  small, large = (example_order.subset_rows(index, n, seed=0) for n in (21, 60))
  assert (small.sum(), large.sum()) == (21, 60)
  assert large[small].all()
  other = example_order.subset_rows(index, 21, seed=1)
  assert (other != small).any()
  # Whole patients: at most one is cut.
  patients = collections.Counter(index.patient_ids[small])
  assert sum(count == 1 for count in patients.values()) <= 1


def test_training_on_a_subset_sees_the_subset(data_dir):
  names = _names(_take(_plain(data_dir, data__subset=24), 9))
  assert set(collections.Counter(names).values()) == {3}
  assert len(set(names)) == 24


def test_shuffled_labels_are_the_same_labels_on_other_images(data_dir):
  true = _take(_plain(data_dir), 12)
  shuffled = _take(_plain(data_dir, data__shuffle_labels=True), 12)
  assert _names(true) == _names(shuffled)
  np.testing.assert_array_equal(
    *(sum(b['targets'].sum(axis=0) for b in x) for x in (true, shuffled))
  )
  moved = [
    (a['targets'] != b['targets']).any(axis=1)
    for a, b in zip(true, shuffled, strict=True)
  ]
  assert np.mean(moved) > 0.5


def test_a_subset_larger_than_the_set_is_refused(data_dir):
  with pytest.raises(errors.InputError, match='97 of 96'):
    pipeline.train(prepared_sets.source(data_dir, data__subset=97), 8)


def test_a_set_that_was_never_prepared_names_the_command(tmp_path):
  with pytest.raises(errors.InputError, match='image_table --name=x'):
    tfds_folder.open_dataset(str(tmp_path), 'x')


def test_an_image_that_does_not_decode_is_named(tmp_path):
  splits = {s: list(prepared_sets.spots(4, s)) for s in range(2)}
  splits = {'train': splits[0], 'test': splits[1]}
  whole = tf.io.encode_jpeg(splits['test'][2]['image']).numpy()
  splits['test'][2]['image'] = whole[: len(whole) // 2]
  prepared_sets.write(
    tmp_path, 'retina', {'grade': prepared_sets.GRADES}, splits
  )
  source = prepared_sets.source(tmp_path)
  with (
    pytest.raises(errors.InputError, match='1_0002 of split test'),
    pipeline.convert_image_errors(source),
  ):
    list(pipeline.evaluation(source, 'test', 4))


def test_a_damaged_record_file_is_named(tmp_path):
  prepared_sets.write_spots(tmp_path)
  source = prepared_sets.source(tmp_path)
  (path, *_) = source.prepared.files('test')
  content = bytearray(open(path, 'rb').read())
  content[len(content) // 2] ^= 255
  open(path, 'wb').write(content)
  with (
    pytest.raises(errors.InputError, match='split test is damaged'),
    pipeline.convert_image_errors(source),
  ):
    list(pipeline.evaluation(source, 'test', 4))
