"""Images that are worth a look before they are trained on."""

import numpy as np
from PIL import Image
from PIL import ImageFilter
import pytest

from data import preflight
from data import raw_dataset


def _picture(seed, size=120):
  rng = np.random.default_rng(seed)
  blobs = Image.fromarray(rng.integers(90, 200, (6, 6)).astype(np.uint8))
  smooth = np.asarray(blobs.resize((size, size), Image.Resampling.BICUBIC))
  noise = rng.integers(-12, 12, (size, size))
  return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


_ODD = {
  'blank image': Image.new('L', (120, 120), 90),
  'dark image': Image.eval(_picture(100), lambda value: value // 6),
  'bright image': Image.eval(_picture(101), lambda value: 230 + value // 12),
  'blurred image': _picture(102).filter(ImageFilter.GaussianBlur(4)),
  'image of another shape': _picture(103).resize((300, 100)),
  'image of far fewer pixels': _picture(104).resize((28, 28)),
}


@pytest.fixture
def check(tmp_path):
  def check(images):
    """The problems of images {name: image}, by kind."""
    records = []
    for name, image in images.items():
      path = tmp_path / f'{name}.png'
      image.save(path)
      labels = {'label': str(len(records) % 2)}
      records.append(raw_dataset.Record(path.name, name, str(path), '', labels))
    checked = preflight.check(raw_dataset.RawDataset(records), num_processes=1)
    found = {}
    for problem in checked.problems:
      found.setdefault(problem.kind, []).append(problem)
    return found

  return check


def test_each_kind_is_noted_and_no_other_image(check):
  usual = {f'usual{n}': _picture(n) for n in range(60)}
  odd = {kind.replace(' ', '_'): image for kind, image in _ODD.items()}
  found = check(usual | odd)
  for kind in _ODD:
    locations = {problem.location for problem in found[kind]}
    assert f'{kind.replace(" ", "_")}.png' in locations
    assert not any(name.startswith('usual') for name in locations)
  assert not any(kind.startswith('near') for kind in found)


def test_few_images_are_not_unlike_one_another(check):
  odd = {kind.replace(' ', '_'): image for kind, image in _ODD.items()}
  found = check(odd)
  assert [p.location for p in found['blank image']] == ['blank_image.png']
  assert not set(found) & (set(_ODD) - {'blank image'})


def test_copies_under_other_bytes_are_noted_with_their_splits(check):
  images = {f'usual{n}': _picture(n) for n in range(60)}
  for n in range(40):
    images[f'copy{n}'] = _picture(n).resize((90, 90))
  found = check(images)
  leaks = found['near-duplicates in two splits']
  others = found['near-duplicates in a split']
  assert len(leaks) + len(others) == 40
  assert len(leaks) > 5
  for problem in [*leaks, *others]:
    number = problem.location.removeprefix('usual').removesuffix('.png')
    assert f'is like copy{number}.png' in problem.detail
    assert 'of two patients' in problem.detail


@pytest.mark.parametrize('frames, notes', [(11, 0), (13, 1)])
def test_the_report_says_that_a_crowd_is_not_compared_with_all(
  check, frames, notes
):
  """Frames of three films, each a pixel further to the right."""
  films = [_picture(n, 160).resize((480, 480)) for n in range(3)]
  found = check(
    {
      f'film{n}_{x:02d}': film.crop((x, 0, x + 400, 400))
      for n, film in enumerate(films)
      for x in range(frames)
    }
  )
  crowd = found.get('near-duplicates in a crowd', [])
  assert len(crowd) == notes
  assert all('with the 10 nearest' in note.detail for note in crowd)
  pairs = [
    *found.get('near-duplicates in two splits', []),
    *found.get('near-duplicates in a split', []),
  ]
  all_pairs = 3 * frames * (frames - 1) // 2
  assert (len(pairs) < all_pairs) if notes else (len(pairs) == all_pairs)


def test_an_image_stored_twice_is_a_copy_not_a_near_duplicate(check):
  images = {f'usual{n}': _picture(n) for n in range(10)}
  found = check(images | {'again': _picture(4)})
  assert not any(kind.startswith('near') for kind in found)
  assert 'same image twice' in found or 'image in two splits' in found
