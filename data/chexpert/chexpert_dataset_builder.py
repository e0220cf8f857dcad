"""Builds `chexpert`: chest x-rays with fourteen observations."""

from collections.abc import Callable, Mapping
import functools
import os
from typing import Any, ClassVar

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

from data import base_builder
from data import images
from data import places
from data import raw_dataset
from data.chexpert import layout

# The paper's x-rays have 224 pixels (Section 2): of 256, nine tenths are more.
IMAGE_SIZE = 256


class Builder(base_builder.Builder):
  """Each x-ray whole, squeezed into a square as the paper does."""

  BUILDER_CONFIGS: ClassVar[list[base_builder.Config]] = [
    base_builder.config(name, IMAGE_SIZE) for name in layout.FOLDERS
  ]

  def find(self, manual_dir: str | os.PathLike) -> raw_dataset.RawDataset:
    return layout.find(manual_dir, self.builder_config.source)

  def label_features(self) -> Mapping[str, Any]:
    return {
      'findings': base_builder.findings_feature(layout.OBSERVATIONS),
      'view': tfds.features.Text(),  # frontal or lateral.
      'projection': tfds.features.Text(),  # AP, PA, ...; empty if lateral.
      'sex': tfds.features.Text(),
      'age': tfds.features.Scalar(np.int64),
      'study_id': tfds.features.Text(),
    }

  @property
  def picture(self) -> Callable[[places.Raw], Image.Image]:
    return functools.partial(
      images.resize_to_square, side=self.builder_config.image_size
    )
