"""Builds `retina`: fundus photographs, graded for diabetic retinopathy."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import os
from typing import Any
from typing import ClassVar

from PIL import Image
import tensorflow_datasets as tfds

from data import building
from data import images
from data import listing
from data.retina import fundus
from data.retina import layouts
from transfusion_tf import errors

IMAGE_SIZE = 587  # Section 2 of the paper.


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
  """Which set of photographs, and the side of the squares to store."""

  source: str = 'kaggle'
  image_size: int = IMAGE_SIZE


def _config(source, image_size):
  return Config(
    name=f'{source}_{image_size}', source=source, image_size=image_size
  )


class Builder(building.Builder):
  """One square around the disc of the fundus for each photograph."""

  BUILDER_CONFIGS: ClassVar[list[Config]] = [
    _config(name, IMAGE_SIZE) for name in layouts.LAYOUTS
  ]

  def find(self, manual_dir: str | os.PathLike) -> listing.Listing:
    return layouts.find(manual_dir, self.builder_config.source)

  def label_features(self) -> Mapping[str, Any]:
    return {
      'grade': tfds.features.ClassLabel(names=layouts.GRADES),
      'eye': tfds.features.Text(),  # left, right, or empty if it is not said.
    }

  @property
  def picture(self) -> Callable[[bytes], Image.Image]:
    return functools.partial(_picture, size=self.builder_config.image_size)

  @property
  def look(self) -> Callable[[Image.Image], str]:
    return _look


def builder(
  data_dir: str | os.PathLike, source: str | None, image_size: int | None
) -> Builder:
  """The builder of config SOURCE_SIZE; None is the default.

  Raises:
    InputError: There is no such source.
  """
  source, image_size = source or 'kaggle', image_size or IMAGE_SIZE
  if source not in layouts.LAYOUTS:
    raise errors.unknown('source', source, layouts.LAYOUTS)
  config = _config(source, image_size)
  config = Builder.builder_configs.get(config.name, config)
  return Builder(data_dir=data_dir, config=config)


def _picture(data, size):
  return fundus.crop(images.load(data, at_least=2 * size), size)


def _look(image):
  return '' if fundus.find_disc(image) else 'no fundus disc'
