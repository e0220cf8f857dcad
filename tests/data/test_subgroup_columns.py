"""Groups of images by columns of a table, from the table to the scores."""

import chain
import numpy as np
import pandas as pd
import pytest
import raw_sets

from data.image_table import layout
from data.image_table import subgroups
from transfusion_tf import datasets
from transfusion_tf import errors
from transfusion_tf.input_pipeline import tfds_folder


def _groups(cells, text='x'):
  table = pd.DataFrame({'x': cells}, index=range(2, len(cells) + 2))
  columns = subgroups.parse([text])
  return [row['x'] for row in subgroups.of_rows(table, columns, 'labels.csv')]


def test_texts_are_groups_and_blanks_one_of_their_own():
  cells = ['F', 'M', '', 'F', 'NaN']
  assert _groups(cells) == ['F', 'M', 'not given', 'F', 'not given']
  assert _groups(['0', '1', '1']) == ['0', '1', '1']  # Codes stay codes.


def test_numbers_are_banded_where_one_says():
  found = _groups(['39', '40', '059Y', '60', '', '006M'], 'x=40/60')
  assert found == [
    'under 40',
    '40 to under 60',
    '40 to under 60',
    '60 and over',
    datasets.NO_GROUP,
    'under 40',
  ]


def test_other_numbers_are_cut_at_their_quartiles():
  found = _groups([str(n) for n in range(101)])
  names, counts = np.unique(found, return_counts=True)
  assert set(names) == {
    *('under 25', '25 to under 50', '50 to under 75', '75 and over')
  }
  assert counts.min() == 25


@pytest.mark.parametrize(
  ('text', 'cells', 'says'),
  [
    ('x=60/40', ['1'], 'rising numbers'),
    ('x=', ['1'], 'rising numbers'),
    ('x=40', ['50', 'old'], "labels.csv:3: x is 'old'"),
    ('x', [f'patient {n}' for n in range(60)], '60 values'),
  ],
)
def test_what_makes_no_groups_is_refused(text, cells, says):
  with pytest.raises(errors.InputError, match=says):
    _groups(cells, text)


def test_a_column_is_named_once():
  with pytest.raises(errors.InputError, match='twice'):
    subgroups.parse(['age', 'age=40'])


@pytest.fixture
def raw(tmp_path):
  folder = raw_sets.squares(tmp_path / 'raw')
  table = pd.read_csv(folder / 'here.csv')
  table['sex'] = ['F', 'M', ''] * (len(table) // 3)
  table['age'] = np.arange(len(table)) % 90
  table.to_csv(folder / 'grouped.csv', index=False)
  return folder


_COLUMNS = {'subgroups': ('sex', 'age=30/60'), 'patient': 'patient'}


def test_groups_are_no_labels_and_are_stored_beside_the_records(raw, tmp_path):
  chain.prepare(raw, tmp_path / 'data', 'grouped', **_COLUMNS)
  prepared = tfds_folder.open_dataset(str(tmp_path / 'data'), chain.NAME)
  assert prepared.label_kind == 'label'
  groups = prepared.subgroups
  assert list(groups) == ['sex', 'age']
  assert set(groups['sex']) == {'F', 'M', 'not given'}
  table = pd.read_csv(raw / 'grouped.csv').set_index('path')
  for image_id, age in groups['age'].items():
    assert (age == 'under 30') == (table['age'][image_id] < 30)
  ids = [set(prepared.index(s).image_ids) for s in prepared.splits]
  assert set.union(*ids) == set(groups.index)


def test_groups_can_be_asked_for_later(raw, tmp_path):
  """They do not make it another data set."""
  ignored = {'ignored': ('sex', 'age')}
  chain.prepare(raw, tmp_path / 'data', 'grouped', **ignored)
  prepared = tfds_folder.open_dataset(str(tmp_path / 'data'), chain.NAME)
  assert prepared.subgroups.empty
  chain.prepare(raw, tmp_path / 'data', 'grouped', **_COLUMNS)
  again = tfds_folder.open_dataset(str(tmp_path / 'data'), chain.NAME)
  assert list(again.subgroups) == ['sex', 'age']
  assert again.fingerprint == prepared.fingerprint


def test_folders_of_classes_have_no_columns(raw):
  with pytest.raises(errors.InputError, match='columns of a table'):
    layout.find_folders(raw, layout.Columns(subgroups=('sex',)))
