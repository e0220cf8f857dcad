"""One example of a prepared data set, made from its record.

A module of its own, which imports little: every worker process loads it.
"""

from collections.abc import Callable
from typing import Any

from PIL import Image

from data import images
from data import raw_dataset


def make(
  record: raw_dataset.Record, picture: Callable[[bytes], Image.Image]
) -> tuple[str, dict[str, Any]]:
  """Return the key and the features of one example."""
  data = images.read(record.path)
  return record.image_id, {
    'image': images.stored(data, picture(data)),
    'image_id': record.image_id,
    'patient_id': record.patient_id,
    **record.labels,
  }
