"""What a prepared set is, whatever it was made of: a digest of its examples.

It follows from the stored pictures, the labels, the splits, and which pictures
are of one patient; not from names of pictures and patients, nor from the shape
in which they came.
"""

import collections
from collections.abc import Iterable, Mapping
import hashlib
import json
from typing import Any, NamedTuple


class Example(NamedTuple):
  """One example.

  Attributes:
    split: Its split.
    patient: Whom it shows, by any name.
    labels: Label feature -> name of the class, or finding -> state.
    picture: The stored file.
  """

  split: str
  patient: str
  labels: Mapping[str, Any]
  picture: bytes


def of_examples(examples: Iterable[Example]) -> str:
  """Return the digest, the same in any order."""
  patients = collections.defaultdict(list)
  for example in examples:
    facts = json.dumps([example.split, example.labels], sort_keys=True)
    picture = hashlib.sha256(example.picture).digest()
    patients[example.patient].append(_digest([facts.encode(), picture]))
  return _digest(sorted(map(_of_patient, patients.values()))).hex()


def _of_patient(digests):
  return _digest(sorted(digests))


def _digest(parts):
  """Return the digest of bytes, each with its length before it."""
  result = hashlib.sha256()
  for part in parts:
    result.update(len(part).to_bytes(8))
    result.update(part)
  return result.digest()
