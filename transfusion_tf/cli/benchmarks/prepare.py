"""CPU seconds an image of preparing photographs of 8 megapixels.

Ours reads each file twice, to check it and to store the disc. The plain way
reads it once, whole, and takes the box around what is bright for the disc: no
check, hash, circle or note. Both would be spread over processes alike. The
limit is decoding the whole file once.
"""

from collections.abc import Iterator
import functools
import io
import os
import statistics
import tempfile
import time

import numpy as np
from PIL import Image
import skimage.data

from data import appearance
from data import images
from data import opened
from data import preflight
from data import raw_dataset
from data.retina import fundus

_SIZE, _SIDE, _QUALITY = (3264, 2448), 587, 92
_NUM_PHOTOGRAPHS, _ROUNDS = 4, 4


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  ways = {'ours': _ours, 'plain Pillow': _plain, 'decoding alone': _decode}
  seconds: dict[str, list[float]] = {name: [] for name in ways}
  with tempfile.TemporaryDirectory() as folder:
    paths = [_write(folder, seed) for seed in range(_NUM_PHOTOGRAPHS)]
    for path in paths * _ROUNDS:
      for name, prepare in ways.items():
        began = time.process_time()
        prepare(path)
        seconds[name].append(time.process_time() - began)
  median = {name: statistics.median(s) for name, s in seconds.items()}
  for name, figure in median.items():
    yield name, 1e3 * figure, 'ms/image'
  yield 'plain Pillow / ours', median['plain Pillow'] / median['ours'], 'x'
  yield 'decoding alone / ours', median['decoding alone'] / median['ours'], 'x'


def _write(folder, seed):
  """Write a photograph with a camera's noise; return its path."""
  rng = np.random.default_rng(seed)
  height = _SIZE[1] - 100
  eye = Image.fromarray(skimage.data.retina()).resize((height, height))
  photograph = Image.new('RGB', _SIZE)
  photograph.paste(eye, (300 + 40 * seed, 50))
  pixels = np.asarray(photograph) + rng.normal(0, 3, (_SIZE[1], _SIZE[0], 1))
  path = os.path.join(folder, f'{seed}.jpg')
  noisy = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
  noisy.save(path, quality=_QUALITY)
  return path


def _ours(path):
  record = raw_dataset.Record('image', 'patient', path, '', labels={})
  check = functools.partial(
    preflight.inspect, look=fundus.note, describe=appearance.describe
  )
  check(opened.Opened(record), root=os.path.dirname(path))
  images.jpeg(fundus.picture(images.read(path), _SIDE))


def _plain(path):
  image = Image.open(path).convert('RGB')
  small = np.asarray(image.resize((256, 256 * _SIZE[1] // _SIZE[0])))
  bright = Image.fromarray(small.max(axis=-1) > 20)
  box = np.multiply(bright.getbbox(), image.width / 256)
  square = image.crop(box.astype(int)).resize(
    (_SIDE, _SIDE), Image.Resampling.LANCZOS
  )
  square.save(io.BytesIO(), 'JPEG', quality=95, subsampling=0)


def _decode(path):
  Image.open(path).load()
