"""The data sets that prepare_data.py builds by name.

A new one has a line in `DATASETS`, a module that lists its raw folder and a
builder. Any other data set is a table of images.
"""

from collections.abc import Callable
import dataclasses
from typing import NotRequired, TypedDict

from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage


@dataclasses.dataclass(frozen=True)
class NamedDataset:
  """A data set with a builder of its own.

  Attributes:
    builder: Module of `data/` whose class `Builder` builds it.
    square: How its builder makes a picture square, so that an exported network
      can do the same with raw files: `fundus` cuts out the disc of the fundus,
      `squeezed` changes the aspect, `` leaves pictures as they are.
  """

  builder: str
  square: str = ''


DATASETS = {
  'retina': NamedDataset('data.retina.retina_dataset_builder', 'fundus'),
  'chexpert': NamedDataset(
    'data.chexpert.chexpert_dataset_builder', 'squeezed'
  ),
  'imagenet2012': NamedDataset('data.imagenet2012'),
}

# Beside the records: the groups of each image, and that of a blank cell.
SUBGROUPS, NO_GROUP = 'subgroups.csv', 'not given'
REMEDY = 'prepare the data set again'


class _Split(TypedDict):
  name: str
  shardLengths: NotRequired[list[str]]
  numBytes: NotRequired[str]


class Info(TypedDict):
  """What is read of TFDS's dataset_info.json, which has numbers as texts."""

  splits: list[_Split]


def info_files(folder: str) -> list[str]:
  """Return each dataset_info.json in a folder, or at most two below it.

  TFDS's own reader needs TensorFlow, whose import outlasts a listing.
  """
  folder = storage.escape(folder)
  return [
    path
    for depth in ('', '*/', '*/*/')
    for path in storage.glob(f'{folder}/{depth}dataset_info.json')
  ]


def num_examples(path: str) -> dict[str, int]:
  """Return split -> number of examples, as a dataset_info.json has it.

  Raises:
    FileNotFoundError: There is none.
    DamagedFileError: It is damaged.
  """
  return _of_splits(path, lambda s: sum(map(int, s.get('shardLengths', ()))))


def num_bytes(path: str) -> dict[str, int]:
  """Return split -> bytes of its records; as `num_examples`."""
  return _of_splits(path, lambda split: int(split.get('numBytes', 0)))


def _of_splits(path, number: Callable[[_Split], int]) -> dict[str, int]:
  splits = json_file.read(path, Info, REMEDY)['splits']
  try:
    return {split['name']: number(split) for split in splits}
  except ValueError as error:
    raise errors.DamagedFileError(path, str(error), REMEDY) from None
