"""Patients under several spellings, and those that nobody has named.

Images of one patient who counts as several are in several splits.
"""

import collections
from collections.abc import Iterator, Sequence
import dataclasses
import posixpath
import re

import pandas as pd

from data import cells
from data import raw_dataset
from data.image_table import source as source_lib


def same(dataset: raw_dataset.RawDataset, join: bool) -> None:
  """Note ids that differ by case, leading zeros or `.0` alone.

  Args:
    dataset: Gets a note for each such patient.
    join: If true, the records get the shortest spelling.
  """
  spellings = collections.defaultdict(set)
  for record in dataset.records:
    spellings[cells.plain_id(record.patient_id)].add(record.patient_id)
  one_of: dict[str, str] = {}
  for several in spellings.values():
    if len(several) == 1:
      continue
    ordered = sorted(several, key=lambda spelling: (len(spelling), spelling))
    one_of |= dict.fromkeys(ordered, ordered[0])
    dataset.problems.append(
      raw_dataset.Problem(
        'patient in two spellings',
        ' = '.join(ordered),
        f'taken as {ordered[0]}'
        if join
        else 'taken as several patients; --join_patients makes them one',
      )
    )
  if join:
    dataset.records = [
      dataclasses.replace(r, patient_id=one_of.get(r.patient_id, r.patient_id))
      for r in dataset.records
    ]


# Words of which the name of a column of patients, or of what is finer, is made.
_WORDS = re.compile(
  r'patient|subject|person|participant|individual|case|mrn|pid|client|lesion|'
  r'study|exam|accession|series|family|name|stem|volunteer|animal|slide',
  re.IGNORECASE,
)
# `10_left`: what precedes is of a patient, if it comes with several endings.
_STEM = re.compile(r'(.*\w)[_\-. ]([a-z]{1,5}|\d{1,3})', re.IGNORECASE)
_LEAST = 0.1  # Of the images, that share a value, and of values among images.


def candidates(
  table: pd.DataFrame,
  columns: source_lib.Columns,
  records: Sequence[raw_dataset.Record],
) -> Iterator[raw_dataset.Problem]:
  """Yield a note for each column, or way of naming, that may be of patients.

  Args:
    table: The rows of a source.
    columns: Their meaning, without patients: each image is one.
    records: What became of the rows.
  """
  taken = {columns.path, *columns.labels, columns.split, columns.separator}
  for name in table:
    if name.startswith('\0') or name in taken or not _WORDS.search(name):
      continue
    if largest := _group(collections.Counter(table[name]), len(table)):
      yield raw_dataset.Problem(
        'patients may be known',
        name,
        f'{largest!r} and others are in several rows; --patient_column={name} '
        'if they are patients: each image counts as one',
      )
  parts = (_STEM.fullmatch(stem) for stem in _stems(records))
  counts = collections.Counter(part[1] for part in parts if part)
  largest = _group(counts, len(records))
  if largest and len(counts) > max(2, _num_classes(records)):
    begins = re.compile(re.escape(largest) + r'[_\-. ]')
    some = [stem for stem in _stems(records) if begins.match(stem)]
    yield raw_dataset.Problem(
      'patients may be known',
      ', '.join(some[:2]),
      'names that begin alike may be of one patient, and each image counts as '
      'one; a table may have a column of patients (--patient_column)',
    )


def _stems(records):
  names = (posixpath.basename(record.image_id) for record in records)
  return (posixpath.splitext(name)[0] for name in names)


def _num_classes(records):
  return len({str(record.labels) for record in records})


def _group(counts, total):
  """Return a value of several rows, if values group the rows; else ''."""
  several = {
    v: n for v, n in counts.items() if n > 1 and not cells.is_missing(v)
  }
  grouped = sum(several.values())
  if not several or min(grouped, len(counts)) < _LEAST * total:
    return ''
  return max(several, key=lambda value: (several[value], value))
