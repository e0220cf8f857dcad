"""Images that show the same picture, though their files differ.

Copies that were saved again, scaled, or made brighter have other bytes. Each
image is compared with every other by a thumbnail, less what all images of the
set have in common: the disc of a fundus and the outline of a chest make any two
alike.

A thumbnail becomes a vector of length 1, and two are alike if their product is
large, so if their distance is small. No projection makes a distance larger:
images that are far apart in a few numbers, the lowest frequencies and the
length of all others, are far apart. A tree of these finds the pairs that are
left to compare, and misses none.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import fft
from scipy import spatial

SIDE = 32  # Pixels of a thumbnail.
# Correlation of two thumbnails. Of the 499 500 pairs of 1000 chest x-rays of
# NIH, 224 px, those of distinct pictures reach 0.916; copies in JPEG of quality
# 30, of half the size, or with contrast or gamma changed by 1.4 keep 0.952.
SAME_PICTURE = 0.95
# |a - b|^2 = 2 - 2 a.b of vectors of length 1; more by what rounding may do.
_DISTANCE = np.sqrt(2 - 2 * SAME_PICTURE) + 1e-4
_FREQUENCIES = 4  # The lowest of rows and of columns, in the tree.
_LEAF = 32  # Images in a leaf of the tree.
_BLOCK = 4096  # Images that are vectors at once: 16 MiB.
_FLAT = 2.0  # Gray levels; thumbnails of less contrast show nothing.
CROWD = 10  # Of more images like each, on average, a set is a crowd.
_SAMPLE = 1000  # Images that tell whether it is.
# Images that are compared with all others where the tree tells few apart, as of
# textures, whose lowest frequencies are near 0: 10 s of a core.
_MOST_COMPARED = 20_000


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


class Found(NamedTuple):
  """The result of a search.

  Attributes:
    pairs: Images of one picture, in order.
    in_crowd: Whether an image was compared with the CROWD nearest alone.
  """

  pairs: list[Pair]
  in_crowd: bool


def thumbnail(image: Image.Image) -> np.ndarray:
  """Return an image as uint8 [SIDE, SIDE], gray."""
  small = image.convert('L').resize((SIDE, SIDE), Image.Resampling.BOX)
  return np.asarray(small)


def find(thumbnails: np.ndarray) -> Found:
  """Find the pairs of thumbnails [N, SIDE, SIDE] that show one picture.

  Thumbnails without contrast are like no other. Of a crowd, such as the frames
  of a film, an image is compared with the ten that are nearest to it; so it is
  of more textures than can be compared with one another.
  """
  vectors = _Vectors(thumbnails)
  candidates, in_crowd = _candidates(vectors)
  pairs: list[Pair] = []
  for first, second in _blocks(candidates):
    correlations = np.einsum('nd,nd->n', vectors[first], vectors[second])
    same = correlations >= SAME_PICTURE
    found = (values[same].tolist() for values in (first, second, correlations))
    pairs += map(Pair, *found)
  return Found(pairs, in_crowd)


class _Vectors:
  """Thumbnails as vectors [N, D] of length 1, less the mean of the set."""

  def __init__(self, thumbnails: np.ndarray):
    self._flat = thumbnails.reshape(len(thumbnails), SIDE**2)
    # Of two, it would make opposites.
    self._mean = np.zeros(self._flat.shape[1], np.float32)
    if len(thumbnails) > 2:
      total = sum(self._standardized(n).sum(axis=0) for n in self.numbers())
      self._mean = total / len(thumbnails)

  def numbers(self) -> Iterator[np.ndarray]:
    """Yield the numbers of all thumbnails, in blocks."""
    for start in range(0, len(self._flat), _BLOCK):
      yield np.arange(start, min(start + _BLOCK, len(self._flat)))

  def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
    """Return the vectors of some thumbnails; 0 where there is no contrast."""
    rows = self._standardized(numbers)
    rows -= rows.any(axis=1, keepdims=True) * self._mean
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(length, np.finfo(rows.dtype).tiny)

  def _standardized(self, numbers):
    rows = self._flat[numbers].astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    stddev = rows.std(axis=1, keepdims=True)
    return np.where(stddev >= _FLAT, rows / np.maximum(stddev, _FLAT), 0)


def _candidates(vectors) -> tuple[np.ndarray, bool]:
  """Return [M, 2], the pairs that may be alike, in order, and `in_crowd`."""
  places = [_projected(vectors[numbers]) for numbers in vectors.numbers()]
  if not places:
    return np.empty((0, 2), int), False
  points = np.concatenate(places)
  numbers = np.flatnonzero(points.any(axis=1))
  points = points[numbers]
  tree = spatial.cKDTree(points, leafsize=_LEAF)
  some = spatial.cKDTree(points[:: max(1, len(points) // _SAMPLE)])
  in_crowd = False
  # Each is its own neighbor, too.
  if some.count_neighbors(tree, _DISTANCE) <= (1 + CROWD) * some.n:
    pairs = tree.query_pairs(_DISTANCE, output_type='ndarray')
  elif len(numbers) <= _MOST_COMPARED and not _is_crowd(vectors, numbers):
    return _alike(vectors), False
  else:
    pairs, in_crowd = _nearest(tree), True
  return numbers[np.unique(pairs, axis=0)], in_crowd


def _is_crowd(vectors, numbers):
  """Return whether more than CROWD images are like each of a sample."""
  sample = vectors[numbers[:: max(1, len(numbers) // _SAMPLE)]]
  count = sum(
    np.count_nonzero(sample @ vectors[block].T >= SAME_PICTURE)
    for block in vectors.numbers()
  )
  return count > (1 + CROWD) * len(sample)


def _alike(vectors):
  """Return the pairs that are alike, of all that there are."""
  pairs = [np.empty((0, 2), int)]
  for block in vectors.numbers():
    rows = vectors[block]
    for other in vectors.numbers():
      if other[0] >= block[0]:
        products = rows @ vectors[other].T
        found = np.argwhere(products >= SAME_PICTURE - 1e-4)
        pairs.append(found + np.array([block[0], other[0]]))
  together = np.concatenate(pairs)
  together = together[together[:, 0] < together[:, 1]]
  return together[np.lexsort(together.T[::-1])]


def _projected(vectors):
  """Return the lowest frequencies of vectors, and the length of the others."""
  images = vectors.reshape(-1, SIDE, SIDE)
  frequencies = fft.dctn(images, axes=(1, 2), norm='ortho')
  low = frequencies[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(images), -1)
  others = (vectors**2).sum(axis=1) - (low**2).sum(axis=1)
  return np.column_stack([low, np.sqrt(np.maximum(others, 0))])


def _nearest(tree):
  """Return the pairs of each point with those that are nearest to it."""
  _, near = tree.query(tree.data, CROWD + 1, distance_upper_bound=_DISTANCE)
  first = np.repeat(np.arange(tree.n), near.shape[1])
  pairs = np.sort(np.column_stack([first, near.ravel()]), axis=1)
  is_pair = (pairs[:, 0] < pairs[:, 1]) & (pairs[:, 1] < tree.n)
  return pairs[is_pair]


def _blocks(pairs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  for start in range(0, len(pairs), _BLOCK):
    first, second = pairs[start : start + _BLOCK].T
    yield first, second
