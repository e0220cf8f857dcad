"""What a checked data set has no example of, and so cannot learn or score."""

import collections
from collections.abc import Iterable, Iterator, Sequence

from data import raw_dataset
from data import splits
from transfusion_tf import errors

_REMEDY = {
  'train': 'it cannot be learned',
  'validation': 'it has no say in which checkpoint is kept',
  'test': 'it cannot be scored',
}
_SIGNS = {'+': 'positive', '-': 'negative'}


def problems(dataset: raw_dataset.RawDataset) -> list[raw_dataset.Problem]:
  """Return a note for each empty split and for each that lacks classes."""
  groups = dataset.splits()
  found = [
    raw_dataset.Problem(
      'empty split',
      split,
      'no usable image; a study needs all three: add patients, or give the '
      'split with --split_column or --split_file',
    )
    for split in splits.SPLITS
    if split not in groups
  ]
  if not dataset.records:
    return found
  if nothing := _nothing_to_learn(dataset):
    return [*found, raw_dataset.Problem('nothing to learn', *nothing)]
  everything = _classes(dataset)
  for split, records in groups.items():
    counts = collections.Counter(_examples(records))
    if lacking := [name for name in everything if not counts[name]]:
      names = errors.listed([_text(name) for name in lacking])
      detail = f'{names}: {_REMEDY.get(split, _REMEDY["test"])}'
      found.append(raw_dataset.Problem('class without example', split, detail))
  return found


def _nothing_to_learn(dataset):
  """Return (location, detail) if all images are labeled alike."""
  if 'findings' not in dataset.records[0].labels:
    classes = {name for r in dataset.records for name in r.classes()}
    if len(classes) > 1:
      return None
    return 'all images', f'there is one class, {min(classes)}'
  states = [r.labels['findings'] for r in dataset.records]
  if all(set(row.values()) == {'unmentioned'} for row in states):
    return 'all images', (
      'no finding is mentioned: every cell of '
      f'{errors.listed(list(states[0]))} is blank'
    )
  return None


def _classes(dataset: raw_dataset.RawDataset) -> Sequence[str]:
  """Return what there should be an example of, as `Record.examples` has it."""
  first = dataset.records[0].labels
  if 'findings' in first:
    return [sign + name for name in first['findings'] for sign in _SIGNS]
  (kind,) = (key for key in ('grade', 'label') if key in first)
  named = [f'{kind} {name}' for name in dataset.names]
  return named or sorted(set(_examples(dataset.records)))


def _examples(records: Iterable[raw_dataset.Record]) -> Iterator[str]:
  for record in records:
    yield from record.examples()


def _text(name):
  """Return `no positive Mass`, or `no label benign`."""
  sign = _SIGNS.get(name[0])
  return f'no {sign} {name[1:]}' if sign else f'no {name}'
