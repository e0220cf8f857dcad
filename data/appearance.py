"""What images look like, in numbers: to find those unlike the others.

An image that is blank, dark, bright, blurred or of an odd shape is a note: it
may well be right, and is worth a look.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from data import near_duplicates
from data import raw_dataset
from transfusion_tf.image_ops import rules

_SIDE = 256  # Pixels; sharpness is compared at one size.
_FEW = 30  # Images, below which none is unlike the others.
# Times the usual spread (1.4826 times the median distance from the median). Of
# 400 chest x-rays of NIH the least sharp is at 2.9; blurred with a radius of 2
# pixels in 224 or more they are at 4.0 or more on average.
_UNSHARP = 3.5
_DIM = 3.0  # Times darker, or less dark, than usual.
_ODD_ASPECT = 2.0  # Times the usual width / height.
_ODD_AREA = 16.0  # Times fewer pixels than usual.


class Appearance(NamedTuple):
  """The looks of one image.

  Attributes:
    thumbnail: Of `near_duplicates.thumbnail`, as bytes.
    brightness: Mean gray level.
    contrast: Standard deviation of gray levels.
    sharpness: Logarithm of the variance of the Laplacian, at 256 pixels.
  """

  thumbnail: bytes
  brightness: float
  contrast: float
  sharpness: float


def describe(image: Image.Image) -> Appearance:
  """Return the looks of an image."""
  gray = image.convert('L')
  values = np.asarray(
    gray.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32
  )
  inner = values[1:-1, 1:-1]
  around = values[:-2, 1:-1] + values[2:, 1:-1]
  around += values[1:-1, :-2] + values[1:-1, 2:]
  edges = around - 4 * inner
  return Appearance(
    near_duplicates.thumbnail(gray).tobytes(),
    float(values.mean()),
    float(values.std()),
    float(np.log(edges.var() + 1)),
  )


def problems(
  records: Sequence[raw_dataset.Record],
) -> Iterator[raw_dataset.Problem]:
  """Yield a note for each image that is blank, or unlike the others."""
  looks = np.array([record.appearance[1:] for record in records])
  if not len(looks):
    return
  brightness, contrast, sharpness = looks.T
  sizes = np.array([record.size for record in records], float)
  aspect, area = np.log(sizes[:, 0] / sizes[:, 1]), np.log(sizes.prod(axis=1))
  blank = contrast < rules.MIN_SEEN
  enough = len(records) >= _FEW
  usual = np.median(brightness)
  odd = np.abs(aspect - np.median(aspect)) > np.log(_ODD_ASPECT)
  small = np.median(area) - area > np.log(_ODD_AREA)
  kinds = {
    'blank image': blank,
    'dark image': enough & ~blank & (brightness < usual / _DIM),
    'bright image': enough & ~blank & (255 - brightness < (255 - usual) / _DIM),
    'blurred image': enough & ~blank & _far_below(sharpness, _UNSHARP),
    'image of another shape': enough & odd,
    'image of far fewer pixels': enough & small,
  }
  for kind, found in kinds.items():
    for n in map(int, np.flatnonzero(found)):
      width, height = records[n].size
      yield raw_dataset.Problem(
        kind, records[n].image_id, f'{width} x {height} pixels'
      )


def _far_below(values, times):
  """Return where values are below the median by `times` the usual spread."""
  center = np.median(values)
  spread = 1.4826 * np.median(np.abs(values - center))
  return values < center - times * spread


def near_duplicate_problems(
  records: Sequence[raw_dataset.Record],
) -> Iterator[raw_dataset.Problem]:
  """Yield a note for each two images that show one picture.

  Those in two splits come first: they leak what is tested into training. A
  note says so if not all images were compared.
  """
  side = near_duplicates.SIDE
  looks = b''.join(record.appearance.thumbnail for record in records)
  thumbnails = np.frombuffer(looks, np.uint8).reshape(-1, side, side)
  found = near_duplicates.find(thumbnails)
  pairs = [
    (records[pair.first], records[pair.second], pair.correlation)
    for pair in found.pairs
  ]
  leaks = [pair for pair in pairs if pair[0].split != pair[1].split]
  others = [pair for pair in pairs if pair[0].split == pair[1].split]
  for a, b, correlation in [*leaks, *others]:
    if a.sha256 == b.sha256:
      continue  # Copies, which are noted as such.
    where = 'two splits' if a.split != b.split else 'a split'
    patients = 'one patient' if a.patient_id == b.patient_id else 'two patients'
    yield raw_dataset.Problem(
      f'near-duplicates in {where}',
      a.image_id,
      f'{a.split}, is like {b.image_id}, {b.split}, of {patients}; '
      f'correlation {correlation:.3f}',
      other=b.image_id,
    )
  if found.in_crowd:
    most = near_duplicates.CROWD
    yield raw_dataset.Problem(
      'near-duplicates in a crowd',
      'all images',
      f'at a glance more than {most} are like each: each was compared '
      f'with the {most} nearest, and there may be more pairs',
    )
