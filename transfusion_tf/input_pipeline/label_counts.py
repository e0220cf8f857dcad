"""Which classes and findings a split has no example of."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import tfds_folder

_STATES = {
  'negative': tasks.NEGATIVE,
  'positive': tasks.POSITIVE,
  'uncertain': tasks.UNCERTAIN,
  'unmentioned': tasks.UNMENTIONED,
}
# As `tasks.Findings` scores them.
_NEGATIVE = ('negative', 'unmentioned')


def lacking(prepared: tfds_folder.PreparedDataset, split: str) -> list[str]:
  """Return `no NAME`, or `no positive NAME`, for each that a split lacks.

  A finding is there once, even if it has neither sign.

  Args:
    prepared: A data set with labels.
    split: One of its splits.
  """
  return _lacking(prepared, _counts(prepared, split))


def lacking_in(
  prepared: tfds_folder.PreparedDataset, rows: np.ndarray
) -> list[str]:
  """Return what a part of the training split lacks, as `lacking` does.

  Args:
    prepared: A data set.
    rows: Mask of the examples [N].
  """
  kind = prepared.label_kind
  if not kind:
    return []
  labels = prepared.index(tfds_folder.TRAIN).labels[kind]
  part = tf.nest.map_structure(lambda values: values[rows], labels)
  return _lacking(prepared, _count(prepared, part))


def _lacking(prepared, labels):
  if prepared.label_kind == 'findings':
    return list(_one_sided(prepared.label_names, labels))
  kind = prepared.label_kind
  return [
    f'no {name}'
    for name in prepared.label_names
    if not labels.get(f'{kind} {name}')
  ]


def notes(prepared: tfds_folder.PreparedDataset) -> list[str]:
  """Return a line for each split that is scored and is not whole."""
  if reason := untested(prepared):
    return [reason]
  scored = (tfds_folder.VALIDATION, tfds_folder.TEST)
  return [
    f'{split} of {prepared.name} has {errors.listed(names)}: what is missing '
    'cannot be scored there'
    for split in scored
    if split in prepared.splits and (names := lacking(prepared, split))
  ]


def untested(prepared: tfds_folder.PreparedDataset) -> str:
  """Return why runs are not scored on a test split, or ''."""
  if prepared.scored_split == tfds_folder.TEST:
    return ''
  has_it = tfds_folder.TEST in prepared.splits
  lacking = 'has no labels in its test split' if has_it else 'has no test split'
  return (
    f'{prepared.name} {lacking}: runs are scored on validation, which also '
    'chooses their checkpoint'
  )


def check_trainable(prepared: tfds_folder.PreparedDataset) -> None:
  """Refuse a data set that no run can be trained and selected on.

  Raises:
    InputError: A split is empty, or the training images are labeled alike.
  """
  for split in (tfds_folder.TRAIN, tfds_folder.VALIDATION):
    if split not in prepared.splits or not prepared.num_examples(split):
      raise errors.InputError(
        f'{prepared.directory}: no {split} split; the checkpoint to keep is '
        'chosen on validation. Prepare the set again, with a patient in each '
        'split (--split_column or --split_file say who is where)'
      )
  if not prepared.label_kind:
    return
  missing = lacking(prepared, tfds_folder.TRAIN)
  names = len(prepared.label_names)
  findings = prepared.label_kind == 'findings'
  # Of a finding, one sign is missing; of classes, all but one.
  if len(missing) >= (names if findings else names - 1):
    alike = errors.listed(missing) if missing else 'one class'
    raise errors.InputError(
      f'{prepared.directory}: nothing to learn, the training images are all '
      f'labeled alike ({alike}); prepare images that differ'
    )


def _one_sided(names, labels) -> Iterator[str]:
  for name in names:
    states = labels.get(name, {})
    if not states.get('positive'):
      yield f'no positive {name}'
    elif not any(states.get(state) for state in _NEGATIVE):
      yield f'no negative {name}'


def _counts(prepared, split):
  """Return {class: count} or {finding: {state: count}}, as the check has it."""
  recorded = prepared.summary.get('splits', {}).get(split, {}).get('labels')
  if recorded:
    return recorded
  if not prepared.label_kind:
    raise errors.InputError(
      f'{prepared.directory} has none of the features grade, findings, label; '
      'prepare it with prepare_data.py'
    )
  labels = prepared.index(split).labels
  if prepared.label_kind not in labels:
    raise errors.InputError(
      f'{prepared.directory}: split {split} has no images; prepare the data '
      'set again'
    )
  return _count(prepared, labels[prepared.label_kind])


def _count(prepared, labels):
  """Return the counts of labels [N], or of a dict of those of findings."""
  kind = prepared.label_kind
  if kind == 'findings':
    return {
      name: {state: int(np.sum(row == n)) for state, n in _STATES.items()}
      for name, row in labels.items()
    }
  return {
    f'{kind} {name}': int(np.sum(labels == number))
    for number, name in enumerate(prepared.label_names)
  }
