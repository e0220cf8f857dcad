"""Preparing and an export make the same picture of a damaged file, or none."""

import collections

import mutations
import numpy as np
import pytest
import tensorflow as tf

from data import images
from data import jpeg_segments
from data import raw_dataset
from transfusion_tf.image_ops import decode

_STARTS = (jpeg_segments.SIGNATURE, mutations.PNG)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _decode(encoded):
  return decode.decode(encoded)


def _prepared(file):
  try:
    return np.asarray(images.load(file).convert('RGB'))
  except raw_dataset.InvalidRecordError:
    return None


def _exported(file):
  try:
    return _decode(file).numpy()
  except tf.errors.InvalidArgumentError:
    return None


def _compare(count, seed):
  """Return how many files were read, and refused."""
  verdicts = collections.Counter()
  files = mutations.pictures()
  for number, (name, file) in enumerate(
    [*files.items(), *mutations.mutants(files, count, seed)]
  ):
    if not file.startswith(_STARTS):
      continue
    prepared, exported = _prepared(file), _exported(file)
    same = (
      exported is None
      if prepared is None
      else np.array_equal(prepared, exported)
    )
    assert same, f'{number}: {name}'
    verdicts[prepared is None] += 1
  return verdicts[False], verdicts[True]


def test_damaged_files_are_read_alike():
  read, refused = _compare(600, seed=0)
  assert min(read, refused) > 100


@pytest.mark.fuzz
@pytest.mark.parametrize('seed', range(1, 5))
def test_thousands_of_damaged_files_are_read_alike(seed):
  read, refused = _compare(4000, seed)
  assert min(read, refused) > 1000
