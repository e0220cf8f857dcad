"""Which training examples a run sees, in which order, on which worker.

The order of each epoch is drawn from (seed, epoch). It is cut into lanes of
equal length, each a contiguous part of the files; a worker reads only the lanes
of its shard, and a global batch takes equally many examples from each lane.
With the number of lanes fixed, a run sees the same batches on any number of
workers. (The few examples that do not divide among the lanes are left out of
that epoch.)
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
from transfusion_tf.input_pipeline import image_reader
from transfusion_tf.input_pipeline import in_memory
from transfusion_tf.input_pipeline import tfds_folder

# Undecoded records. A data set smaller than this is shuffled perfectly; in a
# larger one the order of the files is shuffled as well.
_SHUFFLE_BUFFER = 16_384
_INTERLEAVED_FILES = 16
_FOREVER = np.iinfo(np.int64).max


Selection = Callable[['tf.data.Dataset'], 'tf.data.Dataset']


@dataclasses.dataclass(frozen=True)
class ExampleSource:
  """A data set and how its examples become inputs and targets.

  Attributes:
    prepared: The data set.
    task: The meaning of the network's outputs.
    data: The choice of examples, and how they become images.
    seed: Seed of the examples' order and augmentation.
    class_map: Name in the data set -> name of an output, where they differ.
    memory_share: Share of the free memory that decoded images may take.
  """

  prepared: tfds_folder.PreparedDataset
  task: tasks.Task
  data: config.Data
  seed: int
  class_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
  memory_share: float = 0.0

  @property
  def reader(self) -> image_reader.ImageReader:
    """The reader of the images."""
    return image_reader.ImageReader(self.data, self.prepared.side)

  def held_images(self, split: str) -> in_memory.Images | None:
    """Return the images of a split, or None if they are read from files."""
    return in_memory.images(self.prepared, split, self.memory_share)

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
class Shard:
  """The lanes that one worker reads.

  Attributes:
    lanes: Numbers of the lanes.
    num_lanes: Number of lanes over all workers.
  """

  lanes: tuple[int, ...] = (0,)
  num_lanes: int = 1

  @classmethod
  def for_worker(
    cls, worker: int, num_workers: int, num_lanes: int = 0
  ) -> 'Shard':
    """Return the shard of one worker; `num_lanes` 0 means one per worker.

    Raises:
      InputError: The lanes do not divide among the workers.
    """
    num_lanes = num_lanes or num_workers
    each = checked_div(num_lanes, num_workers, 'number of lanes')
    return cls(tuple(range(worker * each, (worker + 1) * each)), num_lanes)


def num_train_examples(source: ExampleSource) -> int:
  """Return the number of examples in an epoch, after `data.subset`."""
  total = source.prepared.num_examples(tfds_folder.TRAIN)
  if source.data.subset > total:
    raise errors.InputError(
      f'subset of {source.data.subset} of {total} training examples in '
      f'{source.prepared.directory}; ask for fewer'
    )
  return source.data.subset or total


def checked_div(count: int, parts: int, name: str) -> int:
  """Return `count / parts`, an exact division.

  Raises:
    InputError: It has a remainder; the message calls `count` a `name`.
  """
  if count % parts:
    raise errors.InputError(
      f'a {name} of {count} does not divide by {parts}; choose a multiple'
    )
  return count // parts


def lane_examples(
  source: ExampleSource,
  selection: Selection | None,
  lane: 'tf.Tensor',
  num_lanes: int,
  start: int,
) -> 'tf.data.Dataset':
  """Return a lane's endless (number, undecoded example) pairs from `start` on.

  Examples before `start` are skipped undecoded; whole epochs are not read.

  Args:
    source: The examples.
    selection: The result of `selection(source)`.
    lane: Number of the lane.
    num_lanes: Number of lanes over all workers.
    start: Number of the first pair.
  """
  per_epoch = num_train_examples(source) // num_lanes
  first_epoch, num_done = np.array(divmod(start, per_epoch), np.int64)

  def epoch(number):
    records = _shuffled(source, selection, number, lane, num_lanes)
    num_skipped = tf.where(number == first_epoch, num_done, np.int64(0))
    return records.take(per_epoch).skip(num_skipped)

  epochs = tf.data.Dataset.range(first_epoch, _FOREVER)
  return epochs.flat_map(epoch).enumerate(start)


def subset_rows(index: tfds_folder.Index, count: int, seed: int) -> np.ndarray:
  """Return a bool mask [N] of the `count` examples of a subset.

  Whole patients are taken, ordered by a hash, so that a smaller subset is part
  of a larger one of the same seed. The paper does not say how it drew its 5,000
  to 100,000 images (Tables 3 and 4).
  """
  patients = _hashes(index.patient_ids, seed)
  images = _hashes(index.image_ids, seed)
  chosen = np.zeros(len(index), bool)
  chosen[np.lexsort((images, patients))[:count]] = True
  return chosen


def subset_patients(index: tfds_folder.Index, seed: int) -> np.ndarray:
  """Return the images of each patient [P], in the order of `subset_rows`.

  The first n patients are the subset of as many images as they have.
  """
  _, counts = np.unique(_hashes(index.patient_ids, seed), return_counts=True)
  return counts


def shuffled_labels(index: tfds_folder.Index, seed: int) -> dict:
  """Return labels permuted over examples: a control with nothing to learn."""
  order = np.random.default_rng(seed).permutation(len(index))
  return tf.nest.map_structure(lambda labels: labels[order], index.labels)


def selection(source: ExampleSource) -> Selection | None:
  """Return what applies `data.subset` and `data.shuffle_labels`, or None."""
  data = source.data
  num_train_examples(source)  # Raises if the subset is larger than the set.
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


def _shuffled(source, selection, epoch, lane, num_lanes):
  """Return a lane's examples of one epoch, in order, parsed, not decoded."""
  seed = tf.stack([np.int64(source.seed), epoch])
  files, lengths, read, parse = _files(source)
  order = tf.random.experimental.stateless_shuffle(
    tf.range(len(files)), seed=seed
  )
  files, lengths = tf.gather(files, order), tf.gather(lengths, order)
  if selection:
    # It is not known in advance which files hold a lane's part of a subset.
    records = _interleave(read, files, tf.zeros_like(lengths), lengths)
    examples = selection(records.map(parse))
    return _shuffle(examples.shard(num_lanes, lane), seed)
  parts = _lane_parts(lengths, lane, num_lanes)
  return _shuffle(_interleave(read, files, *parts), seed).map(parse)


