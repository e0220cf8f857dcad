"""Whatever file an exported network is given, its memory stays bounded."""

import io
import random
import struct
import zlib

import mutations
import numpy as np
from PIL import Image
import prepared_sets
import processes
import pytest
import raw_sets
import serve_files
import tensorflow as tf

from data import images
from data import raw_dataset
from transfusion_tf import export
from transfusion_tf.image_ops import containers
from transfusion_tf.image_ops import rules
from transfusion_tf.image_ops import validate
from transfusion_tf.run import build as run_lib

_MOST = 2**30  # Above the decoded size of an accepted picture.
_REQUESTS = 10_000
_REPEATED = b'\xff\xc1'  # Each is a marker of a JPEG.


def _jpeg(size, mode='RGB', **options):
  buffer = io.BytesIO()
  Image.new(mode, size).save(buffer, 'JPEG', **options)
  return buffer.getvalue()


def _png(width, height, bits=8, color=2, row=None):
  """A PNG of equal rows, made without its pixels in memory."""
  samples = {0: 1, 2: 3, 6: 4}[color]
  row = b'\0' + (row or bytes(-(-width * samples * bits // 8)))
  deflate = zlib.compressobj(9)
  pixels = [deflate.compress(row) for _ in range(height)] + [deflate.flush()]
  header = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, 0)
  return mutations.PNG + b''.join(
    raw_sets.chunk(kind, content)
    for kind, content in (
      (b'IHDR', header),
      (b'IDAT', b''.join(pixels)),
      (b'IEND', b''),
    )
  )


# Each with the size that it is decoded to, 0 if it is refused.
_SMALL = {
  'jpeg of 2 x 2000': lambda: (_jpeg((2, 2000)), 12_000),
  'jpeg of 4000 x 1': lambda: (_jpeg((4000, 1)), 12_000),
  'png of 1 x 65,535': lambda: (_png(1, 65_535), 196_605),
  'png of 1 x 1,000,000': lambda: (_png(1, 1_000_000), 0),
  'png of 16 bits, 14,000 a side': lambda: (_png(14_000, 14_000, 16, 0), 0),
  'jpeg, then markers': lambda: (
    _jpeg((50, 50)) + 25_000_000 * _REPEATED,
    7_500,
  ),
  'jpeg of markers': lambda: (_jpeg((50, 50))[:-2] + 10**7 * _REPEATED, 0),
  'png of zeros': lambda: (mutations.PNG + bytes(50_000_000), 0),
  'zeros': lambda: (bytes(50_000_000), 0),
  'too long': lambda: (_jpeg((50, 50)) + bytes(rules.MAX_BYTES), 0),
}
_LARGE = {
  'jpeg of 65,000 x 2700': lambda: (_jpeg((65_000, 2700)), 3 * 65_000 * 2700),
  'jpeg of 2700 x 65,000': lambda: (_jpeg((2700, 65_000)), 3 * 65_000 * 2700),
  'png of 2700 x 65,000': lambda: (_png(2700, 65_000), 3 * 65_000 * 2700),
  'gray of 16 bits': lambda: (_png(13_300, 13_300, 16, 0), 3 * 13_300**2),
  'color of 16 bits': lambda: (_png(13_300, 13_300, 16, 6), 3 * 13_300**2),
  'noise of one bit': lambda: (
    _png(13_300, 13_300, 1, 0, random.Random(0).randbytes(1663)),
    3 * 13_300**2,
  ),
  'turned': lambda: (
    _jpeg((13_300, 13_300), exif=_turned()),
    3 * 13_300**2,
  ),
  'ink in passes': lambda: (
    _jpeg((6_600, 6_600), 'CMYK', progressive=True, subsampling=0),
    3 * 6_600**2,
  ),
  'more in passes': lambda: (
    _jpeg((13_300, 13_300), progressive=True, subsampling=0),
    0,
  ),
}


def _turned():
  exif = Image.Exif()
  exif[0x0112] = 6
  return exif


def _classify(server, preparation, files, folder):
  """Return status and memory of each file, all classified by one process."""
  names = []
  for number, file in enumerate(files):
    names.append(folder / str(number))
    names[-1].write_bytes(file)
  done = processes.call_script(
    server, serve_files.__file__, preparation, *names
  )
  assert done.returncode == 0, done.stderr
  lines = [line.split() for line in done.stdout.splitlines()]
  return [(status, int(more), int(peak)) for status, more, peak in lines]


def _check(server, preparation, kinds, folder):
  files, sizes = zip(*(make() for make in kinds.values()), strict=True)
  results = _classify(server, preparation, files, folder)
  for kind, size, (status, more, peak) in zip(
    kinds, sizes, results, strict=True
  ):
    if status == validate.TOO_LARGE and preparation == 'encoded':
      size = 0  # Where a side would be too long to be stored.
    assert (status == validate.OK) == (size > 0), (kind, status)
    assert more <= _MOST + size, (kind, more)
    # What was freed may be kept for the next file.
    assert peak <= _MOST + 2 * max(sizes), (kind, peak)
  return dict(zip(kinds, (status for status, *_ in results), strict=True))


def test_small_files_take_little_memory(server, tmp_path):
  statuses = _check(server, 'fundus', _SMALL, tmp_path)
  large = {k for k, status in statuses.items() if status == validate.TOO_LARGE}
  assert large == {
    *('png of 1 x 1,000,000', 'png of 16 bits, 14,000 a side', 'too long')
  }


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
  'preparation', ['fundus', 'squeezed', 'identity', 'encoded']
)
def test_the_largest_pictures_take_a_gibibyte_more_at_most(
  preparation, server, tmp_path
):
  statuses = _check(server, preparation, _LARGE, tmp_path)
  assert statuses['more in passes'] == validate.TOO_LARGE


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _passes(encoded):
  return containers.scan(encoded).passes > 0


def _without_interleaving():
  """A JPEG whose components have a scan each."""
  jpeg = _jpeg((16, 16))
  scan = jpeg.index(b'\xff\xda')
  coded = jpeg[scan + 14 : -2]
  scans = (b'\xff\xda\0\x08\x01%c\0\0\x3f\0' % n + coded for n in (1, 2, 3))
  return jpeg[:scan] + b''.join(scans) + jpeg[-2:]


@pytest.mark.parametrize(
  ('file', 'expected'),
  [
    (_jpeg((16, 16)), False),
    (_jpeg((16, 16), 'L'), False),
    (_jpeg((16, 16), progressive=True), True),
    (_without_interleaving(), True),
  ],
)
def test_the_limit_of_passes_is_that_of_both_readers(
  file, expected, monkeypatch
):
  assert bool(_passes(file)) == expected
  monkeypatch.setattr(rules, 'MAX_PIXELS_IN_PASSES', 255)
  refusals = []
  try:
    images.decode(file)
  except raw_dataset.InvalidRecordError as error:
    refusals.append(error.kind)
  assert ('image too large' in refusals) == expected
  monkeypatch.setattr(rules, 'MAX_PIXELS_IN_PASSES', 256)
  images.decode(_jpeg((16, 16), progressive=True))


def test_preparing_refuses_what_is_too_long(monkeypatch):
  for file in (_jpeg((16, 16)), _png(16, 16)):
    monkeypatch.setattr(rules, 'MAX_BYTES', len(file))
    images.decode(file)
    monkeypatch.setattr(rules, 'MAX_BYTES', len(file) - 1)
    with pytest.raises(raw_dataset.InvalidRecordError) as caught:
      images.decode(file)
    assert caught.value.kind == 'image too large'


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_thousand_requests_a_tenth_of_them_bad(data_dir, tmp_path):
  run = run_lib.build(prepared_sets.experiment(data_dir))
  export.export(run, tmp_path / 'export')
  serve = tf.saved_model.load(str(tmp_path / 'export')).signatures['serve']
  good = list(mutations.pictures().values())
  bad = [file for _, file in mutations.mutants(mutations.pictures(), 999, 0)]
  rng = random.Random(0)
  first = {file: serve(tf.stack([file])) for file in good}
  peaks = []
  for number in range(_REQUESTS):
    is_bad = number % 10 == 0
    files = [rng.choice(good), rng.choice(bad if is_bad else good)]
    answer = serve(tf.stack(files))
    expected = first[files[0]]['probabilities'][0]
    np.testing.assert_array_equal(answer['probabilities'][0], expected)
    assert {s.decode() for s in answer['status'].numpy()} <= {
      *validate.STATUSES
    }
    if (number + 1) % (_REQUESTS // 5) == 0:
      peaks.append(serve_files.memory('VmRSS'))
  assert peaks[-1] - peaks[0] < 100 * 2**20, peaks
