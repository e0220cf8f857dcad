"""ImageNet 2012: our check, and the builder that comes with TFDS."""

from collections.abc import Iterator, Mapping
import os
import pathlib
from typing import Any, Self

import tensorflow_datasets as tfds

from data import archives
from data import base_builder
from data import images
from data import preflight
from data import preflight_html
from data import preflight_report
from data import raw_dataset
from transfusion_tf import errors

_TRAIN, _VALIDATION = 'ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar'
# Russakovsky et al., IJCV 2015, Table 2.
_PUBLISHED = {'train': 1_281_167, 'validation': 50_000}


class Builder:
  """Like `base_builder.Builder`, for the archives as they were published."""

  picture = staticmethod(images.load)

  def __init__(self, data_dir: str | os.PathLike):
    self._tfds = tfds.builder('imagenet2012', data_dir=data_dir)
    self.data_dir = self._tfds.data_dir
    self.num_processes = 0

  @classmethod
  def from_source(
    cls,
    data_dir: str | os.PathLike,
    source: str | None = None,
    image_size: int | None = None,
  ) -> Self:
    """Return the builder; ImageNet has one source, and is stored unchanged.

    Raises:
      InputError: A source or an image size is given.
    """
    if source or image_size:
      raise errors.InputError(
        'imagenet2012 has one source and keeps the size of its images: no '
        '--source, no --image_size'
      )
    return cls(data_dir)

  def check(
    self, manual_dir: str | os.PathLike, seed: int = 0, split_file: str = ''
  ) -> preflight_report.Report:
    """List the archives and decode every image.

    The set is taken as it is: it is not split anew, and its known copies of
    an image in two classes stay.
    """
    if split_file:
      raise errors.InputError('imagenet2012 is not split anew: no --split_file')
    self._manual_dir = manual_dir
    dataset = find(manual_dir)
    dataset = preflight.check_images(dataset, num_processes=self.num_processes)
    shown = preflight_html.pictures(dataset, self.picture, self.num_processes)
    return preflight_report.Report(
      self._tfds.info.full_name, dataset, seed, shown
    )

  def build(
    self,
    checked: preflight_report.Report,
    overwrite: bool = False,
    beam: Mapping[str, Any] | None = None,
  ) -> bool:
    """Build what was checked; see `base_builder.Builder.build`."""
    checked.refuse()  # TFDS reads the archives whole: nothing can be skipped.
    if beam:
      raise errors.InputError('imagenet2012 is built without Beam')
    existing = self._tfds.data_path.exists()
    if not existing or overwrite:
      base_builder.run(self._tfds, overwrite, manual_dir=self._manual_dir)
    return not existing or overwrite


def find(manual_dir: str | os.PathLike) -> raw_dataset.RawDataset:
  """List the two archives.

  Raises:
    InputError: One is missing, or it is no tar.
  """
  root = pathlib.Path(manual_dir)
  records = [*_train(root / _TRAIN), *_validation(root / _VALIDATION)]
  dataset = raw_dataset.RawDataset(records, published=_PUBLISHED)
  count = len(dataset.splits().get('validation', []))
  if count != _PUBLISHED['validation']:
    # TFDS has the labels in the order of the names: one gap shifts them all.
    detail = f'{count:,} images for {_PUBLISHED["validation"]:,} labels'
    dataset.problems.append(
      raw_dataset.Problem('contradictory labels', _VALIDATION, detail)
    )
  return dataset


def _train(path: pathlib.Path) -> Iterator[raw_dataset.Record]:
  for name, synset in archives.tar_members(path):
    for image, place in archives.tar_members(synset):
      label = name.removesuffix('.tar')
      yield raw_dataset.Record(image, image, place, 'train', {'label': label})


def _validation(path: pathlib.Path) -> Iterator[raw_dataset.Record]:
  labels = pathlib.Path(
    tfds.core.tfds_path('datasets/imagenet2012/validation_labels.txt')
  )
  members = sorted(archives.tar_members(path))
  for (image, place), label in zip(
    members, labels.read_text('utf-8').split(), strict=False
  ):
    yield raw_dataset.Record(
      image, image, place, 'validation', {'label': label}
    )
