"""The folder layout of the toy set: CLASS/PATIENT.png."""

import pathlib

from data import images
from data import raw_dataset


def find(manual_dir):
  """List the toy set in `manual_dir`."""
  return raw_dataset.RawDataset(
    [
      raw_dataset.Record(
        image_id=path.stem,
        patient_id=path.stem,
        path=str(path),
        split='',
        labels={'label': path.parent.name},
      )
      for path in map(pathlib.Path, images.find_images(manual_dir))
    ]
  )
