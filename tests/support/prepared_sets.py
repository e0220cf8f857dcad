"""Prepared data sets for tests, written by TFDS' own writer."""

import numpy as np
import tensorflow_datasets as tfds

from transfusion_tf import config
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import tfds_folder

GRADES = tfds.features.ClassLabel(names=list('01234'))
SIZE = 32


def write(data_dir, name, label, splits, per_shard=16):
  """Writes DATA_DIR/NAME/1.0.0.

  Args:
    data_dir: Where prepared data sets lie.
    name: Of the set.
    label: {feature key: feature}.
    splits: {split: list of examples}; an image is an array or encoded bytes.
    per_shard: Examples in a record file.
  """
  features = tfds.features.FeaturesDict(
    {
      'image': tfds.features.Image(
        shape=(None, None, 3), encoding_format='jpeg'
      ),
      'image_id': tfds.features.Text(),
      'patient_id': tfds.features.Text(),
      **label,
    }
  )
  directory = data_dir / name / '1.0.0'
  directory.mkdir(parents=True)
  identity = tfds.core.dataset_info.DatasetIdentity(
    name, tfds.core.Version('1.0.0'), str(directory), module_name=__name__
  )
  writer = tfds.core.SequentialWriter(
    tfds.core.DatasetInfo(builder=identity, features=features), per_shard
  )
  writer.initialize_splits(list(splits))
  for split, examples in splits.items():
    writer.add_examples({split: examples})
  writer.close_all()


def spots(count, seed, patient_images=2):
  """Gray noise with `2 * grade` red spots: learnable in a few steps."""
  rng = np.random.default_rng(seed)
  for n in range(count):
    grade = int(rng.integers(5))
    image = rng.integers(80, 140, (SIZE, SIZE, 3)).astype(np.uint8)
    for y, x in rng.integers(3, SIZE - 3, (2 * grade, 2)):
      image[y - 2 : y + 2, x - 2 : x + 2] = (250, 20, 20)
    yield {
      'image': image,
      'image_id': f'{seed}_{n:04d}',
      'patient_id': f'{seed}_{n // patient_images}',
      'grade': grade,
    }


def write_spots(data_dir, name='retina', train=96, validation=33, test=35):
  """A small stand-in for RETINA, with odd split sizes."""
  sizes = {'train': train, 'validation': validation, 'test': test}
  write(
    data_dir,
    name,
    {'grade': GRADES},
    {
      split: list(spots(count, seed))
      for seed, (split, count) in enumerate(sizes.items())
    },
  )


def experiment(data_dir, run=None, **changes):
  """A run of seconds on `write_spots`; `changes` as a__b for a.b."""
  return config.override(
    config.DEMO_RETINA,
    {
      'data.image_size': SIZE,
      'train.batch_size': 8,
      'train.train_steps': 6,
      'train.eval_every': 3,
      'runtime.data_dir': str(data_dir),
      'runtime.eval_batch_size': 8,
      'runtime.pictures': False,  # They cost a second a run.
    }
    | {name.replace('__', '.'): value for name, value in changes.items()},
  )


def source(data_dir, name='retina', seed=0, **changes):
  """The input of `experiment`."""
  data = experiment(data_dir, **changes).data
  opened = tfds_folder.open_dataset(str(data_dir), name)
  task = tasks.make(opened.label_kind, opened.label_names, data)
  return example_order.ExampleSource(opened, task, data, seed)
