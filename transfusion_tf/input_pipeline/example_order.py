"""Which training examples a run sees, in which order, on which worker.

Each epoch has an order of its own, drawn from (seed, epoch). It is cut into
lanes of equal length, each with files of its own; a worker reads its lanes
only, and a global batch takes as many examples from each lane. With the number
of lanes fixed, a run sees the same batches on any number of workers. (The few
examples that do not divide among the lanes wait for another epoch.)
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools

import numpy as np
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import label_map
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import tfds_folder

# Undecoded records to draw from. A set smaller than this is shuffled
# perfectly; a larger one also has the order of its files shuffled.
_SHUFFLE_BUFFER = 16_384
_INTERLEAVED_FILES = 16
_FOREVER = np.iinfo(np.int64).max


Selection = Callable[['tf.data.Dataset'], 'tf.data.Dataset']


@dataclasses.dataclass(frozen=True)
class Source:
  """A data set and how its examples become inputs and targets.

  Attributes:
    prepared: The data set.
    task: The meaning of the network's outputs.
    data: The choice of examples, and how they become images.
    seed: Seed of the examples' order and augmentation.
    class_map: Name in the data set -> name of an output, where they differ.
  """

  prepared: tfds_folder.Prepared
  task: tasks.Task
  data: config.Data
  seed: int
  class_map: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @functools.cached_property
  def label_map(self) -> label_map.LabelMap:
    """The map from the data set's labels to the task's.

    Raises:
      InputError: The names do not match.
    """
    return label_map.match(
      self.task.kind,
      self.task.names,
      self.prepared.label_kind,
      self.prepared.label_names,
      self.prepared.directory,
      self.class_map,
    )

  def labels(self, split: str) -> dict:
    """Return the labels of a split in the task's terms: feature key -> [N]."""
    return self.label_map(self.prepared.index(split).labels)


@dataclasses.dataclass(frozen=True)
class Share:
  """The lanes that one worker reads, of `total_lanes`."""

  lanes: tuple[int, ...] = (0,)
  total_lanes: int = 1

  @classmethod
  def of_worker(
    cls, worker: int, num_workers: int, total_lanes: int = 0
  ) -> 'Share':
    """Return the lanes of `worker`; 0 lanes in all means one a worker.

    Raises:
      InputError: The lanes do not divide among the workers.
    """
    total_lanes = total_lanes or num_workers
    each = divided(total_lanes, num_workers, 'number of lanes')
    return cls(tuple(range(worker * each, (worker + 1) * each)), total_lanes)


def num_train_examples(source: Source) -> int:
  """Return the number of examples in an epoch, after `data.subset`."""
  total = source.prepared.num_examples(tfds_folder.TRAIN)
  if source.data.subset > total:
    raise errors.InputError(
      f'subset of {source.data.subset} of {total} training examples in '
      f'{source.prepared.directory}; ask for fewer'
    )
  return source.data.subset or total


def divided(count: int, parts: int, what: str) -> int:
  """Return `count / parts`; a remainder is an error about the `what`."""
  if count % parts:
    raise errors.InputError(
      f'a {what} of {count} does not divide by {parts}; choose a multiple'
    )
  return count // parts


def lane_examples(
  source: Source,
  selection: Selection | None,
  lane: 'tf.Tensor',
  total_lanes: int,
  start: int,
) -> 'tf.data.Dataset':
  """Return a lane's endless (number, undecoded example) pairs, from `start` on.

  Examples before `start` are skipped undecoded; whole epochs are not read.
  `selection` is what the function of that name made of `source`.
  """
  per_epoch = num_train_examples(source) // total_lanes
  first_epoch, done = np.array(divmod(start, per_epoch), np.int64)

  def epoch(number):
    records = _shuffled(source, selection, number, lane, total_lanes)
    already = tf.where(number == first_epoch, done, np.int64(0))
    return records.take(per_epoch).skip(already)

  epochs = tf.data.Dataset.range(first_epoch, _FOREVER)
  return epochs.flat_map(epoch).enumerate(start)


