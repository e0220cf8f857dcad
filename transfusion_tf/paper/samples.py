"""Sample images of a study's data sets: OUTPUT_DIR/samples/DATASET.npz."""

from collections.abc import Sequence
import os

import numpy as np

from transfusion_tf import atomic

NUM = 6  # Images a data set.


def save(
  root: str, dataset: str, labels: Sequence[str], images: np.ndarray
) -> None:
  """Writes labels and images [n, S, S, 3] uint8."""
  with atomic.writing(path(root, dataset), 'wb') as file:
    np.savez_compressed(file, labels=np.array(labels), images=images)


def read(root: str, dataset: str) -> list[tuple[str, np.ndarray]]:
  """(label, image) pairs; none if they were never saved."""
  if not os.path.exists(path(root, dataset)):
    return []
  with np.load(path(root, dataset)) as file:
    return list(zip(file['labels'].tolist(), file['images'], strict=True))


def path(root: str, dataset: str) -> str:
  return os.path.join(root, 'samples', f'{dataset}.npz')
