"""Builds `retina`: fundus photographs, graded for diabetic retinopathy."""

from collections.abc import Callable, Mapping
import functools
import os
from typing import Any, ClassVar

from PIL import Image
import tensorflow_datasets as tfds

from data import base_builder
from data import places
from data import raw_dataset
from data.retina import fundus
from data.retina import layouts

IMAGE_SIZE = 587  # Section 2 of the paper.


class Builder(base_builder.Builder):
  """One square around the disc of the fundus for each photograph."""

  BUILDER_CONFIGS: ClassVar[list[base_builder.Config]] = [
    base_builder.config(name, IMAGE_SIZE) for name in layouts.LAYOUTS
  ]

  def find(self, manual_dir: str | os.PathLike) -> raw_dataset.RawDataset:
    return layouts.find(manual_dir, self.builder_config.source)

  def label_features(self) -> Mapping[str, Any]:
    return {
      'grade': tfds.features.ClassLabel(names=layouts.GRADES),
      'eye': tfds.features.Text(),  # left, right, or empty if it is not said.
    }

  @property
  def picture(self) -> Callable[[places.Raw], Image.Image]:
    return functools.partial(
      fundus.picture, size=self.builder_config.image_size
    )

  @property
  def look(self) -> Callable[[Image.Image], str]:
    return fundus.note
