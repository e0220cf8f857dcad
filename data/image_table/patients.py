"""One patient under several spellings, who would be in several splits."""

import collections
import dataclasses

from data import cells
from data import raw_dataset


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
    dataset.records[:] = [
      dataclasses.replace(r, patient_id=one_of.get(r.patient_id, r.patient_id))
      for r in dataset.records
    ]
