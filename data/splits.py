"""Who is in which split: by patient, by a hash, and as a file.

A patient's split depends on the patient's id and the seed alone: not on the
machine, the order of the files or who else is in the data set. Only where a
split of a table of one's own would have no patient, or lack a class that others
have, do as few patients as possible change their split: of those who can fill
the gap without leaving one, the one whose number of that split is the lowest.
In a large set nothing is missing, and nobody moves.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence
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

FRACTIONS = {'validation': VALIDATION_FRACTION, 'test': TEST_FRACTION}

_COLUMNS = ('image_id', 'patient_id', 'split')


def draw(patient_id: str, seed: int, purpose: str) -> float:
  """Return a number in [0, 1) that is spread evenly over patients."""
  key = f'{purpose}/{seed}/{patient_id}'.encode()
  return int.from_bytes(hashlib.sha256(key).digest()[:7]) / 2**56


def by_patient(
  records: Iterable[raw_dataset.Record], seed: int, fills: bool = True
) -> list[raw_dataset.Record]:
  """Cut `test`, where there is none, and `validation` out of the rest.

  Splits that a record comes with stay; only training patients move, and if
  the source already has a `validation`, none does.

  Args:
    records: All records of a set.
    seed: Seed of the draw.
    fills: Whether patients move to a split that lacks a class.
  """
  records = list(records)
  validated = any(record.split == 'validation' for record in records)

  def split_of(record):
    split, patient = record.split, record.patient_id
    if not split:
      is_test = draw(patient, seed, 'test') < TEST_FRACTION
      split = 'test' if is_test else 'train'
    if split == 'train' and not validated:
      is_validation = draw(patient, seed, 'validation') < VALIDATION_FRACTION
      split = 'validation' if is_validation else 'train'
    return split

  drawn = [
    dataclasses.replace(record, split=split_of(record)) for record in records
  ]
  if not fills:
    return drawn
  choices: dict[str, set[str]] = collections.defaultdict(lambda: set(SPLITS))
  for record in records:
    choices[record.patient_id] &= _choices(record.split, validated)
  moved = _Cover(drawn, choices, seed).moved()
  return [
    dataclasses.replace(r, split=moved.get(r.patient_id, r.split))
    for r in drawn
  ]


def reopened(
  records: Sequence[raw_dataset.Record],
) -> list[raw_dataset.Record]:
  """Return records that `by_patient` draws a test set from, if there is none.

  Where a source trains but tests nobody, its training patients are those that
  no split holds out.
  """
  given = {record.split for record in records}
  if 'train' not in given or 'test' in given:
    return list(records)
  return [
    dataclasses.replace(record, split='') if record.split == 'train' else record
    for record in records
  ]


def _choices(split, validated):
  """Return the splits that a record which comes with `split` may be in."""
  if split not in ('', 'train'):
    return {split}
  among = {'train'} if split else {'train', 'test'}
  return among if validated else among | {'validation'}


# Where a class is needed first: one that is not trained cannot be scored.
_NEED = ('train', 'test', 'validation')


class _Cover:
  """Moves patients until each split has what it can have."""

  def __init__(
    self,
    records: Sequence[raw_dataset.Record],
    choices: Mapping[str, set[str]],
    seed: int,
  ):
    self._choices, self._seed = choices, seed
    self._classes = collections.defaultdict(set)
    splits = collections.defaultdict(set)
    for record in records:
      self._classes[record.patient_id].update(record.examples())
      splits[record.patient_id].add(record.split)
    # Who is in two splits is a fault, which the check reports.
    self._split = {p: s.pop() for p, s in splits.items() if len(s) == 1}
    self._patients = collections.defaultdict(list)  # Of a class.
    for patient in sorted(self._split):
      for name in self._classes[patient]:
        self._patients[name].append(patient)
    self._counts = collections.Counter(
      (split, name)
      for patient, split in self._split.items()
      for name in self._classes[patient]
    )
    self._sizes = collections.Counter(self._split.values())

  def moved(self) -> dict[str, str]:
    """Return {patient: new split} of those who have to move."""
    moved = self._fill()
    for split in _NEED:
      for name in sorted(self._patients):
        if not self._counts[split, name]:
          moved |= self._move(self._patients[name], split)
    return moved | self._fill()

  def _fill(self):
    """Move a patient to each empty split."""
    moved: dict[str, str] = {}
    for split in _NEED:
      if not self._sizes[split]:
        moved |= self._move(sorted(self._split), split)
    return moved

  def _move(self, patients, split):
    """Move one of `patients` to `split`, if one can."""
    harm = {
      patient: self._harm(patient, split)
      for patient in patients
      if split in self._choices[patient] and self._split[patient] != split
    }
    fills = not self._sizes[split]  # A split without patient is the worst.
    able = [p for p in harm if harm[p] == 0 or (fills and harm[p] < _EMPTIES)]
    if not able:
      return {}
    patient = min(able, key=lambda p: (harm[p], draw(p, self._seed, split), p))
    old = self._split[patient]
    for name in self._classes[patient]:
      self._counts[old, name] -= 1
      self._counts[split, name] += 1
    self._sizes[old] -= 1
    self._sizes[split] += 1
    self._split[patient] = split
    return {patient: split}

  def _harm(self, patient, split):
    """Return how many classes a patient's own split would then lack."""
    old = self._split[patient]
    first = _NEED.index(split) < _NEED.index(old)
    if self._sizes[old] == 1 and not first:  # Else it is filled again.
      return _EMPTIES
    return sum(
      self._counts[old, name] == 1
      and not (first and not self._counts[split, name])
      for name in self._classes[patient]
    )


_EMPTIES = 10**9  # More than there are classes.


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
