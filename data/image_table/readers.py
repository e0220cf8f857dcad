"""Several readers of an image, a row each, made one by their majority."""

import collections
from collections.abc import Sequence
import dataclasses
from typing import Any

from data import raw_dataset


def vote(dataset: raw_dataset.RawDataset, kind: str) -> None:
  """Replace the rows of each image by one.

  A finding has the state that most readers give it, and is uncertain where as
  many give another. A class or a grade is that of most; where as many give
  another the rows stay, which the check reports as contradictory.

  Args:
    dataset: Its records are replaced; it gets a note of each image whose
      readers disagree.
    kind: Kind of the labels.
  """
  groups = collections.defaultdict(list)
  for record in dataset.records:
    groups[record.image_id, record.patient_id, record.split].append(record)
  voted: list[raw_dataset.Record] = []
  for (image_id, _, _), rows in groups.items():
    votes = [row.labels[kind] for row in rows]
    label = _most(votes, kind)
    if label is None:
      voted += rows
      continue
    voted.append(dataclasses.replace(rows[0], labels={kind: label}))
    if any(given != votes[0] for given in votes):
      dataset.problems.append(
        raw_dataset.Problem(
          'readers disagree', image_id, f'{len(rows)} rows, the majority counts'
        )
      )
  dataset.records = voted


def _most(votes: Sequence[Any], kind: str) -> Any:
  if kind == 'findings':
    return {
      name: _winner([states[name] for states in votes]) or 'uncertain'
      for name in votes[0]
    }
  return _winner(votes)


def _winner(votes):
  """Return what most say, or None if as many say something else."""
  (first, count), *others = collections.Counter(votes).most_common(2)
  return None if others and others[0][1] == count else first
