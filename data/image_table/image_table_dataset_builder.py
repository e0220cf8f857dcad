"""Builds a data set, under a name of one's own, from a CSV and images."""

from collections.abc import Callable, Mapping
import functools
import os
import re
from typing import Any

from PIL import Image
import tensorflow_datasets as tfds

from data import base_builder
from data import images
from data import places
from data import raw_dataset
from data.image_table import layout
from data.retina import fundus as fundus_lib
from data.retina import retina_dataset_builder as retina
from transfusion_tf import datasets
from transfusion_tf import errors

_TAKEN = (*datasets.DATASETS, 'preflight')


class Builder(base_builder.Builder):
  """Images as they are, with a shorter side scaled, or discs of the fundus."""

  def __init__(
    self,
    *,
    name: str,
    table: layout.Table,
    image_size: int = 0,
    fundus: bool = False,
    **kwargs: Any,
  ):
    """Make the builder of a table.

    Args:
      name: Name of the prepared data set.
      table: The result of `layout.find`.
      image_size: The shorter side in pixels, the aspect being kept; 0 leaves
        the size as it is.
      fundus: If true, the disc of the fundus is cut out, as for `retina`, in a
        square of that side.
      **kwargs: Arguments of the base class.

    Raises:
      InputError: The name is not fit for a folder, or is taken.
    """
    if not re.fullmatch('[a-z][a-z0-9_]*', name) or name in _TAKEN:
      raise errors.InputError(
        f'an image table cannot be called {name!r}: choose a --name of '
        f'a-z, 0-9 and _ other than {", ".join(_TAKEN)}'
      )
    self.name = name
    self._table = table
    self._image_size = image_size
    self._disc_side = (image_size or retina.IMAGE_SIZE) if fundus else 0
    super().__init__(**kwargs)

  def find(self, manual_dir: str | os.PathLike) -> raw_dataset.RawDataset:
    del manual_dir  # The table has been read: it says what features there are.
    return self._table.dataset

  def label_features(self) -> Mapping[str, Any]:
    if self._table.kind == 'findings':
      return {'findings': base_builder.findings_feature(self._table.names)}
    return {self._table.kind: tfds.features.ClassLabel(names=self._table.names)}

  def recorded(self) -> Mapping[str, Any]:
    if not self._disc_side:
      return {'shorter_side': self._image_size}
    return {'square': {'kind': 'fundus', 'side': self._disc_side}}

  @property
  def squeezed_side(self) -> int:
    return 0 if self._disc_side else self._image_size

  @property
  def picture(self) -> Callable[[places.Raw], Image.Image]:
    if self._disc_side:
      return functools.partial(fundus_lib.picture, size=self._disc_side)
    if not self._image_size:
      return images.as_it_is
    return functools.partial(
      images.resize_shorter_side, shorter_side=self._image_size
    )

  @property
  def look(self) -> Callable[[Image.Image], str]:
    if self._disc_side:
      return fundus_lib.note
    return functools.partial(_check_size, shorter_side=self._image_size)


def _check_size(image, shorter_side):
  """Refuse an image that is too large once it is scaled; note nothing."""
  size = image.size
  images.check_stored_size(
    *(images.stored_size(*size, shorter_side) if shorter_side else size)
  )
  return ''
