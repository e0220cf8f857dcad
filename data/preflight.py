"""The one check of every raw data set, before hours of work are spent on it.

Each step takes records and returns the good ones, and the problems of the
others: nothing is dropped silently.
"""

import collections
from collections.abc import Callable, Sequence
import dataclasses
import functools
import io
import os
from typing import Any
import warnings

import numpy as np
from PIL import Image

from data import appearance
from data import coverage
from data import images
from data import opened
from data import parallel
from data import raw_dataset
from data import splits

# The label features; the others describe an image but are not learned.
_TARGETS = ('grade', 'label', 'findings')
_LOOK_SIDE = 256  # Pixels; enough to find a fundus disc.

Records = list[raw_dataset.Record]
Problems = list[raw_dataset.Problem]


def check(
  dataset: raw_dataset.RawDataset,
  look: Callable[[Image.Image], str] | None = None,
  seed: int = 0,
  split_file: str | os.PathLike = '',
  num_processes: int = 0,
) -> raw_dataset.RawDataset:
  """Read every image once, divide the records into splits and cross-check.

  Args:
    dataset: The records of the tables.
    look: Gives the kind of note that a decoded image calls for, or ''.
    seed: Seed of the split.
    split_file: If given, the splits are as it says.
    num_processes: 0 is one a core.

  Returns:
    The good records, each in its split, and all problems.
  """
  checked = _through(
    dataset,
    _unlike_published(dataset.published),
    _one_row_an_image,
    functools.partial(
      _decodable,
      look=look,
      describe=appearance.describe,
      num_processes=num_processes,
    ),
    # Of what can be read: a class has an example in each split.
    functools.partial(
      _divide,
      seed=seed,
      split_file=split_file,
      fills=dataset.fills_splits,
      completes=dataset.completes_splits,
    ),
    _one_split_a_patient,
    _one_split_an_image,
    _worth_a_look,
  )
  checked.problems.extend(coverage.problems(checked))
  return checked


def check_images(
  dataset: raw_dataset.RawDataset, num_processes: int = 0
) -> raw_dataset.RawDataset:
  """Run the part of `check` that leaves the splits of the source alone."""
  checked = _through(
    dataset,
    _unlike_published(dataset.published),
    _one_row_an_image,
    functools.partial(
      _decodable, look=None, describe=None, num_processes=num_processes
    ),
  )
  # Whoever builds such a set stores the files as they are.
  problems = [p for p in checked.problems if p.kind != 'metadata dropped']
  return dataclasses.replace(checked, problems=problems)


def _through(dataset, *steps):
  records, problems = dataset.records, list(dataset.problems)
  for step in steps:
    records, more = step(records)
    problems += more
  return dataclasses.replace(dataset, records=records, problems=problems)


def _unlike_published(published):
  def step(records):
    counts = collections.Counter(record.split for record in records)
    return records, [
      raw_dataset.Problem(
        'not the published number',
        split or 'all',
        f'{counts[split]:,} usable rows, {number:,} published',
      )
      for split, number in published.items()
      if counts[split] != number
    ]

  return step


def _one_row_an_image(records: Records) -> tuple[Records, Problems]:
  kept, problems = [], []
  for image_id, rows in _groups(records, lambda r: r.image_id).items():
    if any(row != rows[0] for row in rows):
      problem = ('contradictory labels', f'{len(rows)} rows')
    else:
      kept.append(rows[0])
      problem = ('repeated row', f'{len(rows)} times')
    if len(rows) > 1:
      problems.append(raw_dataset.Problem(problem[0], image_id, problem[1]))
  return kept, problems


def _decodable(
  records, look, describe, num_processes
) -> tuple[Records, Problems]:
  kept, problems = [], []
  root = _root(records)
  checks = functools.partial(inspect, look=look, describe=describe, root=root)
  results = parallel.ordered_map(
    checks,
    opened.opened(records),
    num_processes,
    'checking',
    total=len(records),
  )
  for record, (facts, found) in zip(records, results, strict=True):
    problems += [
      raw_dataset.Problem(kind, record.image_id, detail)
      for kind, detail in found
    ]
    if not any(kind in raw_dataset.BAD for kind, _ in found):
      kept.append(dataclasses.replace(record, **facts))
  return kept, problems


def _root(records):
  """Return the real path of the folder that all images are below of."""
  folders = {os.path.dirname(os.path.abspath(r.path)) for r in records}
  return os.path.realpath(os.path.commonpath(folders)) if folders else ''


