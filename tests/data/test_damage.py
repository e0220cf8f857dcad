"""Whatever happens to a file, it is a picture or a named refusal."""

import io
import resource
import subprocess
import sys

import mutations
import numpy as np
import paths
from PIL import Image
import pytest
import raw_sets
import tifffile

from data import images
from data import raw_dataset
from data.image_table import image_table_dataset_builder
from data.image_table import layout

_MAX_MEMORY = 2 * 2**30


def _encoded(image, kind, **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def _tiff(values, **options):
  buffer = io.BytesIO()
  tifffile.imwrite(buffer, values, **options)
  return buffer.getvalue()


def _pictures():
  photograph = raw_sets.photograph(0)
  deep = np.arange(48 * 60, dtype=np.uint16).reshape(48, 60)
  return mutations.pictures() | {
    'bmp': _encoded(photograph, 'BMP'),
    'tiff': _encoded(photograph, 'TIFF'),
    'packed tiff': _encoded(photograph, 'TIFF', compression='tiff_lzw'),
    'deflated tiff': _encoded(photograph, 'TIFF', compression='tiff_deflate'),
    'deep tiff': _tiff(deep),
    'tiles': _tiff(deep, tile=(16, 16)),
    'float tiff': _tiff(deep.astype(np.float32)),
    'deep alpha': _tiff(
      np.stack([deep, deep], -1), photometric=1, extrasamples=['unassalpha']
    ),
    'big tiff': _tiff(deep, bigtiff=True),
  }


def _dicoms():
  pytest.importorskip('pydicom')
  pytest.importorskip('gdcm')
  deep = np.arange(48 * 60, dtype=np.uint16).reshape(48, 60)
  windowed = raw_sets.dicom(
    deep, WindowCenter=900, WindowWidth=500, RescaleSlope=2, RescaleIntercept=1
  )
  return {
    'windowed': windowed,
    'no preamble': windowed[132:],
    'padded': raw_sets.dicom(deep, PixelPaddingValue=7),
    'color': raw_sets.dicom(np.asarray(raw_sets.photograph(0)), 'RGB'),
    **{
      syntax: raw_sets.dicom_compressed(deep, syntax)
      for syntax in ('JPEGLossless', 'JPEGLSLossless', 'RLELossless')
    },
  }


def _peak():
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _read_all(files, count, seed):
  """Return how many were read; each other one has to be a refusal."""
  num_read = 0
  most = max(_MAX_MEMORY, _peak())  # Earlier tests may have taken more.
  for name, file in mutations.mutants(files, count, seed):
    try:
      picture = images.load(file)
    except raw_dataset.InvalidRecordError as error:
      assert error.kind in raw_dataset.BAD and error.detail, name
    else:
      assert picture.mode in ('L', 'RGB') and not picture.info, name
      num_read += 1
  assert _peak() <= most
  return num_read


def test_damaged_pictures():
  assert 50 < _read_all(_pictures(), 400, seed=0) < 350


def test_damaged_dicom():
  assert 10 < _read_all(_dicoms(), 100, seed=0) < 90


@pytest.mark.fuzz
def test_many_damaged_pictures():
  assert 1000 < _read_all(_pictures(), 8000, seed=1) < 7000


@pytest.mark.fuzz
def test_much_damaged_dicom():
  assert 100 < _read_all(_dicoms(), 2000, seed=1) < 1900


_MEASURE = """
import resource
import sys
from data import images
from data.retina import fundus
def peak():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
with open(sys.argv[1], 'rb') as file:
  data = file.read()
before = peak()
fundus.picture(data, 587)
images.resize_to_square(data, 256)
print(peak() - before)
"""


def _disc(height, width):
  y, x = np.mgrid[:height, :width]
  bright = np.hypot(y - height / 2, x - width / 2) < 0.44 * max(height, width)
  return Image.fromarray((150 * bright).astype(np.uint8)).convert('RGB')


@pytest.mark.parametrize(
  'size', [(65376, 64), (64, 65376), (1, 65376), (12000, 48), (48, 12000)]
)
def test_long_and_narrow_photographs_take_little_memory(size, tmp_path):
  path = tmp_path / 'file.jpeg'
  path.write_bytes(_encoded(_disc(*size), 'JPEG'))
  printed = subprocess.run(
    [sys.executable, '-c', _MEASURE, path],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
    check=True,
  ).stdout
  assert int(printed) < 400 * 2**20


@pytest.mark.parametrize(
  'shape, image_size', [((65_520, 10), 0), ((10, 65_520), 0), ((2, 2000), 224)]
)
def test_what_is_too_long_to_store_is_named_at_the_check(
  shape, image_size, tmp_path
):
  raw_sets.table(tmp_path)
  Image.new('L', shape).save(tmp_path / 'images' / '003.png')
  table = layout.find(tmp_path / 'labels.csv', tmp_path, layout.Columns())
  builder = image_table_dataset_builder.Builder(
    name='lumps', table=table, image_size=image_size, data_dir=tmp_path / 'data'
  )
  builder.num_processes = 1
  report = builder.check(tmp_path)
  assert [(p.kind, p.location) for p in report.bad] == [
    ('image too large', 'images/003.png')
  ]
  assert '65,500' in report.bad[0].detail


def test_a_mutant_is_the_same_every_time():
  first, second = (
    list(mutations.mutants(mutations.pictures(), 20, seed=3)) for _ in range(2)
  )
  assert first == second
