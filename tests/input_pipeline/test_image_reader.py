"""Windows of images: where they lie, and that they are resized once."""

import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import image_reader

_SIZE = 40


def _image(height=_SIZE, width=_SIZE, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def _uniforms(count):
  return [augment.augmentation_uniforms(0, np.int64(n)) for n in range(count)]


def _reader(stored_side=0, size=_SIZE, **data):
  return image_reader.ImageReader(
    config.Data(dataset='', image_size=size, **data), stored_side
  )


@pytest.mark.parametrize('encode', [tf.io.encode_jpeg, tf.io.encode_png])
def test_the_crop_is_a_window_of_the_image_and_lands_everywhere(encode):
  encoded = encode(_image())
  whole = tf.io.decode_image(encoded).numpy()
  corners = [(y, x) for y in range(5) for x in range(5)]
  found = set()
  for uniforms in _uniforms(200):
    crop = _reader(stored_side=_SIZE).training(encoded, uniforms).numpy()
    assert crop.shape == (36, 36, 3)
    # The edge of a JPEG window interpolates its color from fewer samples.
    found |= {
      (y, x)
      for y, x in corners
      if (whole[y + 2 : y + 34, x + 2 : x + 34] == crop[2:-2, 2:-2]).all()
    }
  assert found == set(corners)


def test_images_of_other_sizes_are_resized_once():
  """The host's window has the network's size, so that the step leaves it."""
  reader, image = _reader(eval_crop=0.9), _image(64, 48)
  encoded = tf.io.encode_png(image)
  assert reader.evaluation_side == _SIZE
  expected = tf.image.resize(
    image[3:61, 2:45].astype(np.float32), [_SIZE, _SIZE], antialias=True
  )
  np.testing.assert_array_equal(
    reader.evaluation(encoded), tf.round(expected).numpy().clip(0, 255)
  )
  training = reader.training(encoded, _uniforms(1)[0])
  assert training.shape == (_SIZE, _SIZE, 3)


def test_images_of_the_networks_size_are_not_resized_on_the_host():
  reader, image = _reader(stored_side=_SIZE, eval_crop=0.9), _image()
  evaluated = reader.evaluation(tf.io.encode_png(image))
  assert reader.evaluation_side == 36
  np.testing.assert_array_equal(evaluated, image[2:38, 2:38])
  whole = _reader(stored_side=_SIZE).evaluation(tf.io.encode_png(image))
  np.testing.assert_array_equal(whole, image)


def test_gray_images_have_three_equal_channels():
  gray = tf.io.encode_png(_image()[..., :1])
  decoded = _reader().evaluation(gray).numpy()
  assert (decoded == decoded[..., :1]).all()


def _gradient(height, width):
  """An image whose pixels tell their place: y, x and a constant."""
  y, x = np.mgrid[:height, :width]
  return np.stack([y, x, np.full_like(y, 99)], axis=-1).astype(np.uint8)


def test_windows_of_random_area_are_those_of_imagenets_recipe():
  """10 to 100 % of the image (see `_MIN_COVERED`), 3 : 4 to 4 : 3."""
  height, width = 180, 240
  reader = _reader(augment=config.IMAGENET.data.augment)
  encoded = tf.io.encode_png(_gradient(height, width))
  areas, aspects, centers = [], [], []
  for uniforms in _uniforms(400):
    crop = reader.training(encoded, uniforms).numpy()
    assert (crop[..., 2] == 99).all()
    # A pixel of the network's spans `step` pixels of the image.
    step = [np.ptp(crop[..., k]) / (_SIZE - 1) for k in range(2)]
    sides = [s * _SIZE for s in step]
    areas.append(np.prod(sides) / (height * width))
    aspects.append(sides[1] / sides[0])
    centers.append(crop[..., :2].mean(axis=(0, 1)) / (height, width))
  assert 0.09 < min(areas) < 0.16
  assert max(areas) > 0.85
  assert np.mean(areas) == pytest.approx(0.4, abs=0.06)
  # The lengths are known to about a pixel.
  assert min(aspects) == pytest.approx(3 / 4, rel=0.06)
  assert max(aspects) == pytest.approx(4 / 3, rel=0.06)
  np.testing.assert_allclose(np.mean(centers, axis=0), 0.5, atol=0.03)
  again = reader.training(encoded, _uniforms(1)[0])
  np.testing.assert_array_equal(
    again, reader.training(encoded, _uniforms(1)[0])
  )


def test_imagenets_evaluation_is_224_of_256():
  data = config.IMAGENET.data
  reader = image_reader.ImageReader(data)
  assert data.image_size == 224
  image = _gradient(240, 200)
  evaluated = reader.evaluation(tf.io.encode_png(image)).numpy()
  # 175 of the shorter side's 200, in the middle of both.
  assert evaluated.shape == (224, 224, 3)
  (top, bottom), (left, right) = (
    (evaluated[..., k].min(), evaluated[..., k].max()) for k in range(2)
  )
  assert (top, bottom) == (32, 206)
  assert (left, right) == (12, 186)


def _power_above(images, frequency):
  """The share of the spectrum's power above `frequency`, in cycles a pixel."""
  gray = np.asarray(images, np.float64).mean(axis=-1)
  gray -= gray.mean(axis=(1, 2), keepdims=True)
  window = np.hanning(gray.shape[1])
  power = np.abs(np.fft.fft2(gray * window * window[:, None])) ** 2
  axis = np.fft.fftfreq(gray.shape[1])
  high = np.hypot(axis[:, None], axis) > frequency
  return power[:, high].sum() / power.sum()


@pytest.mark.parametrize(
  ('recipe', 'stored_side'),
  [('chexpert', 256), ('imagenet2012', 0), ('image_table', 0)],
)
def test_training_and_evaluation_keep_the_same_detail(recipe, stored_side):
  """White noise, stored at 256 px: all frequencies are equally strong."""
  data = config.RECIPES[recipe].data
  if recipe == 'imagenet2012':  # Random areas are of many scales.
    data = config.override(
      config.IMAGENET, {'data.augment': config.Augment(crop=224 / 256)}
    ).data
  reader = image_reader.ImageReader(data, stored_side)
  stored = [tf.io.encode_png(_image(256, 256, seed)) for seed in range(8)]
  uniforms = tf.stack(_uniforms(8))
  training = tf.stack(
    [reader.training(s, u) for s, u in zip(stored, uniforms, strict=True)]
  )
  evaluation = tf.stack([reader.evaluation(s) for s in stored])
  strengths = config.Augment(**vars(config.NO_AUGMENT) | {'crop': 0.9})
  found = [
    _power_above(images, 0.4)
    for images in (
      augment.augment(training, uniforms, data.image_size, strengths),
      augment.evaluate(evaluation, data.image_size),
    )
  ]
  print(f'{recipe}: {found[0]:.3f} in training, {found[1]:.3f} evaluated')
  assert found[0] == pytest.approx(found[1], rel=0.1)
