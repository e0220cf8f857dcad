"""How much alike two heat maps are."""

from collections.abc import Sequence
import itertools
from typing import NamedTuple

import numpy as np
import scipy.stats
from skimage import metrics
from skimage import transform

# From here on a map is said to have survived: random weights then give a
# quarter of the variance of the ranks.
SURVIVES = 0.5


class Likeness(NamedTuple):
  """Similarity of two maps; 1 is equal, NaN undefined: a map is constant.

  Attributes:
    rank: Spearman's correlation of the sizes of the values.
    ssim: Structural similarity of the maps, each scaled to 0 to 1.
  """

  rank: float
  ssim: float


def likeness(a: np.ndarray, b: np.ndarray, side: int) -> Likeness:
  """Compare two maps of one shape, without signs as published.

  Args:
    a: A map [h, w].
    b: Another.
    side: Side of the picture, at which they are seen.
  """
  rank = _rank(a, b)
  if np.isnan(rank):
    return Likeness(rank, rank)
  seen = (resized(x / x.max(), side) for x in (np.abs(a), np.abs(b)))
  return Likeness(
    rank, float(metrics.structural_similarity(*seen, data_range=1.0))
  )


def resized(heat: np.ndarray, side: int) -> np.ndarray:
  """Return a map at the side of its picture, smoothly enlarged."""
  if heat.shape == (side, side):
    return heat
  return transform.resize(heat, (side, side), order=1, anti_aliasing=False)


class Survival(NamedTuple):
  """What is left of a trained network's maps when all weights are drawn anew.

  Attributes:
    trained: Rank correlation of a map with those of random weights, the median
      over pictures of the mean over draws.
    random: The same of the maps of random weights with each other; NaN of a
      single draw.
  """

  trained: float
  random: float

  @property
  def survives(self) -> bool:
    return self.trained >= SURVIVES


def survival(
  trained: Sequence[np.ndarray], drawn: Sequence[Sequence[np.ndarray]]
) -> Survival:
  """Return what is left of the maps of pictures.

  Args:
    trained: `[picture]` maps of the trained network.
    drawn: `[draw][picture]` maps of random weights.
  """
  pairs = list(itertools.combinations(range(len(drawn)), 2))
  with_trained = [
    [_rank(heat, maps[n]) for maps in drawn] for n, heat in enumerate(trained)
  ]
  with_each_other = [
    [_rank(drawn[i][n], drawn[j][n]) for i, j in pairs]
    for n in range(len(trained))
  ]
  return Survival(_median(with_trained), _median(with_each_other))


def _rank(a, b):
  a, b = np.abs(a).ravel(), np.abs(b).ravel()
  if not all(np.isfinite(x).all() and np.ptp(x) for x in (a, b)):
    return float('nan')
  return float(scipy.stats.spearmanr(a, b).statistic)


def _median(values):
  """Return the median of the rows' means, of what is defined."""
  means = [np.mean(row) for row in values if row and np.isfinite(row).all()]
  return float(np.median(means)) if means else float('nan')
