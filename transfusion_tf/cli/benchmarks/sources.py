"""Rows a second of reading small pictures: ours, and each format's library.

A set of --rows pictures of 28 pixels is written in each shape of raw data. Ours
lists it, as `prepare_data.py` does, and then reads the pictures one after the
other; the library reads pictures and labels in one go. Neither decodes a file.
They take turns, some rows each, so that both have the same machine. Memory is
what the process has for itself: files that are mapped are the system's.
"""

from collections.abc import Callable, Iterator
import dataclasses
import gc
import itertools
import pathlib
import tarfile
import tempfile
import time

import numpy as np

from data import images
from data.image_table import given as given_lib
from data.image_table import layout
from transfusion_tf.cli.benchmarks import source_sets

_TURNS = 10
_ROUNDS = 2


@dataclasses.dataclass(frozen=True)
class _Shape:
  """A shape of raw data.

  Attributes:
    write: Folder and number of rows -> the path of a set.
    library: The path -> an iterator over its rows, by the library alone.
  """

  write: Callable[[str, int], str]
  library: Callable[[str], Iterator[object]]


def suite(rows: int) -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  for name, shape in _SHAPES.items():
    with tempfile.TemporaryDirectory() as folder:
      path = shape.write(folder, rows)
      for what, figure, unit in _measured(path, shape, rows):
        yield f'{name}, {what}', figure, unit


def _measured(path, shape, rows):
  gc.collect()
  before, began = _memory(), time.perf_counter()
  source = _list(path)
  listing = time.perf_counter() - began
  gc.collect()
  yield 'listing', listing, 's'
  yield 'listing, memory', _memory() - before, 'MiB'
  yield 'reading, memory of the last 90 % of rows', _growth(source), 'MiB'
  ours, library = _seconds(
    {
      'ours': lambda: _read(source),
      'library': lambda: shape.library(path),
    },
    rows,
  )
  yield 'ours', rows / ours, 'rows/s'
  yield 'library', rows / library, 'rows/s'
  yield 'ours / library', library / ours, 'x'
  yield 'ours, listed first / library', library / (listing + ours), 'x'


def _list(path):
  source = given_lib.parse(path).read(layout.Columns())
  layout.read(source)
  return source


def _read(source):
  """Yield (picture, label) of each row."""
  (label,) = source.columns.labels
  pictures = images.stream(source.pictures.places)
  return zip(pictures, source.table[label], strict=True)


def _seconds(ways, rows):
  """Return the seconds of each way, of the faster of some rounds."""
  rounds = [_turns(ways, rows) for _ in range(_ROUNDS)]
  return [min(each) for each in zip(*rounds, strict=True)]


def _turns(ways, rows):
  """Return the seconds of each way, which take turns."""
  iterators: dict[str, Iterator] = {}
  seconds = dict.fromkeys(ways, 0.0)
  counts = dict.fromkeys(ways, 0)
  for turn in range(1, _TURNS + 1):
    for name, way in ways.items():
      began = time.perf_counter()
      if name not in iterators:
        iterators[name] = iter(way())
      some = turn * rows // _TURNS - counts[name]
      counts[name] += sum(1 for _ in itertools.islice(iterators[name], some))
      seconds[name] += time.perf_counter() - began
  if set(counts.values()) != {rows}:
    raise AssertionError(f'read: {counts}, not {rows} each')
  return list(seconds.values())


def _growth(source):
  """Return how much memory reading takes beyond a tenth of the rows."""
  every = max(len(source.table) // 100, 1)
  taken = [
    _memory() for n, _ in enumerate(_read(source)) if (n + 1) % every == 0
  ]
  first = max(len(taken) // _TURNS, 1)
  return max(taken) - max(taken[:first])


def _memory():
  """Return the MiB that the process has for itself."""
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  facts = dict(line.split(':', 1) for line in lines)
  return int(facts['RssAnon'].split()[0]) / 1024


def _numpy(path):
  with np.load(path) as held:
    yield from zip(held['train_images'], held['train_labels'], strict=True)


def _pyarrow(path):
  from pyarrow import parquet

  with parquet.ParquetFile(path) as file:
    for batch in file.iter_batches(1000, columns=['image', 'label']):
      yield from batch.to_pylist()


def _datasets(path):
  import datasets

  held = datasets.load_from_disk(path)['train']
  return iter(held.cast_column('image', datasets.Image(decode=False)))


def _tarfile(path):
  with tarfile.open(path) as archive:
    label = b''
    for info in archive:
      file = archive.extractfile(info)
      data = file.read() if file else b''
      if info.name.endswith('.cls'):
        label = data
        continue
      yield data, label


def _tfds(path):
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(path)
  skip = {'image': tfds.decode.SkipDecoding()}
  rows = builder.as_dataset(split='train', decoders=skip, shuffle_files=False)
  return iter(tfds.as_numpy(rows))


_SHAPES = {
  'MedMNIST / numpy.load': _Shape(source_sets.medmnist, _numpy),
  'Parquet / pyarrow': _Shape(source_sets.parquet, _pyarrow),
  'save_to_disk / datasets': _Shape(source_sets.saved_to_disk, _datasets),
  'tar / tarfile': _Shape(source_sets.tar, _tarfile),
  'TFDS / tfds': _Shape(source_sets.tfds_set, _tfds),
}
