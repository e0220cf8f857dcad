"""Sets of small pictures, written as the programs of each shape write them."""

from collections.abc import Iterator
import io
import os
import tarfile

import numpy as np
from PIL import Image

SIDE, NAMES = 28, ('normal', 'pneumonia')
_POOL = 4096  # Pictures; rows beyond have them again.
_BATCH = 10_000  # Rows of a batch, and of a row group.


def pictures() -> np.ndarray:
  """Return what is read again and again, uint8 [N, SIDE, SIDE]."""
  rng = np.random.default_rng(0)
  coarse = rng.integers(0, 256, (_POOL, SIDE // 4, SIDE // 4), np.uint8)
  fine = rng.integers(0, 16, (_POOL, SIDE, SIDE), np.uint8)
  return coarse.repeat(4, 1).repeat(4, 2) // 2 + fine


def medmnist(folder: str, rows: int) -> str:
  """Write a file as MedMNIST publishes it; return its path."""
  path = os.path.join(folder, 'pneumoniamnist.npz')
  values = pictures()
  images = np.empty((rows, SIDE, SIDE), np.uint8)
  for start in range(0, rows, _POOL):
    images[start : start + _POOL] = values[: rows - start]
  labels = (np.arange(rows) % len(NAMES)).astype(np.uint8)[:, None]
  np.savez(path, train_images=images, train_labels=labels)
  return path


def parquet(folder: str, rows: int) -> str:
  """Write a file as Hugging Face's `datasets` does; return its path."""
  from pyarrow import parquet as parquet_lib

  path = os.path.join(folder, 'train-00000-of-00001.parquet')
  with parquet_lib.ParquetWriter(path, _features().arrow_schema) as writer:
    for batch in _batches(rows):
      writer.write_table(batch)
  return path


def saved_to_disk(folder: str, rows: int) -> str:
  """Write a folder as `save_to_disk` does; return its path."""
  import datasets

  datasets.disable_progress_bars()
  path = os.path.join(folder, 'saved')
  held = datasets.Dataset.from_parquet(
    parquet(folder, rows), cache_dir=os.path.join(folder, 'cache')
  )
  datasets.DatasetDict({'train': held}).save_to_disk(path)
  return path


def tar(folder: str, rows: int) -> str:
  """Write an archive as WebDataset's writer does; return its path."""
  path = os.path.join(folder, 'train-0000.tar')
  with tarfile.open(path, 'w') as archive:
    for number, picture in enumerate(_files(rows)):
      label = NAMES[number % len(NAMES)].encode()
      for ending, data in (('cls', label), ('png', picture)):
        info = tarfile.TarInfo(f'{number:07d}.{ending}')
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
  return path


def tfds_set(folder: str, rows: int) -> str:
  """Write a set of TensorFlow Datasets; return its folder."""
  import tensorflow as tf
  import tensorflow_datasets as tfds

  features = tfds.features.FeaturesDict(
    {
      'image': tfds.features.Image(
        shape=(SIDE, SIDE, 1), encoding_format='png'
      ),
      'label': tfds.features.ClassLabel(names=NAMES),
    }
  )
  path = os.path.join(folder, 'small', '1.0.0')
  os.makedirs(path)
  file = os.path.join(path, 'small-train.tfrecord-00000-of-00001')
  with tf.io.TFRecordWriter(file) as writer:
    for number, picture in enumerate(_files(rows)):
      row = {'image': picture, 'label': number % len(NAMES)}
      writer.write(features.serialize_example(row))
  split = tfds.core.SplitInfo(
    name='train',
    shard_lengths=[rows],
    num_bytes=os.path.getsize(file),
    filename_template=tfds.core.ShardedFileTemplate(
      dataset_name='small',
      data_dir=path,
      split='train',
      filetype_suffix='tfrecord',
    ),
  )
  tfds.folder_dataset.write_metadata(
    data_dir=path, features=features, split_infos=[split], version='1.0.0'
  )
  return path


def _files(rows) -> Iterator[bytes]:
  """Yield pictures as PNG."""
  held = []
  for values in pictures():
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, 'PNG')
    held.append(buffer.getvalue())
  for number in range(rows):
    yield held[number % _POOL]


def _features():
  import datasets

  return datasets.Features(
    {
      'image': datasets.Image(),
      'label': datasets.ClassLabel(names=list(NAMES)),
    }
  )


def _batches(rows):
  """Yield `pyarrow.Table` for some rows after the other."""
  import pyarrow as pa

  files = _files(rows)
  for start in range(0, rows, _BATCH):
    numbers = range(start, min(start + _BATCH, rows))
    images = [
      {'bytes': next(files), 'path': f'{number:07d}.png'} for number in numbers
    ]
    labels = [number % len(NAMES) for number in numbers]
    yield pa.table({'image': images, 'label': labels}, _features().arrow_schema)
