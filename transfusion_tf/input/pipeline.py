"""Prepared data sets as tf.data.

Training is an endless sequence of examples, numbered by one counter g over
the whole run: epoch g // N holds each of the N examples once, in an order
drawn from (seed, epoch), and the augmentation of place g is drawn from
(seed, g). A run that starts at step s therefore sees just what an
uninterrupted one sees from there on; what comes before is skipped undecoded.

Evaluation passes over a split once, in stored order, each example exactly
once; the last batch is filled up with rows of weight 0.
"""

from collections.abc import Iterator
import contextlib
import dataclasses

import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import tasks
from transfusion_tf.input import prepared as prepared_lib
from transfusion_tf.input import preprocess

# Undecoded records to draw from. A set smaller than this is shuffled
# perfectly; a larger one also has the order of its files shuffled.
_SHUFFLE_BUFFER = 16_384
_INTERLEAVED_FILES = 16


@dataclasses.dataclass(frozen=True)
class Source:
  """Where examples come from and what they become."""

  prepared: prepared_lib.Prepared
  task: tasks.Task
  data: config.Data
  seed: int


def num_train_examples(source: Source) -> int:
  """N, the examples of an epoch, after `data.subset`."""
  total = source.prepared.num_examples(prepared_lib.TRAIN)
  if source.data.subset > total:
    raise errors.InputError(
      f'subset of {source.data.subset} of {total} training examples in '
      f'{source.prepared.directory}; ask for fewer'
    )
  return source.data.subset or total


def train(
  source: Source, batch_size: int, start_step: int = 0
) -> 'tf.data.Dataset':
  """Endless training batches from step `start_step` on.

  Returns:
    Batches of image (uint8 [B, C, C, 3]), draw ([B, NUM_DRAWS]), targets and
    mask ([B, K]), in which B is `batch_size`.
  """
  per_epoch = num_train_examples(source)
  first_epoch, done = divmod(start_step * batch_size, per_epoch)
  select = _selection(source)

  def epoch(number):
    records = select(_shuffled(source, number))
    already = tf.where(number == first_epoch, np.int64(done), np.int64(0))
    return records.skip(already)

  def load(counter, example):
    draw = preprocess.draws(source.seed, counter)
    targets, mask = source.task.targets(example)
    return {
      'image': preprocess.decode(
        example['image'],
        source.data.image_size,
        source.data.augment.crop,
        draw,
      ),
      'draw': draw,
      'targets': targets,
      'mask': mask,
    }

  examples = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
  examples = examples.flat_map(epoch).enumerate(start_step * batch_size)
  batches = examples.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(
    batch_size, drop_remainder=True
  )
  return batches.prefetch(tf.data.AUTOTUNE).with_options(_options())


def evaluation(
  source: Source, split: str, batch_size: int
) -> 'tf.data.Dataset':
  """Each example of `split` once.

  Returns:
    Batches of image (uint8 [B, S, S, 3]), row (int64 [B], the place in the
    stored order, which `Prepared.index` shares) and weight (float32 [B], 0
    for the rows that fill up the last batch).
  """

  def load(row, record):
    encoded = source.prepared.parse(record)['image']
    return {
      'image': preprocess.decode(encoded, source.data.image_size),
      'row': row,
      'weight': 1.0,
    }

  def fill(batch):
    missing = batch_size - tf.shape(batch['row'])[0]
    return {
      name: tf.ensure_shape(
        tf.pad(x, [[0, missing]] + [[0, 0]] * (x.shape.rank - 1)),
        [batch_size, *x.shape[1:]],
      )
      for name, x in batch.items()
    }

  examples = source.prepared.records(split).enumerate()
  batches = examples.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(
    batch_size
  )
  return batches.map(fill).prefetch(tf.data.AUTOTUNE).with_options(_options())


@contextlib.contextmanager
def naming_bad_images(source: Source) -> Iterator[None]:
  """Turns TensorFlow's error about an image into one that names the image.

  Raises:
    InputError: Something inside read an image that does not decode, or a
      damaged record file.
  """
  try:
    yield
  except (tf.errors.InvalidArgumentError, tf.errors.DataLossError):
    for split in source.prepared.splits:
      for row, record in enumerate(_readable_records(source.prepared, split)):
        encoded = source.prepared.parse(record)['image']
        try:
          preprocess.decode(encoded, source.data.image_size)
        except tf.errors.InvalidArgumentError as error:
          name = source.prepared.index(split).image_ids[row]
          raise errors.InputError(
            f'{source.prepared.directory}: image {name} of split {split} does '
            f'not decode ({error.message}); remove it and prepare again'
          ) from None
    raise


def _readable_records(prepared, split):
  try:
    yield from prepared.records(split)
  except tf.errors.DataLossError as error:
    raise errors.InputError(
      f'{prepared.directory}: split {split} is damaged ({error.message}); '
      'prepare it again'
    ) from None


def subset_rows(index: prepared_lib.Index, count: int, seed: int) -> np.ndarray:
  """[N] bool: the `count` examples of a subset, whole patients first.

  Patients are ordered by a hash, so that a smaller subset lies inside a
  larger one of the same seed. The paper does not say how it drew its 5 000 to
  100 000 images (Tables 3 and 4).
  """
  patients = _order(index.patient_ids, seed)
  images = _order(index.image_ids, seed)
  chosen = np.zeros(len(index), bool)
  chosen[np.lexsort((images, patients))[:count]] = True
  return chosen


def _order(names, seed):
  return tf.strings.to_hash_bucket_strong(
    names, np.iinfo(np.int64).max, key=[seed, 0]
  ).numpy()


def _shuffled(source, epoch):
  """The training records of one epoch, in its order, parsed."""
  seed = tf.random.stateless_uniform(
    [],
    seed=tf.stack([np.int64(source.seed), epoch]),
    minval=None,
    maxval=None,
    dtype=tf.int64,
  )
  files = tf.data.Dataset.from_tensor_slices(
    source.prepared.files(prepared_lib.TRAIN)
  )
  records = files.shuffle(_SHUFFLE_BUFFER, seed=seed).interleave(
    tf.data.TFRecordDataset, cycle_length=_INTERLEAVED_FILES
  )
  return records.shuffle(_SHUFFLE_BUFFER, seed=seed).map(source.prepared.parse)


def _selection(source):
  """What `data.subset` and `data.shuffle_labels` make of parsed examples."""
  data = source.data
  if not data.subset and not data.shuffle_labels:
    return lambda examples: examples
  index = source.prepared.index(prepared_lib.TRAIN)
  rows = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(
      index.image_ids, np.arange(len(index), dtype=np.int64)
    ),
    default_value=-1,
  )
  chosen = np.ones(len(index), bool)
  if data.subset:
    chosen = subset_rows(index, data.subset, data.subset_seed)
  labels = index.labels
  if data.shuffle_labels:
    labels = shuffled_labels(index, source.seed)

  def relabel(example):
    row = rows.lookup(example['image_id'])
    return example | tf.nest.map_structure(lambda x: tf.gather(x, row), labels)

  def select(examples):
    examples = examples.filter(
      lambda e: tf.gather(chosen, rows.lookup(e['image_id']))
    )
    return examples.map(relabel) if data.shuffle_labels else examples

  return select


def shuffled_labels(index: prepared_lib.Index, seed: int) -> dict:
  """The labels of other examples: a control in which nothing can be learned."""
  order = np.random.default_rng(seed).permutation(len(index))
  return tf.nest.map_structure(lambda labels: labels[order], index.labels)


def _options():
  options = tf.data.Options()
  options.deterministic = True
  return options
