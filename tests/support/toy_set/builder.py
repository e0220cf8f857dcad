"""Builds the toy set, squeezed into squares."""

import functools

import tensorflow_datasets as tfds

from data import base_builder
from data import images
from toy_set import layout


class Builder(base_builder.Builder):
  """Pictures of two classes."""

  name = 'toy'
  BUILDER_CONFIGS = (base_builder.config('drawn', 32),)

  def find(self, manual_dir):
    return layout.find(manual_dir)

  def label_features(self):
    return {'label': tfds.features.ClassLabel(names=['dark', 'bright'])}

  @property
  def picture(self):
    return functools.partial(
      images.resize_to_square, side=self.builder_config.image_size
    )
