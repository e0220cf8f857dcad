"""Takes Figure 1's images out of a study's data sets."""

import os

import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import tasks
from transfusion_tf.input import prepared as prepared_lib
from transfusion_tf.paper import contents
from transfusion_tf.paper import samples
from transfusion_tf.paper import scales


def take(scale: scales.Scale, root: str, data_dir: str) -> None:
  """Saves some test images of each data set, of different labels first."""
  for dataset in scale.recipes:
    if os.path.exists(samples.path(root, dataset)):
      continue
    try:
      prepared = prepared_lib.open_dataset(data_dir, dataset)
    except errors.InputError as error:
      print(f'Figure 1: {error}')
      continue
    labels, images = _samples(prepared)
    samples.save(root, dataset, labels, images)


def _samples(prepared, split='test', side=128):
  names = _names(prepared, split)
  firsts = dict(zip(reversed(names), reversed(range(len(names))), strict=True))
  chosen = sorted(firsts.items())[: samples.NUM]
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


def _names(prepared, split):
  """What each example is called in Figure 1."""
  labels = prepared.index(split).labels
  if 'grade' in labels:
    return [f'grade {grade}' for grade in labels['grade']]
  if 'label' in labels:
    classes = prepared.features['label'].names
    return [classes[n].replace('_', ' ') for n in labels['label']]
  found = np.array(
    [labels['findings'][f] == tasks.POSITIVE for f in contents.FINDINGS]
  )
  return [
    next(
      (f for f, has in zip(contents.FINDINGS, of, strict=True) if has), 'none'
    )
    for of in found.T
  ]
