"""The augmentation's operations: against tf.image, and as laws."""

import host_xla
import numpy as np
import pytest
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.input_pipeline import augment
from transfusion_tf.input_pipeline import color

_SIZE = 40


def _images(count=6, size=_SIZE):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def _draws(count):
  return tf.stack(
    [augment.augmentation_uniforms(0, np.int64(n)) for n in range(count)]
  )


def _only(**strengths):
  return config.Augment(**(vars(config.NO_AUGMENT) | strengths))


def _augment(images, draws, strengths):
  size = images.shape[1]
  return augment.augment(images, draws, size, strengths).numpy()


def _corners_of_color():
  """Images [1, 12, 30, 3] of ties: gray, black, white, two equal channels."""
  levels = np.array([0, 1 / 255, 0.5, 254 / 255, 1])
  mixed = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
  return np.resize(mixed, (1, 12, 30, 3)).astype(np.float32)


@pytest.mark.parametrize(
  'images', [_images() / np.float32(255), _corners_of_color()]
)
@pytest.mark.parametrize(
  'compiled', [False, pytest.param(True, marks=host_xla.needed)]
)
def test_hue_agrees_with_tf_image(images, compiled):
  turns = np.linspace(-0.5, 0.5, 21, dtype=np.float32)
  adjust = tf.function(color.adjust_hue, jit_compile=compiled)
  for turn in turns:
    planes = adjust(list(np.moveaxis(images, -1, 0)), turn)
    np.testing.assert_allclose(
      tf.stack(planes, axis=-1), tf.image.adjust_hue(images, turn), atol=2e-6
    )


def test_no_turn_of_the_hue_changes_nothing():
  images = np.concatenate([_images(1, 30)[:, :12] / 255, _corners_of_color()])
  planes = list(np.moveaxis(images.astype(np.float32), -1, 0))
  turned = color.adjust_hue(planes, np.zeros([2, 1, 1], np.float32))
  np.testing.assert_allclose(turned, planes, rtol=0, atol=1e-6)


def test_contrast_agrees_with_tf_image():
  images = tf.cast(_images(), tf.float32) / 255
  factors = np.linspace(0.5, 2, len(images), dtype=np.float32)
  planes = [
    color.adjust_contrast(plane, factors[:, None, None])
    for plane in tf.unstack(images, axis=-1)
  ]
  ours = tf.stack(planes, axis=-1)
  for image, factor, scaled in zip(images, factors, ours, strict=True):
    np.testing.assert_allclose(
      scaled, tf.image.adjust_contrast(image, factor), atol=2e-6
    )


def test_the_whole_chain_agrees_with_tf_image():
  images, draws, strengths = _images(), _draws(6).numpy(), config.Augment()
  ours = augment.augment(
    images, tf.constant(draws), 44, strengths, kind='caffe'
  )
  low, high = strengths.contrast
  for image, draw, found in zip(images, draws, ours, strict=True):
    _, _, left_right, up_down, hue, contrast = draw
    image = image[:, ::-1] if left_right < 0.5 else image
    image = image[::-1] if up_down < 0.5 else image
    image = tf.image.convert_image_dtype(image, tf.float32)
    image = tf.image.resize(image, [44, 44])
    image = tf.image.adjust_hue(image, (2 * hue - 1) * strengths.hue)
    image = tf.image.adjust_contrast(image, low + contrast * (high - low))
    image = augment.normalize(tf.clip_by_value(image, 0, 1), 'caffe')
    np.testing.assert_allclose(found, image, atol=255 * 4e-6)


def test_without_strengths_nothing_changes():
  images = _images()
  augmented = _augment(images, _draws(len(images)), config.NO_AUGMENT)
  np.testing.assert_allclose(augmented, images / 255, atol=1e-6)


@pytest.mark.parametrize(
  ('strength', 'axis'), [('flip_left_right', 2), ('flip_up_down', 1)]
)
def test_flips_flip_half_the_time(strength, axis):
  images = np.tile(_images(1, 8), (2000, 1, 1, 1))
  augmented = _augment(images, _draws(2000), _only(**{strength: True}))
  flipped = np.isclose(augmented, np.flip(images, axis) / 255).all((1, 2, 3))
  kept = np.isclose(augmented, images / 255).all((1, 2, 3))
  assert (flipped ^ kept).all()
  assert flipped.mean() == pytest.approx(0.5, abs=0.05)


def test_the_draws_cover_their_range_and_depend_on_seed_and_place():
  draws = np.array(_draws(2000))
  assert draws.shape == (2000, augment.NUM_UNIFORMS)
  np.testing.assert_allclose(draws.mean(axis=0), 0.5, atol=0.03)
  assert np.abs(np.corrcoef(draws.T) - np.eye(draws.shape[1])).max() < 0.1
  other = augment.augmentation_uniforms(1, np.int64(0))
  assert not np.isclose(draws[0], other).any()
  np.testing.assert_array_equal(
    draws[7], augment.augmentation_uniforms(0, np.int64(7))
  )


def test_normalization_by_the_imagenet_statistics():
  images = tf.ones([1, 2, 2, 3]) * config.IMAGENET_MEAN
  assert np.abs(augment.normalize(images, 'imagenet')).max() < 1e-6
  ends = augment.normalize(tf.constant([[[[0.0, 0.5, 1.0]]]]), 'inception')
  np.testing.assert_allclose(ends, [[[[-1, 0, 1]]]])
  with pytest.raises(errors.InputError, match='imagenet'):
    augment.normalize(images, 'imagnet')


@host_xla.needed
def test_augmentation_compiles_and_agrees_compiled():
  images, draws = _images(), _draws(6)
  compiled = tf.function(
    lambda i, d: augment.augment(i, d, 44, config.Augment()),
    jit_compile=True,
  )
  np.testing.assert_allclose(
    compiled(images, draws),
    augment.augment(images, draws, 44, config.Augment()),
    atol=1e-5,
  )