def _files(source):
  """Return the training files: themselves, lengths, and how they are read.

  In memory, a file is its first row, its records are rows.
  """
  prepared, held = source.prepared, source.held_images(tfds_folder.TRAIN)
  lengths = np.array(prepared.file_lengths(tfds_folder.TRAIN), np.int64)
  if held:
    return np.cumsum(lengths) - lengths, lengths, _rows, held.example
  return prepared.files(tfds_folder.TRAIN), lengths, _records, prepared.parse


def _records(file, skip, take):
  return tf.data.TFRecordDataset(file).skip(skip).take(take)


def _rows(first, skip, take):
  return tf.data.Dataset.range(first + skip, first + skip + take)


def _lane_parts(lengths, lane, num_lanes):
  """Return how many records of each file a lane skips and takes."""
  end = tf.cumsum(lengths)
  begin = end - lengths
  per_lane = end[-1] // num_lanes
  skip = tf.clip_by_value(lane * per_lane - begin, 0, lengths)
  return skip, tf.clip_by_value(
    (lane + 1) * per_lane - begin, 0, lengths
  ) - skip


def _interleave(read, files, skip, take):
  """Interleave the records of several files in a fixed order."""
  parts = tf.data.Dataset.from_tensor_slices((files, skip, take))
  return parts.filter(lambda file, skip, take: take > 0).interleave(
    read, cycle_length=_INTERLEAVED_FILES
  )


def _shuffle(records, seed):
  seed = tf.random.stateless_uniform(
    [], seed, minval=None, maxval=None, dtype=tf.int64
  )
  graph = tf.compat.v1.get_default_graph()
  if graph.seed == 0:  # To tf.data it is unset, and tensors are rejected.
    graph.seed = None
  return records.shuffle(_SHUFFLE_BUFFER, seed=seed)
