"""The disc of a fundus photograph is found, cut out and scaled."""

import numpy as np
from PIL import Image
import pytest
from scipy import ndimage
from skimage import data as skimage_data

from data import images
from data.demo import fundus as demo_fundus
from data.retina import fundus


def _photo(width, height, x, y, radius, seed=0, ground=4):
  """A disc that darkens towards its rim, with noise, on dark ground."""
  rng = np.random.default_rng(seed)
  rows, columns = np.mgrid[:height, :width]
  distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y) / radius
  light = np.where(distance < 1, 1 - 0.5 * distance**2, 0)
  pixels = light[..., None] * (190, 90, 60)
  pixels += rng.normal(ground, 3, pixels.shape)
  return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
  'width, height, x, y, radius',
  [
    (600, 400, 300, 200, 180),  # Whole.
    (600, 400, 240, 190, 150),  # Off the center.
    (600, 400, 300, 200, 240),  # Top and bottom are cut off.
    (600, 400, 330, 260, 240),  # Bottom only.
    (400, 400, 200, 200, 199),  # Touches all sides.
    (500, 400, 250, 200, 270),  # Only the corners are dark.
    (3888, 2592, 1950, 1300, 1250),  # As large as a camera's.
  ],
)
@pytest.mark.parametrize('ground', [0, 12])
def test_the_disc_is_found(width, height, x, y, radius, ground):
  disc = fundus.find_disc(_photo(width, height, x, y, radius, ground=ground))
  assert disc is not None
  error = np.abs(np.subtract(disc, (x, y, radius))).max()
  assert error < 0.02 * radius


def test_the_disc_of_a_real_photograph():
  image = skimage_data.retina()
  disc = fundus.find_disc(Image.fromarray(image))
  np.testing.assert_allclose(disc, (706, 705, 690), atol=10)


@pytest.mark.parametrize('eye', ['left', 'right'])
@pytest.mark.parametrize('grade', [0, 4])
def test_the_disc_of_a_demo_photograph(eye, grade):
  for patient in range(20):
    photo = demo_fundus.photograph(96, eye, grade, [0, patient])
    disc = fundus.find_disc(Image.fromarray(photo))
    assert disc is not None
    assert abs(disc.y - 48) < 2 and abs(disc.radius - 47.5) < 2


@pytest.mark.parametrize(
  'pixels',
  [
    np.zeros((300, 400, 3)),
    np.full((300, 400, 3), 200),
    np.random.default_rng(0).integers(0, 256, (300, 400, 3)),
    np.tile(np.linspace(0, 255, 400)[:, None], (300, 1, 3)),
  ],
  ids=['black', 'white', 'noise', 'gradient'],
)
def test_there_is_not_always_a_disc(pixels):
  assert fundus.find_disc(Image.fromarray(pixels.astype(np.uint8))) is None


def test_the_crop_is_the_disc_in_a_square():
  square = np.asarray(fundus.crop(_photo(600, 400, 240, 190, 150), 100))
  assert square.shape == (100, 100, 3)
  red = square[..., 0].astype(int)
  assert red[50, 50] > 150  # The middle of the disc.
  assert red[50, 3] > 50 and red[50, -4] > 50 and red[3, 50] > 50
  assert red[:8, :8].max() < 30 and red[-8:, -8:].max() < 30  # Off the disc.


def test_a_disc_beyond_the_photograph_is_padded_black_and_not_stretched():
  square = np.asarray(fundus.crop(_photo(600, 400, 300, 200, 240), 240))
  lit = square[..., 0] > 40
  assert lit[120].sum() > 230  # The full width,
  assert abs(lit[:, 120].sum() - 200) < 8  # 400 of 480 pixels of height.
  assert not lit[:15].any() and not lit[-15:].any()


@pytest.mark.parametrize('size', [(400, 300), (300, 400)])
def test_without_a_disc_the_photograph_is_kept_whole(size):
  image = Image.new('RGB', size, (10, 200, 30))
  square = np.asarray(fundus.crop(image, 80)).astype(int)
  green = square[..., 1] > 100
  assert square.shape == (80, 80, 3)
  assert abs(green.sum() - 80 * 60) <= 160
  assert green[40, 40]


def test_gray_photographs_stay_gray():
  gray = _photo(600, 400, 300, 200, 180).convert('L')
  assert fundus.crop(gray, 64).mode == 'L'


def _side_by_side(*photos):
  return Image.fromarray(np.concatenate([np.asarray(p) for p in photos], 1))


def test_two_eyes_side_by_side_are_noted():
  eye = _photo(400, 400, 200, 200, 180)
  other = _photo(400, 400, 190, 210, 170, seed=1)
  both = _side_by_side(eye, other)
  assert fundus.note(both) == 'two eyes in a photograph'
  assert fundus.note(eye) == ''


@pytest.mark.parametrize('width', [600, 711, 900])
def test_one_eye_in_a_wide_photograph_is_one(width):
  for radius in (120, 190, 240):
    eye = _photo(width, 400, width / 2, 200, radius)
    assert fundus.note(eye) == ''


@pytest.mark.parametrize('shape', [(192, 256), (40, 7), (1, 9), (3, 1)])
@pytest.mark.parametrize('low, high', [(0, 256), (100, 103), (254, 256)])
def test_the_median_is_scipys(shape, low, high):
  light = np.random.default_rng(1).integers(low, high, shape, np.uint8)
  np.testing.assert_array_equal(
    fundus.median(light), ndimage.median_filter(light, 5)
  )


def test_decoding_at_a_fraction_changes_pixels_by_little():
  """A JPEG is decoded at half its size where that is enough for the disc."""
  eye = Image.fromarray(skimage_data.retina())
  photo = Image.new('RGB', (1800, 1411))
  photo.paste(eye, (200, 0))
  data = images.jpeg(photo)
  assert images.load(data, 2 * 350).size == (900, 706)
  half = np.asarray(fundus.picture(data, 350)).astype(int)
  whole = np.asarray(fundus.crop(images.load(data), 350)).astype(int)
  difference = np.abs(half - whole)
  assert 0 < difference.mean() < 2
  assert np.mean(difference > 16) < 0.01
