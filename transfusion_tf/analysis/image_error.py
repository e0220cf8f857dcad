"""Intervals of similarities: what the draws of images and channels leave open.

Patches of an image are alike, so that few images make two networks look more
alike than many do, however many patches they hold; and the repeats of a
comparison share their images, so that their spread tells little of other
images. Both are had from the folds of the images (Sampling), by the jackknife
over groups (Quenouille 1956, Tukey 1958): leaving one of G folds out changes
the figure of all by a difference, whose mean, times -(G - 1), estimates what
too few images add, and whose scatter gives the standard error. Each repeat
gives the difference of the fold that it leaves out, at its own channels; the
scatter of the repeats' figures of all folds, which have the same images, is
that of the channels.

The interval is of the figure of endlessly many images and all their patches,
averaged over all draws of channels. Where images are fewer than channels and
their patches much alike, covariances are far from those of many images, and no
fold left out tells how far: the interval is too narrow there.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np
import scipy.stats

_CONFIDENCE = 0.95


class Interval(NamedTuple):
  """An estimate with its 95 % interval.

  Attributes:
    estimate: The mean over repeats, without what too few images add.
    low: Lower end.
    high: Upper end.
  """

  estimate: float
  low: float
  high: float


def interval(
  whole: Sequence[float], left_out: Sequence[float], folds: int
) -> Interval | None:
  """Return the interval of a measure; None if it is undefined.

  Args:
    whole: [repeat] the measure on all folds.
    left_out: [repeat] the same without fold `repeat % folds`.
    folds: G, at most as many as repeats; one fold has no scatter.
  """
  values = np.array([whole, left_out], float)
  if folds < 2 or not np.all(np.isfinite(values)):
    return None
  repeats = values.shape[1]
  places = np.arange(repeats) % folds
  counts = np.bincount(places, minlength=folds)
  changes = np.bincount(places, values[1] - values[0], folds) / counts
  estimate = np.mean(values[0]) - (folds - 1) * np.mean(changes)
  of_images = (folds - 1) ** 2 / folds * np.var(changes, ddof=1)
  of_channels = np.var(values[0], ddof=1) / repeats
  reach = scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, folds - 1)
  half = float(reach * math.sqrt(of_images + of_channels))
  return Interval(
    float(estimate), float(estimate) - half, float(estimate) + half
  )
