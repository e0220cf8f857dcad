"""Pictures that are in a set twice, under other bytes."""

import io

import numpy as np
from PIL import Image
from PIL import ImageEnhance
import pytest
from scipy import fft

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
  found = near_duplicates.find(thumbnails).pairs
  assert {pair.second: pair.first for pair in found} == copies
  assert all(pair.correlation <= 1.001 for pair in found)


def test_pictures_without_contrast_are_like_no_other():
  flat = np.full((3, near_duplicates.SIDE, near_duplicates.SIDE), 9, np.uint8)
  assert near_duplicates.find(flat) == ([], False)


def _related(count):
  """Mixtures of few pictures: pairs of any correlation."""
  rng = np.random.default_rng(0)
  some = np.stack([near_duplicates.thumbnail(_picture(n)) for n in range(30)])
  weights = rng.dirichlet(np.full(30, 0.02), count)
  noise = rng.normal(0, 4, (count, *some.shape[1:]))
  mixed = np.tensordot(weights, some.astype(float), 1) + noise
  return mixed.clip(0, 255).astype(np.uint8)


def _compared_with_all(thumbnails):
  """Return the pairs, by the definition."""
  rows = thumbnails.reshape(len(thumbnails), -1).astype(float)
  rows -= rows.mean(axis=1, keepdims=True)
  rows /= rows.std(axis=1, keepdims=True)
  correlations = np.corrcoef(rows - rows.mean(axis=0))
  near = np.triu(correlations, 1) >= near_duplicates.SAME_PICTURE
  return [tuple(pair) for pair in np.argwhere(near)]


def test_the_tree_misses_no_pair():
  thumbnails = _related(300)
  expected = _compared_with_all(thumbnails)
  assert len(expected) > 100
  found = near_duplicates.find(thumbnails)
  assert [pair[:2] for pair in found.pairs] == expected
  assert not found.in_crowd


def _film(frames):
  """Three scenes of so many frames each."""
  rng = np.random.default_rng(0)
  scenes = [near_duplicates.thumbnail(_picture(n)) for n in range(3)]
  scenes = np.repeat(scenes, frames, axis=0)
  noisy = scenes + rng.integers(-2, 3, scenes.shape)
  return noisy.clip(0, 255).astype(np.uint8)


def test_of_a_crowd_the_nearest_are_found():
  """A film has too many pairs to list: a hundred frames, 4950."""
  pairs, in_crowd = near_duplicates.find(_film(100))
  assert in_crowd
  assert len(pairs) <= 300 * 10
  assert {n for pair in pairs for n in pair[:2]} == set(range(300))
  assert all(pair.first // 100 == pair.second // 100 for pair in pairs)


@pytest.mark.parametrize('others, in_crowd', [(10, False), (11, True)])
def test_more_than_ten_like_each_are_a_crowd(others, in_crowd):
  frames = 1 + others
  found = near_duplicates.find(_film(frames))
  assert found.in_crowd == in_crowd
  if not in_crowd:  # All pairs.
    assert len(found.pairs) == 3 * frames * others // 2


def _textures(count, copies):
  """Noise that low frequencies do not tell apart, the last of it repeated."""
  rng = np.random.default_rng(0)
  thumbnails = rng.normal(120, 40, (count, 32, 32))
  frequencies = fft.dctn(thumbnails, axes=(1, 2))
  frequencies[:, :4, :4] *= 0.01
  thumbnails = 120 + fft.idctn(frequencies, axes=(1, 2))
  thumbnails[-copies:] = thumbnails[:copies] + rng.normal(0, 6, (32, 32))
  return thumbnails.clip(0, 255).astype(np.uint8)


def test_textures_are_no_crowd_and_no_pair_of_them_is_missed(monkeypatch):
  thumbnails = _textures(200, 20)
  for block in (7, 4096):
    monkeypatch.setattr(near_duplicates, '_BLOCK', block)
    found = near_duplicates.find(thumbnails)
    assert not found.in_crowd
    assert [pair[:2] for pair in found.pairs] == [
      (n, 180 + n) for n in range(20)
    ]
  monkeypatch.setattr(near_duplicates, '_MOST_COMPARED', 199)
  assert near_duplicates.find(thumbnails).in_crowd


def test_sets_of_any_size(monkeypatch):
  """Blocks make no difference."""
  rng = np.random.default_rng(0)
  shape = (50, near_duplicates.SIDE, near_duplicates.SIDE)
  thumbnails = rng.integers(0, 256, shape).astype(np.uint8)
  thumbnails[[20, 49]] = thumbnails[[3, 48]]
  expected = [(3, 20), (48, 49)]
  for block in (7, 50, 4096):
    monkeypatch.setattr(near_duplicates, '_BLOCK', block)
    found = near_duplicates.find(thumbnails).pairs
    assert [pair[:2] for pair in found] == expected
  for size in (0, 1, 2):
    assert near_duplicates.find(thumbnails[:size]) == ([], False)
