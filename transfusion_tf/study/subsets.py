"""Smaller sets of training patients, for the question how much data is enough.

Each is part of the larger ones, whole patients by a hash, and the same for all
runs (`config.Data.subset_seed`).
"""

import bisect
from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf.input_pipeline import example_order
from transfusion_tf.input_pipeline import label_counts
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.run import table_recipe


@dataclasses.dataclass(frozen=True)
class Subsets:
  """The subsets of a study.

  Attributes:
    bases: Number of patients, ascending -> what all runs on them change.
    total: Number of patients of the whole training split.
    unit: What is counted: `patients`, or `images` where none are known.
  """

  bases: Mapping[int, config.Experiment] = dataclasses.field(
    default_factory=dict
  )
  total: int = 0
  unit: str = 'patients'


NONE = Subsets()


def parse(texts: Sequence[str]) -> list[int]:
  """Return numbers of patients, ascending.

  Raises:
    InputError: One is no positive number, or stands twice.
  """
  try:
    sizes = [int(text) for text in texts]
  except ValueError:
    raise errors.InputError(
      f'--subsets={",".join(texts)}: give whole numbers, as in 50,100,200'
    ) from None
  for size in sizes:
    if size <= 0 or sizes.count(size) > 1:
      raise errors.InputError(
        f'--subsets: {size} is not positive, or stands twice'
      )
  return sorted(sizes)


def make(
  prepared: tfds_folder.PreparedDataset,
  sizes: Sequence[int],
  base: config.Experiment,
  recipe: str,
) -> Subsets:
  """Return the subsets of a prepared set.

  Args:
    prepared: The set.
    sizes: Numbers of training patients, ascending.
    base: What runs on the whole set change.
    recipe: Name of its recipe.

  Raises:
    InputError: The set has no more patients than one of the sizes, or a class
      would have none.
  """
  if not sizes:
    return NONE
  if base.data.subset:
    raise errors.InputError(
      f'--subsets: the recipe {recipe} trains on {base.data.subset} images '
      'already; give another --recipe'
    )
  index = prepared.index(tfds_folder.TRAIN)
  images = np.cumsum(
    example_order.subset_patients(index, base.data.subset_seed)
  )
  unknown = np.array_equal(index.patient_ids, index.image_ids)
  unit = 'images' if unknown else 'patients'
  for size in sizes:
    if size >= len(images):
      raise errors.InputError(
        f'--subsets={size}: {prepared.directory} has {len(images)} {unit} to '
        'train on, and the study trains on all of them anyway; give fewer'
      )
  _check_classes(prepared, sizes[0], images, base.data.subset_seed, unit)
  bases = {
    size: table_recipe.on_subset(
      base, int(images[size - 1]), len(index), recipe
    )
    for size in sizes
  }
  return Subsets(bases, len(images), unit)


def _check_classes(prepared, size, images, seed, unit):
  """Refuse a size without a class that the whole set has."""
  index = prepared.index(tfds_folder.TRAIN)
  never = set(label_counts.lacking(prepared, tfds_folder.TRAIN))

  def lacking(size):
    rows = example_order.subset_rows(index, int(images[size - 1]), seed)
    return set(label_counts.lacking_in(prepared, rows)) - never

  if missing := sorted(lacking(size)):
    # Subsets are nested: what one has, the larger ones have.
    enough = 1 + bisect.bisect_left(
      range(1, len(images) + 1), True, key=lambda n: not lacking(n)
    )
    raise errors.InputError(
      f'--subsets={size}: {errors.listed(missing, 3)} among so few {unit}; '
      f'give {enough} or more'
    )
