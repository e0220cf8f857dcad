"""Sample images of a study's data sets: OUTPUT_DIR/samples/DATASET.npz."""

from collections.abc import Iterable
import io
import os

import numpy as np
import pandas as pd
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.paper import scales

NUM = 6  # Images a data set.


def read(roots: Iterable[str], dataset: str) -> list[tuple[str, np.ndarray]]:
  """Return (label, image) pairs; none if they were never saved.

  Args:
    roots: Folders of the study, of which the first that has them is read.
    dataset: Name of the data set.
  """
  for root in roots:
    if storage.exists(path := _path(root, dataset)):
      with np.load(io.BytesIO(storage.read_bytes(path))) as file:
        return list(zip(file['labels'].tolist(), file['images'], strict=True))
  return []


def _path(root, dataset):
  return os.path.join(root, 'samples', f'{dataset}.npz')


def take(scale: scales.Scale, root: str, data_dir: str) -> None:
  """Save some test images of each data set, of different labels first."""
  for data in scale.datasets.values():
    if storage.exists(_path(root, data.name)):
      continue
    try:
      prepared = tfds_folder.open_dataset(data_dir, data.name)
    except errors.InputError as error:
      print(f'Figure 1: {error}')
      continue
    labels, images = _samples(prepared, data.metrics)
    with storage.atomic_write(_path(root, data.name), 'wb') as file:
      np.savez_compressed(file, labels=np.array(labels), images=images)


def _samples(prepared, metrics, split='test', side=128):
  """Return labels, and images [n, side, side, 3] uint8."""
  names = _names(prepared, split, metrics)
  firsts = dict(zip(reversed(names), reversed(range(len(names))), strict=True))
  chosen = sorted(firsts.items())[:NUM]
  rows = {row for _, row in chosen}
  images = {}
  for row, record in enumerate(prepared.records(split)):
    if row in rows:
      image = tf.io.decode_image(prepared.parse(record)['image'], channels=3)
      resized = tf.image.resize(image, (side, side), antialias=True)
      images[row] = tf.cast(resized, tf.uint8).numpy()
    if len(images) == len(rows):
      break
  return [name for name, _ in chosen], np.array([images[r] for _, r in chosen])


def _names(prepared, split, metrics):
  """Return the title of each example in Figure 1."""
  labels = prepared.index(split).labels
  if 'grade' in labels:
    return [f'grade {grade}' for grade in labels['grade']]
  if 'label' in labels:
    classes = prepared.features['label'].names
    return [classes[n].replace('_', ' ') for n in labels['label']]
  shown = [f for f in metrics if f in labels['findings']]
  positive = pd.DataFrame(labels['findings'])[shown] == tasks.POSITIVE
  return list(positive.idxmax(axis=1).where(positive.any(axis=1), 'none'))
