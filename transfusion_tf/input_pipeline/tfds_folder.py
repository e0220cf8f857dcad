"""Prepared data sets: TFDS folders, read without the code that built them.

`bin/prepare_data.py` writes them, to any machine or bucket. A data set
describes itself by the keys of its features:

  image       encoded JPEG or PNG
  image_id    text, unique within the set (optional)
  patient_id  text (optional; an image is its own patient without it)
  label | grade | findings   see `tasks`
"""

import dataclasses
import functools
import hashlib
import io
import json
import os
import re

import numpy as np
import pandas as pd
import tensorflow as tf
import tensorflow_datasets as tfds

from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf.input_pipeline import tfds_files

TRAIN, VALIDATION, TEST = 'train', 'validation', 'test'
_NUM_ASKED = 64  # Examples that tell whether a split has labels.
_LABEL_KEYS = ('grade', 'findings', 'label')


@dataclasses.dataclass(frozen=True)
class Index:
  """The ids and labels of a split's N examples, without the images.

  Attributes:
    image_ids: [N] str, in the order in which the split is stored.
    patient_ids: [N] str.
    labels: Feature key -> [N] int64, or for `findings` a dict of those.
  """

  image_ids: np.ndarray
  patient_ids: np.ndarray
  labels: dict

  def __len__(self) -> int:
    return len(self.image_ids)


class PreparedDataset:
  """A data set that was prepared for training."""

  def __init__(self, directory: str | os.PathLike):
    """Open the TFDS folder that contains `dataset_info.json`."""
    self.directory = os.fspath(directory)
    self._builder = tfds_files.open_folder(self.directory)
    self.features = self._builder.info.features
    # Reads a split once, without the images.
    self.index = functools.cache(self._read_index)

  @property
  def name(self) -> str:
    """The name in TFDS, whatever the folder is called."""
    return self._builder.info.name

  @property
  def config(self) -> str:
    """The config, e.g. `kaggle_587`; may be empty."""
    return self._builder.info.config_name or ''

  @property
  def version(self) -> str:
    """The version, e.g. `1.0.0`."""
    return str(self._builder.info.version)

  @property
  def side(self) -> int:
    """Side of the squares as which all images are stored, or 0.

    prepare_data.py cuts some sets into squares and names them after their side;
    of a table of images it is recorded.
    """
    if recorded := self.summary.get('square'):
      return int(recorded['side'])
    named = datasets.DATASETS.get(self.name)
    side = re.fullmatch(r'\w+_(\d+)', self.config)
    return int(side[1]) if side and named and named.square else 0

  @property
  def square(self) -> str:
    """How pictures became squares, of `datasets.NamedDataset.square`; or ''."""
    if recorded := self.summary.get('square'):
      return recorded['kind']
    return datasets.DATASETS[self.name].square if self.side else ''

  @property
  def summary(self) -> dict:
    """The counts of the preparation, if prepare_data.py built the set."""
    return dict(self._builder.info.metadata or {})

  @property
  def label_kind(self) -> str:
    """`label`, `grade` or `findings`; empty if the set has no labels."""
    return next((key for key in _LABEL_KEYS if key in self.features), '')

  @functools.cached_property
  def label_names(self) -> tuple[str, ...]:
    """The values of the labels, in the order of the data set.

    Findings are in the order of the table that they come from. Older data sets
    do not record it and have them in alphabetical order: TFDS keeps none.
    """
    if not self.label_kind:
      return ()
    labels = self.features[self.label_kind]
    if self.label_kind != 'findings':
      return tuple(labels.names)
    names = tuple(self.summary.get('findings', ()))
    return names if set(names) == set(labels) else tuple(sorted(labels))

  @property
  def identity(self) -> dict[str, str]:
    """What identifies the data set, as recorded beside results."""
    return {
      'dataset': '/'.join(filter(None, [self.name, self.config])),
      'directory': self.directory,
      'fingerprint': self.fingerprint,
    }

  @functools.cached_property
  def subgroups(self) -> pd.DataFrame:
    """The group of each image by each column, with image ids as index.

    Without columns if prepare_data.py was not asked for any.
    """
    path = os.path.join(self.directory, datasets.SUBGROUPS)
    if not storage.exists(path):
      return pd.DataFrame()
    try:
      text = io.BytesIO(storage.read_bytes(path))
      table = pd.read_csv(text, dtype=str, keep_default_na=False)
      return table.set_index('image_id')
    except (OSError, ValueError, KeyError) as error:
      raise errors.DamagedFileError(
        path, storage.reason(error), datasets.REMEDY
      ) from None

  @functools.cached_property
  def fingerprint(self) -> str:
    """A hash that depends on the data, not on their location or order.

    It is of stored pictures, labels, patients and splits, not of names, where
    prepare_data.py has recorded it.
    """
    pixels = self.summary.get('pixels_sha256')
    if not pixels:
      return self._by_name
    return _hashed([self.label_kind, sorted(self.label_names), pixels])

  @property
  def known_as(self) -> tuple[str, ...]:
    """The fingerprint, and the one that an earlier version gave the set."""
    return tuple(dict.fromkeys([self.fingerprint, self._by_name]))

  @functools.cached_property
  def _by_name(self) -> str:
    """The fingerprint of earlier versions, and of sets of others.

    Data sets that prepare_data.py did not build have no hash of their images:
    it covers only their names and counts.
    """
    identity = [
      self.name,
      self.config,
      {split: self.num_examples(split) for split in self.splits},
      self.label_kind,
      sorted(self.label_names),
      self.summary.get('records_sha256', ''),
    ]
    return _hashed(identity)

  @property
  def splits(self) -> tuple[str, ...]:
    """The names of the splits."""
    return tuple(self._builder.info.splits)

  @functools.cached_property
  def scored_split(self) -> str:
    """The split that results are of: `test`, or else `validation`.

    The test labels of some sets of others are hidden: they are -1.
    """
    if TEST not in self.splits or not self.num_examples(TEST):
      return VALIDATION
    return VALIDATION if self._hides_labels(TEST) else TEST

  def _hides_labels(self, split):
    if not self.label_kind or 'records_sha256' in self.summary:
      return False
    try:
      labels = [
        int(label)
        for record in self.records(split).take(_NUM_ASKED)
        for label in tf.nest.flatten(self.parse(record)[self.label_kind])
      ]
    except tf.errors.OpError:  # Who reads the split will say so.
      return False
    return set(labels) == {-1}

  def num_examples(self, split: str) -> int:
    """Return the number of examples in a split."""
    return self._split(split).num_examples

  def files(self, split: str) -> list[str]:
    """Return the split's record files, in stored order."""
    return [os.fspath(path) for path in self._split(split).filepaths]

  def file_lengths(self, split: str) -> list[int]:
    """Return the number of records in each of `files`."""
    return list(self._split(split).shard_lengths)

  def num_stored_bytes(self, split: str) -> int:
    """Return the size of the split's record files."""
    return self._split(split).num_bytes

  def parse(self, record: 'tf.Tensor') -> dict:
    """Parse a serialized record into features; the image stays encoded."""
    example = self.features.deserialize_example(
      record, decoders={'image': tfds.decode.SkipDecoding()}
    )
    if 'file_name' in example:  # Its name in TFDS' imagenet2012.
      example['image_id'] = example.pop('file_name')
    return example

  def records(self, split: str) -> 'tf.data.Dataset':
    """Return the split's serialized records, in stored order."""
    return tf.data.TFRecordDataset(self.files(split))

  @tf.autograph.experimental.do_not_convert  # It would take a second.
  def _read_index(self, split: str) -> Index:
    def describe(record):
      example = self.parse(record)
      return {k: v for k, v in example.items() if k != 'image'}

    try:
      rows = list(self.records(split).map(describe).batch(4096))
    except tf.errors.OpError as error:
      if storage.is_lost_connection(error):
        raise
      raise errors.InputError(
        f'{self.directory}: split {split} is damaged '
        f'({storage.reason(error)}); {datasets.REMEDY}'
      ) from None
    count = self.num_examples(split)
    columns = (
      tf.nest.map_structure(
        lambda *parts: np.concatenate([p.numpy() for p in parts]), *rows
      )
      if rows
      else {}
    )
    ids = _text(columns.get('image_id', columns.get('file_name')), split, count)
    if len(ids) != count:
      raise errors.InputError(
        f'{self.directory}: split {split} holds {len(ids)} examples, its '
        f'dataset_info.json says {count}; prepare it again'
      )
    return Index(
      image_ids=ids,
      patient_ids=_text(columns.get('patient_id', ids), split, count),
      labels={k: columns[k] for k in _LABEL_KEYS if k in columns},
    )

  def _split(self, split):
    if split not in self._builder.info.splits:
      raise errors.unknown(f'split of {self.directory}', split, self.splits)
    return self._builder.info.splits[split]