def subset_rows(index: tfds_folder.Index, count: int, seed: int) -> np.ndarray:
  """Return a bool mask [N] of the `count` examples of a subset.

  Whole patients come first, ordered by a hash, so that a smaller subset is part
  of a larger one of the same seed. The paper does not say how it drew its 5 000
  to 100 000 images (Tables 3 and 4).
  """
  patients = _hashes(index.patient_ids, seed)
  images = _hashes(index.image_ids, seed)
  chosen = np.zeros(len(index), bool)
  chosen[np.lexsort((images, patients))[:count]] = True
  return chosen


def shuffled_labels(index: tfds_folder.Index, seed: int) -> dict:
  """Return the labels of other examples: nothing can be learned from them."""
  order = np.random.default_rng(seed).permutation(len(index))
  return tf.nest.map_structure(lambda labels: labels[order], index.labels)


def selection(source: Source) -> Selection | None:
  """Return what `subset` and `shuffle_labels` do to examples, or None."""
  data = source.data
  num_train_examples(source)  # Refuses a subset larger than the set.
  if not data.subset and not data.shuffle_labels:
    return None
  index = source.prepared.index(tfds_folder.TRAIN)
  rows = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(
      index.image_ids, np.arange(len(index), dtype=np.int64)
    ),
    default_value=-1,
  )
  chosen = np.ones(len(index), bool)
  if data.subset:
    chosen = subset_rows(index, data.subset, data.subset_seed)
  labels = shuffled_labels(index, source.seed)

  def relabel(example):
    row = rows.lookup(example['image_id'])
    return example | tf.nest.map_structure(lambda x: tf.gather(x, row), labels)

  def select(examples):
    examples = examples.filter(
      lambda example: tf.gather(chosen, rows.lookup(example['image_id']))
    )
    return examples.map(relabel) if data.shuffle_labels else examples

  return select


def _hashes(names, seed):
  return tf.strings.to_hash_bucket_strong(
    names, np.iinfo(np.int64).max, key=[seed, 0]
  ).numpy()


def _shuffled(source, selection, epoch, lane, total_lanes):
  """Return a lane's examples of one epoch, in order, parsed, not decoded."""
  seed = tf.stack([np.int64(source.seed), epoch])
  prepared = source.prepared
  files = prepared.files(tfds_folder.TRAIN)
  order = tf.random.experimental.stateless_shuffle(
    tf.range(len(files)), seed=seed
  )
  lengths = tf.gather(
    np.array(prepared.file_lengths(tfds_folder.TRAIN), np.int64), order
  )
  if selection:
    # Which files hold a lane's part of a subset is not known beforehand.
    records = _read(tf.gather(files, order), tf.zeros_like(lengths), lengths)
    examples = selection(records.map(prepared.parse))
    return _shuffle(examples.shard(total_lanes, lane), seed)
  parts = _lane_parts(lengths, lane, total_lanes)
  records = _read(tf.gather(files, order), *parts)
  return _shuffle(records, seed).map(prepared.parse)


def _lane_parts(lengths, lane, total_lanes):
  """Return records to skip and take of each file for a lane's share."""
  end = tf.cumsum(lengths)
  begin = end - lengths
  share = end[-1] // total_lanes
  skip = tf.clip_by_value(lane * share - begin, 0, lengths)
  return skip, tf.clip_by_value((lane + 1) * share - begin, 0, lengths) - skip


def _read(files, skip, take):
  """Return records of several files at a time, in a fixed order."""
  parts = tf.data.Dataset.from_tensor_slices((files, skip, take))
  return parts.filter(lambda file, skip, take: take > 0).interleave(
    lambda file, skip, take: (
      tf.data.TFRecordDataset(file).skip(skip).take(take)
    ),
    cycle_length=_INTERLEAVED_FILES,
  )


def _shuffle(records, seed):
  seed = tf.random.stateless_uniform(
    [], seed, minval=None, maxval=None, dtype=tf.int64
  )
  graph = tf.compat.v1.get_default_graph()
  if graph.seed == 0:  # tf.data takes it for none, and then refuses tensors.
    graph.seed = None
  return records.shuffle(_SHUFFLE_BUFFER, seed=seed)
