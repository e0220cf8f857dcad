"""Splits: by patient, the same everywhere, and as a file."""

import collections
import random

import pytest

from data import raw_dataset
from data import splits
from transfusion_tf import errors


def _records(count=2000, split='train', images=2):
  return [
    raw_dataset.Record(f'{split}/{patient}_{eye}', f'p{patient}', '', split, {})
    for patient in range(count)
    for eye in range(images)
  ]


def _split_of(records):
  return {record.image_id: record.split for record in records}


def test_the_split_file_is_the_same_on_every_machine():
  records = splits.by_patient(_records(100), seed=0)
  digest = 'bc19245adea045d0d9bc936e7c8878002e85065eb755c42c8792d049f867217e'
  assert splits.sha256(records) == digest


def test_neither_order_nor_company_matters():
  records = _records(300)
  expected = _split_of(splits.by_patient(records, 7))
  random.Random(0).shuffle(records)
  assert _split_of(splits.by_patient(records, 7)) == expected
  few = _split_of(splits.by_patient(records[:100], 7))
  assert few.items() <= expected.items()
  assert splits.to_csv(records) == splits.to_csv(records[::-1])


def test_a_patient_goes_one_way():
  ways = collections.defaultdict(set)
  for record in splits.by_patient(_records(split=''), seed=3):
    ways[record.patient_id].add(record.split)
  assert all(len(way) == 1 for way in ways.values())


@pytest.mark.parametrize('seed', range(3))
def test_shares_are_as_stated(seed):
  counts = collections.Counter(
    r.split for r in splits.by_patient(_records(5000, '', 1), seed)
  )
  test = counts['test'] / 5000
  validation = counts['validation'] / (5000 - counts['test'])
  assert abs(test - splits.TEST_FRACTION) < 0.02
  assert abs(validation - splits.VALIDATION_FRACTION) < 0.015


def test_another_seed_is_another_split():
  first, second = (splits.by_patient(_records(200), seed) for seed in (0, 1))
  assert _split_of(first) != _split_of(second)


def test_what_a_source_has_held_out_stays_held_out():
  records = [*_records(200), *_records(50, 'test')]
  after = splits.by_patient(records, 0)
  assert all(r.split == 'test' for r in after if r.image_id[:4] == 'test')
  assert {r.split for r in after} == set(splits.SPLITS)
  records += _records(20, 'validation')
  assert splits.by_patient(records, 0) == records


def test_a_split_file_brings_its_split_back(tmp_path):
  path = tmp_path / 'splits.csv'
  records = splits.by_patient(_records(100, ''), seed=5)
  path.write_text(splits.to_csv(records))
  again, problems = splits.from_csv(_records(100, ''), path)
  assert again == records and not problems


def test_images_that_a_split_file_does_not_name_are_named(tmp_path):
  path = tmp_path / 'splits.csv'
  path.write_text(splits.to_csv(_records(3)))
  kept, problems = splits.from_csv(_records(4), path)
  assert len(kept) == 6
  assert [(p.kind, p.location) for p in problems] == [
    ('not in the split file', 'train/3_0'),
    ('not in the split file', 'train/3_1'),
  ]


@pytest.mark.parametrize(
  'text, what',
  [
    ('image_id,split\na,train\n', "no column 'patient_id'"),
    ('image_id,patient_id,split\na,p,tests\n', r":2: split 'tests'"),
    ('image_id,patient_id,split\na,p,test\na,p,train\n', ':3: .* twice'),
    ('image_id,patient_id,split\na,p,test\n', 'no image of this data set'),
  ],
)
def test_a_file_that_is_no_split_file_is_an_error(text, what, tmp_path):
  path = tmp_path / 'splits.csv'
  path.write_text(text)
  with pytest.raises(errors.InputError, match=what):
    splits.from_csv(_records(2), path)
