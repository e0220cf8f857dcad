"""CPU seconds from the start of a process to the end of its first step.

Ours is train.py, which opens the data, builds and initializes the network,
keeps a record of it and saves the first checkpoint. Bare is what a script does
that knows its files and its network.
"""

from collections.abc import Iterator
import pathlib
import statistics
import subprocess
import sys
import tempfile

_MODELS = ('cbr_tiny', 'resnet50')
_REPEATS = 3
_SIDE, _BATCH, _GRADES = 64, 8, 5

_OURS = """
import os, time
from transfusion_tf import startup
startup.import_tensorflow()
from transfusion_tf.train import step
call = step.TrainStep.__call__

def end_after(train_step, *args, **kwargs):
  call.__get__(train_step, step.TrainStep)(*args, **kwargs)
  print(time.process_time(), flush=True)
  os._exit(0)

step.TrainStep.__call__ = end_after
from transfusion_tf.cli import train
train.run()
"""

_BARE = """
import os, sys, time
import tensorflow as tf
import keras
from transfusion_tf import models
name, pattern, side, batch, grades = sys.argv[1:]
side, batch, grades = int(side), int(batch), int(grades)
features = {
  'image': tf.io.FixedLenFeature([], tf.string),
  'grade': tf.io.FixedLenFeature([], tf.int64),
}

def load(record):
  example = tf.io.parse_single_example(record, features)
  image = tf.io.decode_jpeg(example['image'], channels=3)
  image = tf.image.resize(image, [side, side]) / 255
  image = tf.image.random_flip_left_right(image)
  image = tf.image.random_hue(image, 0.025)
  image = tf.image.random_contrast(image, 1, 1.77)
  return image, tf.one_hot(example['grade'], grades)

files = tf.data.Dataset.list_files(pattern)
batches = (
  files.interleave(tf.data.TFRecordDataset).shuffle(1000)
  .repeat().map(load, num_parallel_calls=tf.data.AUTOTUNE)
  .batch(batch).prefetch(tf.data.AUTOTUNE)
)
model = models.build(name, grades, (side, side, 3))
model.compile(
  keras.optimizers.Adam(0.001),
  keras.losses.BinaryCrossentropy(from_logits=True),
)
model.fit(batches, steps_per_epoch=1, verbose=0)
print(time.process_time(), flush=True)
os._exit(0)
"""


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    _prepare(root)
    for model in _MODELS:
      seconds: dict[str, list[float]] = {'ours': [], 'a bare Keras script': []}
      for repeat in range(_REPEATS):
        run_dir = root / f'{model}_{repeat}'
        seconds['ours'].append(_ours(root, run_dir, model))
        seconds['a bare Keras script'].append(_bare(root, model))
      ours, bare = map(statistics.median, seconds.values())
      for name, figure in zip(seconds, (ours, bare), strict=True):
        yield f'{model}, to the first step, {name}', figure, 'CPU-s'
      yield f'{model}, to the first step, ours / bare', ours / bare, 'x'


def _prepare(root):
  _run(_command('make_demo_data'), f'--raw_dir={root}/raw', '--num_patients=30')
  _run(
    _command('prepare_data'),
    *('--dataset=retina', f'--image_size={_SIDE}'),
    *(f'--manual_dir={root}/raw/retina', f'--data_dir={root}/data'),
  )


def _command(name):
  return f'from transfusion_tf.cli import {name}; {name}.run()'


def _ours(root, run_dir, model):
  return _seconds(
    _OURS,
    *('--dataset=retina', '--recipe=demo_retina', f'--model={model}'),
    *(f'--data_dir={root}/data', f'--run_dir={run_dir}'),
    *(f'--image_size={_SIDE}', f'--batch_size={_BATCH}', '--train_steps=200'),
    *('--steps_per_call=1', '--strategy=one_device'),
  )


def _bare(root, model):
  (info,) = (root / 'data').glob('**/dataset_info.json')
  records = f'{info.parent}/*-train.tfrecord*'
  return _seconds(_BARE, model, records, _SIDE, _BATCH, _GRADES)


def _seconds(program, *arguments):
  return float(_run(program, *arguments).split()[-1])


def _run(program, *arguments):
  done = subprocess.run(
    [sys.executable, '-c', program, *map(str, arguments)],
    stdout=subprocess.PIPE,
    check=True,
    text=True,
  )
  return done.stdout
