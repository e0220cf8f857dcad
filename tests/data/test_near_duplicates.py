"""Pictures that are in a set twice, under other bytes."""

import io

import numpy as np
from PIL import Image
from PIL import ImageEnhance
import pytest

from data import near_duplicates


def _picture(seed):
  """Smooth blobs in a bright disc on black, as all of its kind."""
  rng = np.random.default_rng(seed)
  blobs = rng.integers(60, 200, (7, 7)).astype(np.uint8)
  smooth = Image.fromarray(blobs).resize((120, 120), Image.Resampling.BICUBIC)
  y, x = np.mgrid[-1:1:120j, -1:1:120j]
  return Image.fromarray(np.asarray(smooth) * (x**2 + y**2 < 0.9))


def _saved(image):
  buffer = io.BytesIO()
  image.save(buffer, 'JPEG', quality=30)
  return Image.open(buffer)


_CHANGES = {
  'same': lambda image: image,
  'saved again': _saved,
  'half the size': lambda image: image.resize((60, 60)),
  'more contrast': lambda image: ImageEnhance.Contrast(image).enhance(1.4),
  'darker': lambda image: ImageEnhance.Brightness(image).enhance(0.7),
}


@pytest.mark.parametrize('change', _CHANGES)
def test_copies_are_found_and_nothing_else(change):
  pictures = [_picture(seed) for seed in range(60)]
  copies = {60: 7, 61: 0, 62: 59}
  pictures += [_CHANGES[change](pictures[i]) for i in copies.values()]
  thumbnails = np.stack(list(map(near_duplicates.thumbnail, pictures)))
  found = near_duplicates.find(thumbnails)
  assert {pair.second: pair.first for pair in found} == copies
  assert all(pair.correlation <= 1.001 for pair in found)


def test_pictures_without_contrast_are_like_no_other():
  flat = np.full((3, near_duplicates.SIDE, near_duplicates.SIDE), 9, np.uint8)
  assert near_duplicates.find(flat) == []


def test_sets_of_any_size(monkeypatch):
  """Blocks make no difference."""
  rng = np.random.default_rng(0)
  shape = (50, near_duplicates.SIDE, near_duplicates.SIDE)
  thumbnails = rng.integers(0, 256, shape).astype(np.uint8)
  thumbnails[[20, 49]] = thumbnails[[3, 48]]
  expected = [(3, 20), (48, 49)]
  for block in (7, 50, 4096):
    monkeypatch.setattr(near_duplicates, '_BLOCK', block)
    found = near_duplicates.find(thumbnails)
    assert [pair[:2] for pair in found] == expected
  for size in (0, 1, 2):
    assert near_duplicates.find(thumbnails[:size]) == []
