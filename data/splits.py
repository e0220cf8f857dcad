"""Who is in which split: by patient, by a hash, and as a file.

A patient's split depends on the patient's id and the seed alone: not on the
machine, the order of the files or who else is in the data set.
"""

from collections.abc import Iterable, Sequence
import csv
import dataclasses
import hashlib
import io
import os
import pathlib

from data import raw_dataset
from data import tables
from transfusion_tf import errors

SPLITS = ('train', 'validation', 'test')
VALIDATION_FRACTION = 0.10  # Of the training patients.
TEST_FRACTION = 0.20  # Of the patients, where a source has no test set.

_COLUMNS = ('image_id', 'patient_id', 'split')


def draw(patient_id: str, seed: int, purpose: str) -> float:
  """Return a number in [0, 1) that is spread evenly over patients."""
  key = f'{purpose}/{seed}/{patient_id}'.encode()
  return int.from_bytes(hashlib.sha256(key).digest()[:7]) / 2**56


def by_patient(
  records: Iterable[raw_dataset.Record], seed: int
) -> list[raw_dataset.Record]:
  """Cut `test`, where there is none, and `validation` out of the rest.

  Splits that a record comes with stay; only training patients move, and if
  the source already has a `validation`, none does.
  """
  records = list(records)
  given = {record.split for record in records}

  def split_of(record):
    split, patient = record.split, record.patient_id
    if not split:
      is_test = draw(patient, seed, 'test') < TEST_FRACTION
      split = 'test' if is_test else 'train'
    if split == 'train' and 'validation' not in given:
      is_validation = draw(patient, seed, 'validation') < VALIDATION_FRACTION
      split = 'validation' if is_validation else 'train'
    return split

  return [
    dataclasses.replace(record, split=split_of(record)) for record in records
  ]


def to_csv(records: Iterable[raw_dataset.Record]) -> str:
  """Return the split file: the same text wherever the same split was made."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(_COLUMNS)
  writer.writerows(sorted((r.image_id, r.patient_id, r.split) for r in records))
  return text.getvalue()


def sha256(records: Iterable[raw_dataset.Record]) -> str:
  """Return the hash of the split file."""
  return hashlib.sha256(to_csv(records).encode()).hexdigest()


def from_csv(
  records: Sequence[raw_dataset.Record], path: str | os.PathLike
) -> tuple[list[raw_dataset.Record], list[raw_dataset.Problem]]:
  """Read the splits of a split file.

  Returns:
    The records that the file names, and a problem for each that it does not.

  Raises:
    InputError: The file is no split file, or shares no image with `records`.
  """
  table = tables.read(path, _COLUMNS)
  unknown = table[~table['split'].isin(SPLITS)]
  if len(unknown):
    line, row = unknown.index[0], unknown.iloc[0]
    raise errors.InputError(
      f'{path}:{line}: split {row["split"]!r} is not one of {", ".join(SPLITS)}'
    )
  again = table[table['image_id'].duplicated()]
  if len(again):
    raise errors.InputError(
      f'{path}:{again.index[0]}: image {again.iloc[0]["image_id"]!r} is there '
      'twice'
    )
  split_of = dict(zip(table['image_id'], table['split'], strict=True))
  kept = [
    dataclasses.replace(record, split=split_of[record.image_id])
    for record in records
    if record.image_id in split_of
  ]
  if not kept:
    raise errors.InputError(f'{path} names no image of this data set')
  name = pathlib.Path(path).name
  return kept, [
    raw_dataset.Problem('not in the split file', record.image_id, name)
    for record in records
    if record.image_id not in split_of
  ]