def _leads_out(path, root):
  """Return whether an image is a link, or below one, to another folder."""
  return not os.path.realpath(path).startswith(os.path.join(root, ''))


def inspect(
  item: opened.Opened,
  look: Callable[[Image.Image], str] | None,
  describe: Callable[[Image.Image], Any] | None,
  root: str,
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
  """Return what is added to the record, and (kind of problem, detail) each."""
  try:
    data = item.picture()
    decoded = images.decode(data, at_least=_LOOK_SIDE)
    note = look(decoded.picture) if look else ''
  except raw_dataset.InvalidRecordError as error:
    return {}, [(error.kind, str(error))]
  size, file_kind = _size_and_kind(data, decoded.picture)
  facts = {
    'sha256': images.digest(data),
    'size': size,
    'file_kind': file_kind,
    'appearance': describe(decoded.picture) if describe else None,
  }
  notes = [*decoded.notes, *([(note, '')] if note else [])]
  if _leads_out(item.record.path, root):
    notes.append(('link to another folder', ''))
  return facts, notes


def _size_and_kind(data, image):
  """Return (width, height) in the file, and what kind of file it is.

  A JPEG was decoded at a fraction of its size.
  """
  if isinstance(data, np.ndarray):
    return image.size, 'array'
  try:
    with warnings.catch_warnings():  # Some quote the file.
      warnings.simplefilter('ignore')
      opened = Image.open(io.BytesIO(data))
      (width, height), kind = opened.size, opened.format or ''
  except Exception:  # DICOM, which is decoded whole.
    return image.size, 'DICOM'
  turned = (width > height) != (image.width > image.height)
  return ((height, width) if turned else (width, height)), kind


def _divide(
  records, seed, split_file, fills, completes
) -> tuple[Records, Problems]:
  if split_file:
    return splits.from_csv(records, split_file)
  divided = splits.by_patient(
    splits.reopened(records) if completes else records, seed, fills
  )
  return divided, _drawn(records, divided, seed) if fills else []


def _drawn(records, divided, seed):
  """Return a note for each split that a source with splits does not have."""
  given = {record.split for record in records}
  if given <= {''}:
    return []
  drawn = {record.split for record in divided} - given
  return [
    raw_dataset.Problem(
      'split drawn',
      split,
      f'{fraction:.0%} of the patients of train, by their ids and seed {seed}: '
      'the source has no such split',
    )
    for split, fraction in splits.FRACTIONS.items()
    if split in drawn
  ]


def _one_split_a_patient(records: Records) -> tuple[Records, Problems]:
  kept, problems = [], []
  for patient, own in _groups(records, lambda r: r.patient_id).items():
    held_out, among = _held_out(own)
    kept += held_out
    if len(among) > 1:
      problems.append(_in_two_splits('patient', patient, among))
  return kept, problems


def _one_split_an_image(records: Records) -> tuple[Records, Problems]:
  """Look at contents: copies of one file under several names."""
  kept, problems = [], []
  for copies in _groups(records, lambda r: r.sha256).values():
    held_out, among = _held_out(copies)
    names = ' = '.join(record.image_id for record in copies)
    if any(_target(copy) != _target(copies[0]) for copy in copies):
      problems.append(raw_dataset.Problem('contradictory labels', names))
      continue
    kept += held_out
    if len(among) > 1:
      problems.append(_in_two_splits('image', names, among))
    elif len(copies) > 1:
      problems.append(raw_dataset.Problem('same image twice', names))
  return kept, problems


def _worth_a_look(records: Records) -> tuple[Records, Problems]:
  """Look at pixels: near-duplicates, and images unlike the others."""
  return records, [
    *appearance.near_duplicate_problems(records),
    *appearance.problems(records),
  ]


def _held_out(records: Sequence[raw_dataset.Record]):
  """Return those in the split farthest from training, and all splits."""
  among = [
    split
    for split in reversed(splits.SPLITS)
    if any(record.split == split for record in records)
  ]
  return [record for record in records if record.split == among[0]], among


def _in_two_splits(noun, location, among):
  detail = f'{" and ".join(among)}; {among[0]} keeps it'
  return raw_dataset.Problem(f'{noun} in two splits', location, detail)


def _target(record):
  return [record.labels.get(key) for key in _TARGETS]


def _groups(records, key):
  groups = collections.defaultdict(list)
  for record in records:
    groups[key(record)].append(record)
  return groups
