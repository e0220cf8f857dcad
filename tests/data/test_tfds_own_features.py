"""TFDS's own kinds of features, and its own sets, by `--data=tfds:`.

A set is written by TFDS with the features that its own builder states; nothing
is downloaded.
"""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered
from tensorflow_datasets.core.utils import gcs_utils

from data import images
from data.chexpert import layout as chexpert
from data.image_table import given as given_lib
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from transfusion_tf.input_pipeline import tfds_folder

_SIDE = 24
_STATES = ('uncertain', 'positive', 'negative', 'unmentioned')
_COUNTS = {'train': 12, 'validation': 6, 'test': 6}


def _pixels(channels, dtype=np.uint8, count=24):
  """Pictures unlike each other, of which a JPEG loses little."""
  rng = np.random.default_rng(channels)
  most = np.iinfo(dtype).max
  coarse = rng.integers(0, most, (count, 3, 3, channels))
  return coarse.repeat(8, 1).repeat(8, 2).astype(dtype)


def _store(folder, name, features, splits, version='1.0.0', config=None):
  tfds.dataset_builders.store_as_tfds_dataset(
    name=name,
    version=version,
    config=config,
    features=features,
    split_datasets={
      split: list(enumerate(rows)) for split, rows in splits.items()
    },
    data_dir=folder,
  )
  return folder / name


def _given(path):
  given = given_lib.parse(f'tfds:{path}')
  assert given.kind == 'tfds'
  return given


def _read(path, **columns):
  return layout.read(_given(path).read(layout.Columns(**columns)))


def _as_tfds_reads(path, splits):
  """The rows as TFDS itself reads them, in stored order."""
  (folder,) = {info.parent for info in path.rglob('features.json')}
  builder = tfds.builder_from_directory(folder)
  return [
    row
    for split in splits
    for row in tfds.as_numpy(
      builder.as_dataset(split=split, shuffle_files=False)
    )
  ]


def _picture(record):
  return np.asarray(images.load(images.read(record.path)))


def _expected(values):
  """What preparing makes of [H, W, C]."""
  if values.dtype == np.uint16 and values.shape[-1] in (1, 2):
    gray = values[..., 0].astype(float)
    low, high = gray.min(), gray.max()
    return np.round((gray - low) * (255 / (high - low)))
  if values.dtype == np.uint16:
    values = values >> 8
  return values[..., 0] if values.shape[-1] < 3 else values[..., :3]


@pytest.mark.parametrize(
  ('encoding', 'channels', 'dtype'),
  [
    ('png', 1, np.uint8),
    ('png', 3, np.uint8),
    ('png', 4, np.uint8),
    ('png', 1, np.uint16),
    ('png', 3, np.uint16),
    ('jpeg', 1, np.uint8),
    ('jpeg', 3, np.uint8),
  ],
)
def test_pictures_of_every_encoding_are_read(
  encoding, channels, dtype, tmp_path
):
  pixels = _pixels(channels, dtype)
  features = tfds.features.FeaturesDict(
    {
      'image': tfds.features.Image(
        shape=(_SIDE, _SIDE, channels), dtype=dtype, encoding_format=encoding
      ),
      'label': tfds.features.ClassLabel(names=['b', 'a']),
    }
  )
  rows = [{'image': p, 'label': n % 2} for n, p in enumerate(pixels)]
  path = _store(tmp_path, 'pictures', features, {'train': rows})
  found = _read(path)
  assert found.names == ('b', 'a')
  assert len(found.dataset.records) == len(pixels)
  stored = _as_tfds_reads(path, ['train'])
  for row, record in zip(stored, found.dataset.records, strict=True):
    expected = _expected(row['image'])
    difference = np.abs(_picture(record).astype(float) - expected)
    assert difference.mean() <= (1 if encoding == 'jpeg' else 0)
    assert record.labels == {'label': 'ba'[row['label']]}


