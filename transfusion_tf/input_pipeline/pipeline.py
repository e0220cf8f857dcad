"""Prepared data sets as batches.

Training is an endless sequence of positions: the batch of step s holds
positions s * B to (s + 1) * B - 1 of the run. `example_order` maps a position
to an example, and its augmentation is drawn from (seed, position). A run that
starts at step s therefore sees the same batches as an uninterrupted one.

Evaluation passes over a split once, in stored order, each example exactly
once; the last batch is padded with rows of weight 0.
"""

from collections.abc import Iterator
import contextlib

import numpy as np
import tensorflow as tf

from transfusion_tf import cores
from transfusion_tf import errors
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import tfds_folder

_ALL = example_order.Shard()
# Images decoded in parallel. See `_options` for why it is not AUTOTUNE.
_PARALLEL = cores.available()
# AutoGraph would spend seconds at start-up on rewriting Python that does not
# branch on tensors.
_as_written = tf.autograph.experimental.do_not_convert


@_as_written
def train(
  source: example_order.ExampleSource,
  batch_size: int,
  start_step: int = 0,
  shard: example_order.Shard = _ALL,
) -> 'tf.data.Dataset':
  """Return endless training batches from step `start_step` on.

  Args:
    source: The examples.
    batch_size: Global batch size, over all workers.
    start_step: Number of steps already taken.
    shard: This worker's part of the data.

  Returns:
    Batches of image (uint8 [B, C, C, 3]), uniforms ([B, NUM_UNIFORMS]), targets
    and mask ([B, K]), where B is this worker's part of `batch_size`.

  Raises:
    InputError: The batch does not divide among the lanes.
  """
  lane_batch = example_order.checked_div(batch_size, shard.num_lanes, 'batch')

  selection, label_map = example_order.selection(source), source.label_map
  held = source.held_images(tfds_folder.TRAIN)
  cut = held.cut if held else None

  def examples(lane):
    numbered = example_order.lane_examples(
      source, selection, lane, shard.num_lanes, start_step * lane_batch
    )
    return numbered.map(
      lambda number, example: (position(number, lane), example)
    )

  def position(number, lane):
    batch, within = number // lane_batch, number % lane_batch
    return batch * batch_size + lane * lane_batch + within

  def load(position, example):
    uniforms = augment.augmentation_uniforms(source.seed, position)
    targets, mask = source.task.targets(label_map(example))
    return {
      'image': source.reader.training(example['image'], uniforms, cut),
      'uniforms': uniforms,
      'targets': targets,
      'mask': mask,
    }

  lanes = tf.data.Dataset.from_tensor_slices(np.array(shard.lanes, np.int64))
  batches = (
    lanes.interleave(examples, len(shard.lanes), block_length=lane_batch)
    .map(load, num_parallel_calls=_PARALLEL)
    .batch(lane_batch * len(shard.lanes), drop_remainder=True)
    .prefetch(tf.data.AUTOTUNE)
  )
  return batches.with_options(_options())


@_as_written
def evaluation(
  source: example_order.ExampleSource,
  split: str,
  batch_size: int,
  worker: int = 0,
  num_workers: int = 1,
) -> 'tf.data.Dataset':
  """Return each example of `split` once, over all workers.

  Every worker gets the same number of batches: replicas step together.

  Args:
    source: The examples.
    split: Name of the split.
    batch_size: Batch size of one worker.
    worker: Number of this worker.
    num_workers: Number of workers.

  Returns:
    Batches of image (uint8 [B, C, C, 3]), row (int64 [B], the position in
    stored order, as in `PreparedDataset.index`) and weight (float32 [B], 0 for
    padding).
  """
  total = source.prepared.num_examples(split)
  num_batches = -(-total // (batch_size * num_workers))

  # Other splits are scored once a run.
  is_often_scored = split == tfds_folder.VALIDATION
  held = source.held_images(split) if is_often_scored else None

  def load(row, record):
    return {
      'image': source.reader.evaluation(row, held.cut)
      if held
      else source.reader.evaluation(source.prepared.parse(record)['image']),
      'row': row,
      'weight': 1.0,
    }

  side = source.reader.evaluation_side
  padding = tf.data.Dataset.from_tensors(
    {
      'image': np.zeros([side, side, 3], np.uint8),
      'row': np.int64(0),
      'weight': 0.0,
    }
  ).repeat()
  return (
    (tf.data.Dataset.range(total) if held else source.prepared.records(split))
    .enumerate()
    .shard(num_workers, worker)
    .map(load, num_parallel_calls=_PARALLEL)
    .concatenate(padding)
    .batch(batch_size, drop_remainder=True)
    .take(num_batches)
    .prefetch(tf.data.AUTOTUNE)
    .with_options(_options())
  )


@contextlib.contextmanager
def convert_image_errors(source: example_order.ExampleSource) -> Iterator[None]:
  """Convert TensorFlow's error about an image into one that names the image.

  Raises:
    InputError: Something inside read an image that does not decode, or a
      damaged record file.
  """
  try:
    yield
  except (tf.errors.InvalidArgumentError, tf.errors.DataLossError):
    for split in source.prepared.splits:
      _raise_on_bad_image(source, split)
    raise


def _raise_on_bad_image(source, split):
  directory = source.prepared.directory
  for row, record in enumerate(_readable_records(source.prepared, split)):
    encoded = source.prepared.parse(record)['image']
    try:
      source.reader.evaluation(encoded)
    except tf.errors.InvalidArgumentError as error:
      name = source.prepared.index(split).image_ids[row]
      raise errors.InputError(
        f'{directory}: image {name} of split {split} does not decode '
        f'({error.message}); remove it and prepare again'
      ) from None


def _readable_records(prepared: tfds_folder.PreparedDataset, split):
  try:
    yield from prepared.records(split)
  except tf.errors.DataLossError as error:
    raise errors.InputError(
      f'{prepared.directory}: split {split} is damaged ({error.message}); '
      'prepare it again'
    ) from None


def _options():
  options = tf.data.Options()
  options.deterministic = True
  # The tuning thread can miss the end of its iterator (TensorFlow 2.21):
  # deleting the iterator can then block for as long as it existed, up to a
  # minute.
  options.autotune.enabled = False
  # Each worker reads its own part already; see `example_order.Shard`.
  options.experimental_distribute.auto_shard_policy = (
    tf.data.experimental.AutoShardPolicy.OFF
  )
  return options
