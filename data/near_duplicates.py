"""Images that show the same picture, though their files differ.

Copies that were saved again, scaled, or made brighter have other bytes. Each
image is compared with every other by a thumbnail, less what all images of the
set have in common: the disc of a fundus and the outline of a chest make any two
alike.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 32  # Pixels of a thumbnail.
# Correlation of two thumbnails. Of the 499 500 pairs of 1000 chest x-rays of
# NIH, 224 px, those of distinct pictures reach 0.916; copies in JPEG of quality
# 30, of half the size, or with contrast or gamma changed by 1.4 keep 0.952.
SAME_PICTURE = 0.95
_COARSE = 16  # Pixels of the thumbnails of the first look.
_MARGIN = 0.02  # By which the first look is less strict.
_BLOCK = 4096  # Images that are compared at once: 64 MiB.
_FLAT = 2.0  # Gray levels; thumbnails of less contrast show nothing.


class Pair(NamedTuple):
  """Two images of one picture.

  Attributes:
    first: Number of an image.
    second: Number of a later one.
    correlation: Of their thumbnails.
  """

  first: int
  second: int
  correlation: float


def thumbnail(image: Image.Image) -> np.ndarray:
  """Return an image as uint8 [SIDE, SIDE], gray."""
  small = image.convert('L').resize((SIDE, SIDE), Image.Resampling.BOX)
  return np.asarray(small)


def find(thumbnails: np.ndarray) -> list[Pair]:
  """Return the pairs of thumbnails [N, SIDE, SIDE] that show one picture.

  All pairs are compared, in N^2 / 2 products of 256 numbers, then those that
  are alike in all pixels. Thumbnails without contrast are like no other.
  """
  if len(thumbnails) < 2:
    return []
  shrink = SIDE // _COARSE
  blocks = thumbnails.reshape(-1, _COARSE, shrink, _COARSE, shrink)
  coarse = _directions(blocks.mean(axis=(2, 4), dtype=np.float32))
  candidates = list(_alike(coarse, SAME_PICTURE - _MARGIN))
  if not candidates:
    return []
  first, second = np.transpose(candidates)
  fine = _directions(thumbnails.astype(np.float32))
  correlations = np.einsum('nd,nd->n', fine[first], fine[second])
  return [
    Pair(int(i), int(j), float(correlation))
    for i, j, correlation in zip(first, second, correlations, strict=True)
    if correlation >= SAME_PICTURE
  ]


def _directions(images):
  """Return [N, D] of length 1, less the mean of the set; 0 without contrast."""
  flat = images.reshape(len(images), -1)
  flat = flat - flat.mean(axis=1, keepdims=True)
  stddev = flat.std(axis=1, keepdims=True)
  has_contrast = stddev >= _FLAT
  flat = np.where(has_contrast, flat / np.maximum(stddev, _FLAT), 0)
  if len(flat) > 2:  # The mean of two makes them opposites.
    flat = flat - has_contrast * flat.mean(axis=0)
  length = np.linalg.norm(flat, axis=1, keepdims=True)
  return flat / np.maximum(length, np.finfo(flat.dtype).tiny)


def _alike(directions, least) -> Iterator[tuple[int, int]]:
  for i in range(0, len(directions), _BLOCK):
    for j in range(i, len(directions), _BLOCK):
      products = directions[i : i + _BLOCK] @ directions[j : j + _BLOCK].T
      for a, b in np.argwhere(products >= least):
        if i + a < j + b:
          yield i + a, j + b
