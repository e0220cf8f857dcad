"""The sizes of raw images, and what storing them at another size does."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data import raw_dataset

# A square of a wider picture changes shapes that a network may have to see.
_MAX_ASPECT = 1.25
_MIN_ENLARGED = 1.25
_POINTS = (0.05, 0.5, 0.95)


def text(records: Sequence[raw_dataset.Record]) -> str:
  """Return one line: smallest, middle and largest size; '' if not known."""
  sizes = sorted(
    (r.size for r in records if all(r.size)), key=lambda s: (min(s), max(s))
  )
  if not sizes:
    return ''
  if sizes[0] == sizes[-1]:
    return f'sizes: all {_pixels(sizes[0])}'
  middle = _pixels(sizes[len(sizes) // 2])
  ends = f'{_pixels(sizes[0])} to {_pixels(sizes[-1])}'
  return f'sizes: {ends} pixels, the middle one {middle}'


def facts(records: Sequence[raw_dataset.Record]) -> dict[str, Any]:
  """Return what raw files are like, for whoever compares two data sets.

  Returns:
    `kinds`, the number of files of each kind; `shorter_side` in pixels and
    `aspect`, width over height: of each the 5 %, 50 % and 95 % points.
  """
  kinds = collections.Counter(r.file_kind for r in records if r.file_kind)
  sizes = np.array([r.size for r in records if all(r.size)], float)
  if not len(sizes):
    return {'kinds': dict(kinds)}
  values = {
    'shorter_side': sizes.min(axis=1),
    'aspect': sizes[:, 0] / sizes[:, 1],
  }
  points = {
    name: [round(float(q), 4) for q in np.quantile(each, _POINTS)]
    for name, each in values.items()
  }
  return {'kinds': dict(sorted(kinds.items())), **points}


def notes(
  records: Sequence[raw_dataset.Record], side: int
) -> Iterator[raw_dataset.Problem]:
  """Yield a note if many images are enlarged or squeezed.

  Args:
    records: Records with sizes.
    side: The side that images are brought to; 0 leaves them.
  """
  sizes = np.array([r.size for r in records if all(r.size)])
  if not side or not len(sizes):
    return
  shorter, longer = sizes.min(axis=1), sizes.max(axis=1)
  enlarged = shorter * _MIN_ENLARGED < side
  if enlarged.mean() > 0.5:
    typical = int(np.median(shorter))
    times = (side / typical) ** 2
    yield raw_dataset.Problem(
      'images are enlarged',
      _of(enlarged),
      f'the shorter side is typically {typical} pixels, --image_size={side}: '
      f'{times:.0f} times the work for no more detail',
    )
  wide = longer > _MAX_ASPECT * shorter
  if wide.mean() > 0.5:
    aspect = float(np.median(longer / shorter))
    yield raw_dataset.Problem(
      'images are squeezed',
      _of(wide),
      f'the longer side is typically {aspect:.2f} times the shorter, and a '
      'network sees a square; crop them first if shapes matter',
    )


def _of(chosen):
  return f'{int(chosen.sum()):,} of {len(chosen):,} images'


def _pixels(size):
  return f'{size[0]} x {size[1]}'
