"""The files of a study's probes: one for each set of weights of a network.

  STUDY/probes/MODEL.json                 the files, or why there is none
  STUDY/probes/MODEL/WEIGHTS-DIGEST.npz   features/SPLIT/STAGE  [N, D]
                                          scores/PROBE/STAGE/COLUMN  [N], of the
                                          test images, as in test_scores.csv
                                          settings/PROBE/STAGE, widths/STAGE
                                          targets  [N, K], of training

The digest is of all that the content depends on: data, preparation of images,
network, weights.
"""

from collections.abc import Sequence
import dataclasses
import functools
import os
from typing import NotRequired, TypedDict

import numpy as np

from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage
from transfusion_tf.study import npz_file

FOLDER = 'probes'
# What reading a damaged file raises.
UNREADABLE = (OSError, ValueError, LookupError)


class _Weights(TypedDict):
  pretrained: NotRequired[str]
  pretrained_input: NotRequired[str]
  name: NotRequired[str]
  seed: NotRequired[int]


class _Record(TypedDict):
  model: str
  weights: _Weights
  path: str
  reason: NotRequired[str]
  metric: NotRequired[str]
  stages: NotRequired[list[str]]


@dataclasses.dataclass(frozen=True)
class Weights:
  """A set of weights of a network.

  Attributes:
    pretrained: The source, as in `config.Init`; empty for random weights.
    pretrained_input: As in `config.Init`.
    name: What the source is called, where a model has several.
    seed: Seed of what is random: all weights, or the head.
  """

  pretrained: str = ''
  pretrained_input: str = ''
  name: str = ''
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Probed:
  """A network's features with one set of weights, as a file.

  Attributes:
    model: The network.
    weights: The weights.
    path: The file; empty if there is none.
    reason: Why not.
    metric: Name of the task's primary metric.
    stages: Names of the stages.
  """

  model: str
  weights: Weights
  path: str
  reason: str = ''
  metric: str = ''
  stages: Sequence[str] = ()

  @functools.cached_property
  def arrays(self) -> dict[str, np.ndarray]:
    """The scores, settings and ids in the file, without the features."""
    return npz_file.read(
      self.path, lambda name: not name.startswith('features/')
    )

  def scores(self, probe: str, stage: str) -> dict[str, np.ndarray]:
    """Return column -> [N], for `metrics.from_columns`."""
    prefix = f'scores/{probe}/{stage}/'
    return {
      name.removeprefix(prefix): values
      for name, values in self.arrays.items()
      if name.startswith(prefix)
    }

  def features(self, split: str, stage: str) -> np.ndarray:
    """Return features [N, D]."""
    wanted = f'features/{split}/{stage}'
    return npz_file.read(self.path, lambda name: name == wanted)[wanted]


def read(root: str) -> list[Probed]:
  """Return what was probed in a study; empty if nothing was."""
  probed = []
  for path in storage.glob(
    os.path.join(storage.escape(root), FOLDER, '*.json')
  ):
    try:
      records = json_file.read(path, list[_Record], 'it is left out')
      probed += [_read_record(record, root) for record in records]
    except (OSError, ValueError, TypeError) as error:
      print(storage.reason(error))
  return probed


def _read_record(record, root) -> Probed:
  """Return what a record of the list describes; its path is below `root`."""
  path = record['path'] and os.path.join(root, record['path'])
  weights = Weights(**record['weights'])
  return Probed(**record | {'weights': weights, 'path': path})


def is_readable(path: str) -> bool:
  """Return whether there is a file that is no damaged archive."""
  try:
    return bool(npz_file.names(path))
  except errors.InputError:
    return False
