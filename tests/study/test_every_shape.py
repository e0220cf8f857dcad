"""Every shape of raw data walks the whole way, and arrives as the others do.

Checked, prepared, trained on and compared by `study.py`, then evaluated, the
network exported and the set, which `datasets` reads back.
"""

import collections
import io
import pathlib

import numpy as np
from PIL import Image
import pytest
import shapes

from data import images
from transfusion_tf import run_folder
from transfusion_tf.input_pipeline import tfds_folder

_PICTURES = shapes.rows(24, 12, 12)
_RUN = 'cbr_tiny/random/seed0'
_STUDY = (
  *('--models=cbr_tiny', '--inits=random', '--seeds=1', '--epochs=2'),
  *('--image_size=28', '--batch_size=8', '--noprobes', '--nolocate_benefit'),
)


def _table(folder, pictures):
  """With the table beside its images, as --data has it."""
  path = shapes.table(folder, pictures)
  return path.rename(folder / 'images' / path.name)


def _compressed(folder, pictures):
  return shapes.medmnist(folder, pictures, np.savez_compressed)


# Shape -> how to write it, more flags, whether pictures have the same names.
_SHAPES = {
  'table': (_table, ('--split_column=split',), True),
  'medmnist': (shapes.medmnist, (), True),
  'medmnist, compressed': (_compressed, (), True),
  'webdataset': (shapes.tar, (), True),
  'parquet': (shapes.parquet, (), True),
  'save_to_disk': (shapes.saved_to_disk, (), True),
  'imagefolder': (shapes.image_folder, (), False),
  'classes': (shapes.classes, (), False),
  'tfds': (shapes.tfds_set, (), True),
}


class _Walk:
  """What the commands made of a shape."""

  def __init__(self, call, folder, shape):
    write, flags, _ = _SHAPES[shape]
    self._call, self.study = call, folder / 'study'
    self.out, self.network = folder / 'exported', folder / 'network'
    path = write(folder / 'raw', _PICTURES)
    self._run(
      'study.py',
      *(f'--data={path}', f'--output_dir={self.study}', *_STUDY, *flags),
    )
    run = f'--run_dir={self.study / _RUN}'
    self._run('evaluate.py', run, f'--parquet={folder / "scores.parquet"}')
    self._run('export.py', run, f'--export_dir={self.network}')
    self._data = run_folder.begun_on(str(self.study / _RUN))
    self.prepared = tfds_folder.PreparedDataset(self._data['directory'])
    name = pathlib.Path(self.prepared.directory)
    self._run(
      'export_data.py',
      *(f'--data_dir={name.parents[1]}', f'--dataset={name.parent.name}'),
      f'--output_dir={self.out}',
    )

  def _run(self, command, *flags):
    done = self._call(command, *flags)
    assert done.returncode == 0, f'{command}: {done.stderr}'

  @property
  def keys(self):
    """Keys of the runs that are finished."""
    found = self.study.rglob(run_folder.RESULT)
    return {str(path.parent.relative_to(self.study)) for path in found}

  def scores(self):
    return (self.study / _RUN / 'scores_test_best.csv').read_text()

  def rows(self, cache):
    """(split, name of the class, picture) of what the export holds."""
    import datasets

    loaded = datasets.load_dataset(str(self.out), cache_dir=str(cache))
    return collections.Counter(
      (split, rows.features['label'].int2str(label), picture['bytes'])
      for split, rows in loaded.items()
      for label, picture in zip(
        rows['label'][:],
        rows.cast_column('image', datasets.Image(decode=False))['image'][:],
        strict=True,
      )
    )


@pytest.fixture(scope='module')
def walk(call, tmp_path_factory):
  """shape -> its `_Walk`, each made once."""
  made = {}

  def walk_of(shape):
    if shape not in made:
      folder = tmp_path_factory.mktemp('walk')
      made[shape] = _Walk(call, folder, shape)
    return made[shape]

  return walk_of


def _check(walked, shape, tmp_path):
  """The pictures, labels and splits that went in come out again."""
  assert walked.keys == {_RUN}
  assert (walked.network / 'saved_model.pb').exists()
  rows = walked.rows(tmp_path)
  if (
    shape == 'tfds'
  ):  # It is used as it is, with the pictures as TFDS has them.
    decoded = collections.Counter()
    for (split, label, data), count in rows.items():
      pixels = np.asarray(Image.open(io.BytesIO(data)))
      decoded[split, label, pixels.tobytes()] += count
    rows = decoded
    expected = [row.pixels.tobytes() for row in _PICTURES]
  else:
    pictures = [Image.fromarray(row.pixels) for row in _PICTURES]
    expected = [images.jpeg(picture) for picture in pictures]
  assert rows == collections.Counter(
    (row.split, shapes.NAMES[row.label], picture)
    for row, picture in zip(_PICTURES, expected, strict=True)
  )


def test_a_file_of_arrays_walks_the_whole_way(walk, tmp_path):
  _check(walk('medmnist'), 'medmnist', tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize('shape', [s for s in _SHAPES if s != 'medmnist'])
def test_every_shape_walks_the_whole_way(shape, walk, tmp_path):
  walked, first = walk(shape), walk('medmnist')
  _check(walked, shape, tmp_path)
  assert walked.keys == first.keys
  if shape != 'tfds':
    assert walked.prepared.fingerprint == first.prepared.fingerprint
  _, _, has_names = _SHAPES[shape]
  if has_names and shape != 'tfds':
    assert walked.scores() == first.scores()  # Bit for bit.