def _of_kind(kind):
  """The feature of labels, and the values of 24 rows."""
  if kind == 'classes':
    return tfds.features.ClassLabel(names=['x', 'y']), [
      n % 2 for n in range(24)
    ]
  if kind == 'several classes':
    several = tfds.features.Sequence(tfds.features.ClassLabel(names=['x', 'y']))
    return several, [[[], [0], [1], [0, 1]][n % 4] for n in range(24)]
  return tfds.features.Text(), ['xy'[n % 2] for n in range(24)]


@pytest.mark.parametrize(
  ('kind', 'splits', 'is_ready'),
  [
    ('classes', ('train', 'validation', 'test'), True),
    ('classes', ('train', 'test'), False),
    ('classes', ('train',), False),
    ('several classes', ('train', 'validation', 'test'), False),
  ],
)
def test_labels_have_names_and_a_set_that_is_complete_is_used_in_place(
  kind, splits, is_ready, tmp_path
):
  feature, labels = _of_kind(kind)
  features = tfds.features.FeaturesDict(
    {
      'image': tfds.features.Image(shape=(_SIDE, _SIDE, 1)),
      'id': tfds.features.Text(),
      'label': feature,
    }
  )
  rows = [
    {'image': p, 'id': f'k{n}', 'label': label}
    for n, (p, label) in enumerate(zip(_pixels(1), labels, strict=True))
  ]
  stored = _cut(rows, splits)
  path = _store(tmp_path, 'kinds', features, stored)
  assert (_given(path).ready is not None) == is_ready
  found = _read(path)
  by_id = {record.image_id: record for record in found.dataset.records}
  assert set(by_id) == {row['id'] for part in stored.values() for row in part}
  for split, part in stored.items():
    for row in part:
      record = by_id[row['id']]
      held = np.atleast_1d(np.array(row['label'], int))
      assert record.split == split
      if kind == 'classes':
        assert record.labels == {'label': 'xy'[held[0]]}
      else:
        assert record.classes() == ['xy'[number] for number in held]


def test_a_text_is_no_class_and_that_is_one_line(tmp_path):
  feature, labels = _of_kind('text')
  features = tfds.features.FeaturesDict(
    {'image': tfds.features.Image(shape=(_SIDE, _SIDE, 1)), 'label': feature}
  )
  rows = [
    {'image': p, 'label': label}
    for p, label in zip(_pixels(1), labels, strict=True)
  ]
  path = _store(tmp_path, 'texts', features, _cut(rows, tuple(_COUNTS)))
  assert _given(path).ready is None
  with pytest.raises(ValueError, match='which feature is learned'):
    _read(path)


def _cut(rows, splits):
  """Rows in splits of the usual sizes."""
  rows = iter(rows)
  return {s: [next(rows) for _ in range(_COUNTS[s])] for s in splits}


# The builders of TFDS, which are imported, and so registered, once.
_REGISTRY: dict[str, type] = {}

# Name in TFDS -> its splits, the kind of its labels, whether it needs no copy.
_OWN = {
  'diabetic_retinopathy_detection/original': (
    ('sample', 'train', 'validation', 'test'),
    'grade',
    False,
  ),
  'chexpert': (('train', 'validation'), 'findings', False),
  'patch_camelyon': (('train', 'validation', 'test'), 'label', True),
  'colorectal_histology': (('train',), 'label', False),
  'malaria': (('train',), 'label', False),
  'cifar10': (('train', 'test'), 'label', False),
  'imagenette/160px-v2': (('train', 'validation'), 'label', False),
  'deep_weeds': (('train',), 'label', False),
}


