"""The report of a preflight: numbers, a few lines and a page with pictures."""

import collections
from collections.abc import Mapping
import dataclasses
import functools
import hashlib
import json
import os
from typing import Any

import pandas as pd

from data import findings
from data import preflight_html
from data import raw_dataset
from data import sizes
from data import splits
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf import shown_text
from transfusion_tf import storage

_PAGE = 'preflight.html'
_NAMED = 20  # Bad images that are named where there may be thousands.
_NOTED = 5  # Notes of a kind that are named.
_MAX_CLASSES = 40  # Classes that are counted one by one.


@dataclasses.dataclass(frozen=True)
class Report:
  """The results of the check of a raw data set.

  Attributes:
    name: Name of the prepared data set.
    dataset: The good records, in their splits, and all problems.
    seed: Seed of the split.
    shown: Pictures for the page, by `preflight_html.pictures`.
    split_file: The file that says the splits; empty if they were drawn.
  """

  name: str
  dataset: raw_dataset.RawDataset
  seed: int = 0
  shown: Mapping[str, str] = dataclasses.field(default_factory=dict)
  split_file: str = ''

  @property
  def bad(self) -> list[raw_dataset.Problem]:
    return [problem for problem in self.dataset.problems if problem.bad]

  @property
  def notes(self) -> list[raw_dataset.Problem]:
    return [problem for problem in self.dataset.problems if not problem.bad]

  def refuse(self, bad: bool = True, split: str = 'train') -> None:
    """Raise InputError if anything is bad, or if nothing is good.

    Args:
      bad: False lets bad images pass: they are left out.
      split: The split that has to have an image.
    """
    if bad and self.bad:
      raise errors.InputError(
        f'{self.name}: {len(self.bad):,} bad images or labels, the first: '
        f'{self.bad[0]}. Mend them, or leave them out with --on_bad=skip'
      )
    if split not in self.dataset.splits():
      noun = 'training' if split == 'train' else split
      raise errors.InputError(f'{self.name}: not one usable {noun} image')

  def refuse_untrainable(self) -> None:
    """Raise InputError if a split is empty or all images are labeled alike."""
    for problem in self.notes:
      if problem.kind in ('empty split', 'nothing to learn'):
        raise errors.InputError(f'{self.name}: {problem}')

  @functools.cached_property
  def summary(self) -> dict[str, Any]:
    """The numbers, as JSON can hold them, without the single problems."""
    return {
      'name': self.name,
      'splits': {
        split: {
          'images': len(records),
          'patients': len({record.patient_id for record in records}),
          'labels': _balance(records),
        }
        for split, records in self.dataset.splits().items()
      },
      'published': dict(self.dataset.published),
      'problems': _count(problem.kind for problem in self.dataset.problems),
      'raw_files': sizes.facts(self.dataset.records),
      'seed': self.seed,
      'splits_sha256': splits.sha256(self.dataset.records),
      'records_sha256': _fingerprint(self.dataset.records),
    }

  def fingerprint(self, split_file: str | os.PathLike) -> str:
    """Return `records_sha256` of the same records, split as a file says.

    It is empty if the file does not name all of them.
    """
    try:
      records, problems = splits.from_csv(self.dataset.records, split_file)
    except errors.InputError:
      return ''
    return '' if problems else _fingerprint(records)

  def table(self) -> pd.DataFrame:
    """Return a table: rows are images, patients, classes; columns splits.

    A finding has the counts of its four states in one cell; the corner of the
    table says in which order.
    """
    columns = {
      split: {
        'images': numbers['images'],
        'patients': numbers['patients'],
        **_cells(numbers['labels']),
      }
      for split, numbers in self.summary['splits'].items()
    }
    rows = dict.fromkeys(row for cells in columns.values() for row in cells)
    table = pd.DataFrame(
      {
        split: [cells.get(row, 0) for row in rows]
        for split, cells in columns.items()
      },
      index=list(rows),
      dtype=object,
    )
    if any('findings' in record.labels for record in self.dataset.records):
      table.columns.name = ' / '.join(findings.STATES)
    return table

  def __str__(self) -> str:
    table = self.table()
    numbers = 'no usable image' if table.empty else table.to_string()
    lines = [self.name, numbers]
    if size := sizes.text(self.dataset.records):
      lines.append(size)
    for kind, count in _count(p.kind for p in self.bad).items():
      lines.append(f'BAD: {kind}: {count:,}')
    lines += [f'  {problem}' for problem in self.bad[:_NAMED]]
    if len(self.bad) > _NAMED:
      lines.append(f'  ... and {len(self.bad) - _NAMED:,} more')
    for kind, count in _count(p.kind for p in self.notes).items():
      lines.append(f'note: {kind}: {count:,}')
      lines += _named([p for p in self.notes if p.kind == kind])
    # Names of classes and files may hold what a terminal takes for orders.
    return '\n'.join(map(shown_text.printable, '\n'.join(lines).split('\n')))

  def write(self, folder: str | os.PathLike) -> None:
    """Write preflight.json, preflight.html, splits.csv and subgroups.csv."""
    problems = [
      {'kind': p.kind, 'where': p.location, 'what': p.detail}
      for p in self.dataset.problems
    ]
    everything = self.summary | {'all_problems': problems}
    page = preflight_html.render(
      self.name, self.table(), self.dataset, self.shown
    )
    for name, text in (
      ('preflight.json', json.dumps(everything, indent=1) + '\n'),
      (_PAGE, page),
      ('splits.csv', splits.to_csv(self.dataset.records)),
    ):
      _write(folder, name, text)
    self.write_subgroups(folder)

  def write_subgroups(self, folder: str | os.PathLike) -> None:
    """Write subgroups.csv, if images have groups."""
    groups = {r.image_id: r.groups for r in self.dataset.records if r.groups}
    if groups:
      table = pd.DataFrame.from_dict(groups, 'index', dtype=object)
      text = table.to_csv(index_label='image_id')
      _write(folder, datasets.SUBGROUPS, text)


def _write(folder, name, text):
  with storage.atomic_write(os.path.join(folder, name)) as file:
    if name == _PAGE:  # It shows pictures of patients.
      os.fchmod(file.fileno(), storage.PRIVATE)
    file.write(text)


def _named(notes):
  """Return a line for each of the first notes of a kind."""
  more = len(notes) - _NOTED
  lines = [
    f'  {note.location}' + (f': {note.detail}' if note.detail else '')
    for note in notes[:_NOTED]
  ]
  return lines + ([f'  ... and {more:,} more'] if more > 0 else [])


def _fingerprint(records):
  """Return a digest that changes with any image, label or split alone."""
  facts = sorted(
    json.dumps([r.image_id, r.patient_id, r.split, r.labels, r.sha256])
    for r in records
  )
  return hashlib.sha256('\n'.join(facts).encode()).hexdigest()


def _balance(records):
  """Return {class: count}, or {finding: {state: count}}."""
  if 'findings' not in records[0].labels:
    return _count(name for record in records for name in record.classes())
  states = [record.labels['findings'] for record in records]
  return {name: _count(state[name] for state in states) for name in states[0]}


def _cells(labels):
  """Return the cells of a column of the table."""
  if all(isinstance(count, int) for count in labels.values()):
    if len(labels) <= _MAX_CLASSES:
      return labels
    counts = labels.values()
    return {
      'classes': len(labels),
      'smallest class': min(counts),
      'largest class': max(counts),
    }
  return {
    name: ' / '.join(str(counts.get(state, 0)) for state in findings.STATES)
    for name, counts in labels.items()
  }


def _count(names):
  return dict(sorted(collections.Counter(names).items()))
