"""One example of a prepared data set, made from its record.

A module of its own, which imports little: every worker process loads it.
"""

from collections.abc import Callable
from typing import Any

from PIL import Image

from data import images
from data import opened
from data import places


def make(
  item: opened.Opened, picture: Callable[[places.Raw], Image.Image]
) -> tuple[str, dict[str, Any]]:
  """Return the key and the features of one example."""
  record, raw = item.record, item.picture()
  return record.image_id, {
    'image': images.stored(raw, picture(raw)),
    'image_id': record.image_id,
    'patient_id': record.patient_id,
    **record.labels,
  }
