"""Another site's table of images, stored as a network's training images were.

All images are in the split `test`, unless the table says otherwise: nothing is
trained on them.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

from PIL import Image

from data import images
from data import places
from data import preflight_report
from data.image_table import image_table_dataset_builder
from data.image_table import layout

SPLIT = 'test'
# Notes on what a set lacks to be trained on.
_OF_TRAINING = ('empty split', 'nothing to learn')


class Builder(
  image_table_dataset_builder.Builder,
  skip_registration=True,  # type: ignore[call-arg]  # TFDS' is untyped.
):
  """Images in the form that a network takes."""

  def __init__(
    self, *, name: str, table: layout.Table, kind: str, side: int, **kwargs: Any
  ):
    """Make the builder of a table.

    Args:
      name: Name of the prepared data set.
      table: The result of `layout.find`.
      kind: `StoredForm.kind`: `fundus`, `squeezed`, `shorter_side`, `own_size`.
      side: `StoredForm.side`.
      **kwargs: Arguments of the base class.
    """
    self._is_squeezed = kind == 'squeezed'
    super().__init__(
      name=name,
      table=all_tested(table),
      image_size=side,
      fundus=kind == 'fundus',
      **kwargs,
    )

  def recorded(self) -> Mapping[str, Any]:
    if not self._is_squeezed:
      return super().recorded()
    return {'square': {'kind': 'squeezed', 'side': self.squeezed_side}}

  @property
  def picture(self) -> Callable[[places.Raw], Image.Image]:
    if not self._is_squeezed:
      return super().picture
    return functools.partial(images.resize_to_square, side=self.squeezed_side)

  def check(
    self, manual_dir: Any, seed: int = 0, split_file: str = ''
  ) -> preflight_report.Report:
    """Check the images, as the base class; notes on training are left out."""
    report = super().check(manual_dir, seed, split_file)
    problems = [
      p for p in report.dataset.problems if p.kind not in _OF_TRAINING
    ]
    dataset = dataclasses.replace(report.dataset, problems=problems)
    return dataclasses.replace(report, dataset=dataset)


def all_tested(table: layout.Table) -> layout.Table:
  """Return a table with all images in `test`, if it says no splits itself."""
  dataset = dataclasses.replace(table.dataset, completes_splits=False)
  table = dataclasses.replace(table, dataset=dataset)
  if any(record.split for record in dataset.records):
    return table
  records = [dataclasses.replace(r, split=SPLIT) for r in dataset.records]
  return dataclasses.replace(
    table, dataset=dataclasses.replace(dataset, records=records)
  )