def _value(feature, name, number):
  """A value of one of the features that TFDS's sets of pictures have."""
  if isinstance(feature, tfds.features.Image):
    height, width, channels = feature.shape
    coarse = np.random.default_rng(number).integers(0, 256, (3, 3, channels))
    side = -(-(height or _SIDE) // 3)
    pixels = coarse.repeat(side, 0).repeat(side, 1).astype(np.uint8)
    return pixels[: height or _SIDE, : width or _SIDE]
  if isinstance(feature, tfds.features.Text):
    return name
  if isinstance(feature, tfds.features.Sequence):
    return [(number + k) % 4 for k in range(len(chexpert.OBSERVATIONS))]
  return number % feature.num_classes


@pytest.fixture
def own_set(tmp_path, monkeypatch):
  """A function: name of a set of TFDS -> its builder's features, its folder."""
  # Its builders would ask Google's bucket.
  monkeypatch.setattr(gcs_utils, '_is_gcs_disabled', True)
  # Ours are not among them: our chexpert would be in the way of theirs.
  for title, builder_class in registered._DATASET_REGISTRY.items():
    if builder_class.__module__.startswith('tensorflow_datasets.'):
      _REGISTRY[title] = builder_class
  monkeypatch.setattr(registered, '_DATASET_REGISTRY', _REGISTRY)
  # Where it was, their import has ended half-way.
  registered._import_legacy_builders.cache_clear()

  def write(name):
    splits, *_ = _OWN[name]
    builder = tfds.builder(name, data_dir=tmp_path / 'none', try_gcs=False)
    features, numbers = builder.info.features, iter(range(1000))

    def row(split):
      number = next(numbers)
      called = f'{number // 2}_{("left", "right")[number % 2]}'
      if name == 'chexpert':
        called = f'CheXpert-v1.0-small/{split}/patient{number:05d}/study1/v.jpg'
      return {n: _value(f, called, number) for n, f in features.items()}

    stored = {
      split: [row(split) for _ in range(2 * _COUNTS.get(split, 1))]
      for split in splits
    }
    title, _, config = name.partition('/')
    version, config = str(builder.version), config or None
    _store(tmp_path, title, features, stored, version, config)
    return stored, tmp_path / title

  return write


@pytest.mark.parametrize('name', _OWN)
def test_tfds_own_sets_are_read_by_their_own_features(name, own_set):
  stored, path = own_set(name)
  _, kind, is_ready = _OWN[name]
  given = _given(path)
  assert (given.ready is not None) == is_ready
  found = _read(path)
  assert found.kind == kind
  learned = {s: rows for s, rows in stored.items() if s != 'sample'}
  records = found.dataset.records
  assert len(records) == sum(map(len, learned.values()))
  counts = {s: sum(r.split == s for r in records) for s in learned}
  assert counts == {s: len(rows) for s, rows in learned.items()}
  rows = _as_tfds_reads(path, list(dict.fromkeys(r.split for r in records)))
  for record, row in zip(records, rows, strict=True):
    difference = np.abs(_picture(record).astype(float) - row['image'])
    assert difference.mean() < 2  # Decoders of JPEG differ.
    if kind == 'findings':
      assert tuple(record.labels['findings']) == chexpert.OBSERVATIONS
      states = record.labels['findings'].values()
      assert [_STATES.index(state) for state in states] == list(row['label'])
      assert record.patient_id in row['name'].decode()
    else:
      assert found.names.index(record.labels[kind]) == row['label']


@pytest.mark.parametrize('name', ['cifar10', 'patch_camelyon'])
def test_a_set_is_prepared_or_opened_where_it_is(name, own_set, tmp_path):
  stored, path = own_set(name)
  given = _given(path)
  data_dir, title = given.ready or (str(tmp_path / 'data'), given.name)
  if not given.ready:
    builder = image_table_dataset_builder.Builder(
      name=title, table=_read(path), data_dir=data_dir
    )
    builder.num_processes = 1
    builder.build(builder.check(given.root))
  opened = tfds_folder.open_dataset(data_dir, title)
  assert set(opened.splits) == {'train', 'validation', 'test'}
  assert len(opened.label_names) == {'cifar10': 10, 'patch_camelyon': 2}[name]
  total = sum(opened.num_examples(split) for split in opened.splits)
  assert total == sum(map(len, stored.values()))