def open_dataset(data_dir: str, dataset: str) -> PreparedDataset:
  """Open `DATA_DIR/DATASET[/CONFIG][/VERSION]`, by default the newest version.

  Raises:
    InputError: It does not exist, or there are several configs.
  """
  root = tf.io.gfile.join(data_dir, dataset)
  directories = sorted(map(os.path.dirname, datasets.info_files(root)))
  if not directories:
    kind = dataset.split('/')[0]
    if kind not in datasets.DATASETS:
      kind = f'image_table --name={kind}'
    raise errors.InputError(
      f'{root}: no prepared data set; make it with: python '
      f'bin/prepare_data.py --dataset={kind} --data_dir={data_dir} '
      '--manual_dir=RAW'
    )
  configs = {os.path.dirname(path) for path in directories}
  if len(configs) > 1:
    names = [os.path.relpath(path, data_dir) for path in sorted(configs)]
    raise errors.InputError(
      f'{root}: several configs; name one: --dataset={" or ".join(names)}'
    )
  return PreparedDataset(max(directories, key=_version))


def _hashed(identity):
  text = json.dumps(identity, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def _version(path):
  name = os.path.basename(path)
  parts = name.split('.')
  return tuple(int(p) if p.isdigit() else -1 for p in parts)


def _text(values, split, count):
  if values is None:
    return np.array([f'{split}-{row}' for row in range(count)])
  return np.array([tf.compat.as_str(v) for v in values])
