"""Splits: by patient, the same everywhere, and as a file."""

import collections
import dataclasses
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


def _labeled(labels, split='', images=1):
  """A patient for each label, in as many images."""
  return [
    raw_dataset.Record(f'{n}_{i}', f'p{n}', '', split, {'label': label})
    for n, label in enumerate(labels)
    for i in range(images)
  ]


def _classes(records):
  classes = collections.defaultdict(set)
  for record in records:
    classes[record.split].update(record.examples())
  return classes


@pytest.mark.parametrize('count', [3, 4, 10, 20])
def test_no_split_of_three_patients_or_more_is_empty(count):
  for seed in range(200):
    assert len(_classes(splits.by_patient(_records(count, ''), seed))) == 3


def test_two_patients_are_trained_and_tested():
  for seed in range(50):
    drawn = _classes(splits.by_patient(_records(2, ''), seed))
    assert drawn.keys() == {'train', 'test'}


@pytest.mark.parametrize('rare', [3, 4, 7])
def test_a_class_of_three_patients_is_in_each_split(rare):
  for seed in range(200):
    records = _labeled(['common'] * 30 + ['rare'] * rare, images=2)
    drawn = splits.by_patient(records, seed)
    assert all(len(names) == 2 for names in _classes(drawn).values())
    ways = {(record.patient_id, record.split) for record in drawn}
    assert len(ways) == 30 + rare


@pytest.mark.parametrize('rare, where', [(1, 'train'), (2, 'train test')])
def test_a_class_of_fewer_is_trained_first_and_tested_next(rare, where):
  for seed in range(50):
    records = _labeled(['common'] * 30 + ['rare'] * rare)
    found = _classes(splits.by_patient(records, seed))
    assert {s for s in found if 'label rare' in found[s]} == {*where.split()}


def test_both_signs_of_a_finding_are_in_each_split():
  for seed in range(50):
    draw = random.Random(seed)
    records = [
      raw_dataset.Record(
        *(f'{n}', f'p{n}', '', ''),
        {
          'findings': {
            name: draw.choices(('positive', 'unmentioned'), (1, 5))[0]
            for name in ('Mass', 'Edema')
          }
        },
      )
      for n in range(60)
    ]
    drawn = _classes(splits.by_patient(records, seed))
    assert all(
      names == {'+Mass', '-Mass', '+Edema', '-Edema'}
      for names in drawn.values()
    )


def test_where_nothing_is_missing_nobody_moves():
  """The draw of earlier versions: by two numbers of the patient alone."""
  records = _labeled(['a', 'b', 'c'] * 300)

  def earlier(patient):
    if splits.draw(patient, 4, 'test') < splits.TEST_FRACTION:
      return 'test'
    drawn = splits.draw(patient, 4, 'validation')
    return 'validation' if drawn < splits.VALIDATION_FRACTION else 'train'

  for record in splits.by_patient(records, 4):
    assert record.split == earlier(record.patient_id)


def test_as_few_as_can_move_to_fill_a_gap():
  records = _labeled(['common'] * 300 + ['rare'] * 3)
  alike = [dataclasses.replace(r, labels={}) for r in records]
  for seed in range(20):
    plain = _split_of(splits.by_patient(alike, seed))
    moved = _split_of(splits.by_patient(records, seed))
    changed = {image for image in plain if plain[image] != moved[image]}
    assert changed <= {'300_0', '301_0', '302_0'}
    assert moved == _split_of(splits.by_patient(records[::-1], seed))


def test_what_is_published_does_not_move():
  """A test set that lacks a class keeps lacking it."""
  published = _labeled(['common'] * 5, 'test')
  rest = _labeled(['common'] * 20 + ['rare'] * 5, 'train')
  rest = [dataclasses.replace(r, patient_id=f'q{r.patient_id}') for r in rest]
  for seed in range(30):
    found = _classes(splits.by_patient([*published, *rest], seed))
    assert found['test'] == {'label common'}
    assert len(found['validation']) == len(found['train']) == 2


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
