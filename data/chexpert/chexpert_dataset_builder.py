"""Builds `chexpert`: chest x-rays with fourteen observations."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import os
from typing import Any
from typing import ClassVar

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

from data import building
from data import images
from data import listing
from data.chexpert import layout
from transfusion_tf import errors

# The paper resizes to 224 (Section 2). 256 leaves a crop of 90 % of the side,
# 230 pixels, above that.
IMAGE_SIZE = 256


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
  """Which of the two published sizes, and the side of the squares to store."""

  source: str = 'small'
  image_size: int = IMAGE_SIZE


def _config(source, image_size):
  return Config(
    name=f'{source}_{image_size}', source=source, image_size=image_size
  )


class Builder(building.Builder):
  """Each x-ray whole, squeezed into a square as the paper does."""

  BUILDER_CONFIGS: ClassVar[list[Config]] = [
    _config(name, IMAGE_SIZE) for name in layout.FOLDERS
  ]

  def find(self, manual_dir: str | os.PathLike) -> listing.Listing:
    return layout.find(manual_dir, self.builder_config.source)

  def label_features(self) -> Mapping[str, Any]:
    return {
      'findings': building.findings_feature(layout.OBSERVATIONS),
      'view': tfds.features.Text(),  # frontal or lateral.
      'projection': tfds.features.Text(),  # AP, PA, ...; empty if lateral.
      'sex': tfds.features.Text(),
      'age': tfds.features.Scalar(np.int64),
      'study_id': tfds.features.Text(),
    }

  @property
  def picture(self) -> Callable[[bytes], Image.Image]:
    return functools.partial(_picture, size=self.builder_config.image_size)


def builder(
  data_dir: str | os.PathLike, source: str | None, image_size: int | None
) -> Builder:
  """The builder of config SOURCE_SIZE; None is the default.

  Raises:
    InputError: There is no such source.
  """
  source, image_size = source or 'small', image_size or IMAGE_SIZE
  if source not in layout.FOLDERS:
    raise errors.unknown('source', source, layout.FOLDERS)
  config = _config(source, image_size)
  config = Builder.builder_configs.get(config.name, config)
  return Builder(data_dir=data_dir, config=config)


def _picture(data, size):
  return images.scale(images.load(data, at_least=2 * size), (size, size))
