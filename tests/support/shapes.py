"""The same pictures in each of the shapes in which data sets come."""

import dataclasses
import io
import json
import pathlib
import tarfile

import numpy as np
from PIL import Image

SPLITS = {'train': 'train', 'validation': 'val', 'test': 'test'}
NAMES = ('normal', 'pneumonia')


@dataclasses.dataclass(frozen=True)
class Row:
  name: str  # Of a file.
  split: str
  label: int
  pixels: np.ndarray


def rows(
  train: int = 14, validation: int = 6, test: int = 8, color: bool = False
) -> list[Row]:
  """Pictures of 28 pixels that are unlike each other, of two classes."""
  rng = np.random.default_rng(0)
  shape = (28, 28, 3) if color else (28, 28)
  counts = {'train': train, 'validation': validation, 'test': test}
  return [
    Row(
      f'{split}_{number:04d}.png',
      split,
      number % 2,
      rng.integers(0, 256, shape).astype(np.uint8),
    )
    for split, count in counts.items()
    for number in range(count)
  ]


def table(folder: pathlib.Path, pictures: list[Row]) -> pathlib.Path:
  """A table beside files; returns the table."""
  (folder / 'images').mkdir(parents=True)
  lines = ['path,label,split']
  for row in pictures:
    Image.fromarray(row.pixels).save(folder / 'images' / row.name)
    lines.append(f'{row.name},{NAMES[row.label]},{row.split}')
  (folder / 'table.csv').write_text('\n'.join(lines) + '\n')
  return folder / 'table.csv'


def classes(folder: pathlib.Path, pictures: list[Row]) -> pathlib.Path:
  """A folder of a folder for each split, of a folder for each class."""
  for row in pictures:
    path = folder / SPLITS[row.split] / NAMES[row.label] / row.name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(row.pixels).save(path)
  return folder


def tar(folder: pathlib.Path, pictures: list[Row]) -> pathlib.Path:
  """An archive as WebDataset's writer makes it."""
  folder.mkdir(parents=True)
  with tarfile.open(folder / 'pictures.tar', 'w') as archive:
    for row in pictures:
      stem = row.name.removesuffix('.png')
      add(archive, f'{stem}.cls', NAMES[row.label].encode())
      add(archive, f'{stem}.json', json.dumps({'split': row.split}).encode())
      add(archive, row.name, png(row.pixels))
  return folder / 'pictures.tar'


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
  """Add a file to an archive."""
  info = tarfile.TarInfo(name)
  info.size = len(data)
  archive.addfile(info, io.BytesIO(data))


def hugging_face(pictures: list[Row]):
  """A `DatasetDict` of pictures as bytes, with names of files and classes."""
  import datasets

  features = datasets.Features(
    {
      'image': datasets.Image(),
      'label': datasets.ClassLabel(names=list(NAMES)),
    }
  )
  return datasets.DatasetDict(
    {
      split: datasets.Dataset.from_dict(
        {
          'image': [
            {'bytes': png(row.pixels), 'path': row.name}
            for row in pictures
            if row.split == split
          ],
          'label': [row.label for row in pictures if row.split == split],
        },
        features=features,
      )
      for split in {row.split: None for row in pictures}
    }
  )


def image_folder(folder: pathlib.Path, pictures: list[Row]) -> pathlib.Path:
  """Files of images with a file of metadata in the folder of each split."""
  for row in pictures:
    path = folder / SPLITS[row.split] / row.name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(row.pixels).save(path)
    with open(path.parent / 'metadata.jsonl', 'a') as file:
      line = {'file_name': row.name, 'label': NAMES[row.label], 'box': [1, 2]}
      file.write(json.dumps(line) + '\n')
  return folder


def parquet(folder: pathlib.Path, pictures: list[Row]) -> pathlib.Path:
  """Shards as a repository of Hugging Face's hub has them."""
  (folder / 'data').mkdir(parents=True)
  for split, rows_ in hugging_face(pictures).items():
    for shard in range(2):
      path = folder / 'data' / f'{split}-{shard:05d}-of-00002.parquet'
      rows_.shard(2, shard, contiguous=True).to_parquet(path)
  return folder


def saved_to_disk(folder: pathlib.Path, pictures: list[Row]) -> pathlib.Path:
  """What `save_to_disk` writes."""
  hugging_face(pictures).save_to_disk(folder)
  return folder


def tfds_set(folder: pathlib.Path, pictures: list[Row]) -> pathlib.Path:
  """What TFDS prepares."""
  import tensorflow_datasets as tfds

  splits = dict.fromkeys(row.split for row in pictures)
  tfds.dataset_builders.store_as_tfds_dataset(
    name='shapes',
    version='1.0.0',
    features=tfds.features.FeaturesDict(
      {
        'image': tfds.features.Image(
          shape=(*pictures[0].pixels.shape[:2], 1), encoding_format='png'
        ),
        'file_name': tfds.features.Text(),
        'label': tfds.features.ClassLabel(names=NAMES),
      }
    ),
    split_datasets={
      split: [
        (
          row.name,
          {
            'image': row.pixels[..., None],
            'file_name': row.name,
            'label': row.label,
          },
        )
        for row in pictures
        if row.split == split
      ]
      for split in splits
    },
    data_dir=folder,
  )
  return folder / 'shapes'


def png(pixels: np.ndarray) -> bytes:
  """The bytes of a file."""
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, 'PNG')
  return buffer.getvalue()


def arrays(pictures: list[Row]) -> dict[str, np.ndarray]:
  """What a file of MedMNIST holds."""
  held = {}
  for split, short in SPLITS.items():
    own = [row for row in pictures if row.split == split]
    if own:
      held[f'{short}_images'] = np.stack([row.pixels for row in own])
      labels = [[row.label] for row in own]
      held[f'{short}_labels'] = np.array(labels, np.uint8)
  return held


def medmnist(
  folder: pathlib.Path, pictures: list[Row], save=np.savez
) -> pathlib.Path:
  """A file as MedMNIST publishes it."""
  folder.mkdir(parents=True)
  save(folder / 'pneumoniamnist.npz', **arrays(pictures))
  return folder / 'pneumoniamnist.npz'
