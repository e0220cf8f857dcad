"""What a comparison found at one layer."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import pandas as pd

from transfusion_tf.analysis import cca


@dataclasses.dataclass(frozen=True)
class Similarity:
  """One layer of two networks.

  Attributes:
    repeats: Measures of each sample of channels and images.
    noise_floor: The same of permuted rows: what unrelated networks would show.
    num_patches: p of a repeat.
    num_images: n of all repeats together.
  """

  repeats: tuple[cca.Measures, ...]
  noise_floor: tuple[cca.Measures, ...]
  num_patches: int
  num_images: int

  @property
  def mean(self) -> float:
    """The mean of the repeats' `mean`."""
    return average(self.repeats)['mean']

  def to_json(self) -> dict[str, Any]:
    """Return means and standard deviations over repeats, then each repeat's."""
    return {
      **average(self.repeats),
      'noise_floor': average(self.noise_floor),
      'num_patches': self.num_patches,
      'num_images': self.num_images,
      'repeats': [
        m._asdict() | {'coefficients': m.coefficients.tolist()}
        for m in self.repeats
      ],
    }


def average(repeats: Sequence[cca.Measures]) -> dict[str, float]:
  """Return every measure's mean over repeats, and its std as `..._std`."""
  table = pd.DataFrame([m.scalars() for m in repeats])
  deviations = table.std(ddof=len(table) > 1).add_suffix('_std')
  return table.mean().to_dict() | deviations.to_dict()
