"""What a set has no example of is said, by name, before anything is trained."""

import dataclasses

import chain
import pandas as pd
import pytest
import raw_sets

from data import coverage
from data import images
from data import preflight
from data import preflight_html
from data import preflight_report
from data import splits
from data.chexpert import layout as chexpert
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from transfusion_tf import errors
from transfusion_tf.input_pipeline import label_counts
from transfusion_tf.input_pipeline import tfds_folder
from transfusion_tf.study import runner


def _checked(folder, edit, **columns):
  """The check of raw_sets.table, after `edit(frame)` of its labels."""
  raw = raw_sets.table(folder, count=30)
  frame = pd.read_csv(raw / 'labels.csv')
  frame['split'] = ['train', 'validation', 'test'] * 10
  edit(frame)
  frame.to_csv(raw / 'labels.csv', index=False)
  table = layout.find(
    raw / 'labels.csv', raw, layout.Columns(split='split', **columns)
  )
  checked = preflight.check(table.dataset, num_processes=1)
  return preflight_report.Report('mine/1.0.0', checked), table


def _rare(frame):
  frame.loc[frame['split'] == 'test', 'label'] = 'benign'


def test_a_class_that_a_split_lacks_is_named_in_the_report(tmp_path):
  report, _ = _checked(tmp_path, _rare)
  text = str(report)
  assert 'note: class without example: 1' in text
  assert '  test: no label malignant: it cannot be scored' in text
  report.refuse()


def test_a_finding_without_positives_is_named(tmp_path):
  def edit(frame):
    frame['Mass'] = [0, 1] * 15
    frame['Edema'] = ''
    frame.drop(columns='label', inplace=True)

  report, _ = _checked(tmp_path, edit)
  lines = [p.detail for p in report.notes if p.kind == 'class without example']
  assert len(lines) == 3
  assert all('no positive Edema' in line for line in lines)


@pytest.mark.parametrize(
  'edit, what',
  [
    (lambda frame: frame.assign(label='benign'), 'one class, label benign'),
    (
      lambda frame: frame.drop(columns='label').assign(Mass='', Edema=''),
      'every cell of Mass, Edema is blank',
    ),
  ],
)
def test_one_class_or_blanks_alone_is_noted_and_not_studied(
  edit, what, tmp_path
):
  def in_place(frame):
    new = edit(frame)
    frame.drop(columns=list(frame), inplace=True)
    frame[list(new)] = new

  report, _ = _checked(tmp_path, in_place)
  assert 'note: nothing to learn: 1' in str(report) and what in str(report)
  with pytest.raises(errors.InputError, match=what):
    report.refuse_untrainable()


def test_an_empty_split_is_noted_and_not_studied(tmp_path):
  def edit(frame):
    frame['split'] = ['train', 'test'] * 15
    # A split of the source that is there keeps the draw from making another.
    frame.loc[0, 'split'] = 'validation'
    frame.loc[0, 'path'] = 'gone.png'

  report, _ = _checked(tmp_path, edit)
  report.dataset.records[:] = [
    r for r in report.dataset.records if r.split != 'validation'
  ]
  problems = coverage.problems(report.dataset)
  (empty,) = (p for p in problems if p.kind == 'empty split')
  assert empty.location == 'validation' and '--split_column' in empty.detail
  report.dataset.problems[:] = problems
  with pytest.raises(errors.InputError, match='empty split: validation'):
    report.refuse_untrainable()


def _with_pictures(report):
  shown = preflight_html.pictures(report.dataset, images.load, 1)
  return dataclasses.replace(report, shown=shown)


def _build(report, table, data_dir):
  image_table_dataset_builder.Builder(
    name='mine', table=table, data_dir=data_dir
  ).build(_with_pictures(report))
  return tfds_folder.open_dataset(str(data_dir), 'mine')


def test_a_prepared_set_says_what_cannot_be_scored(tmp_path):
  report, table = _checked(tmp_path / 'raw', _rare)
  prepared = _build(report, table, tmp_path / 'data')
  assert label_counts.lacking(prepared, 'test') == ['no malignant']
  assert label_counts.lacking(prepared, 'train') == []
  (note,) = label_counts.notes(prepared)
  assert note.startswith('test of mine has no malignant')
  label_counts.check_trainable(prepared)


def test_findings_of_a_prepared_set(tmp_path):
  raw = raw_sets.squares(tmp_path / 'raw')
  frame = pd.read_csv(raw / 'findings.csv')
  frame['split'] = ['train'] * 60 + ['validation'] * 30 + ['test'] * 30
  frame.loc[frame['split'] == 'test', 'left'] = 0
  frame.loc[frame['split'] == 'test', 'any'] = 1
  frame.to_csv(raw / 'findings.csv', index=False)
  chain.prepare(raw, tmp_path / 'data', split='split')
  prepared = tfds_folder.open_dataset(str(tmp_path / 'data'), chain.NAME)
  expected = ['no positive left', 'no negative any']
  assert label_counts.lacking(prepared, 'test') == expected
  # The counts of the records are those of the preparation.
  prepared._builder.info.metadata.clear()
  assert sorted(label_counts.lacking(prepared, 'test')) == sorted(expected)


@pytest.mark.parametrize('lost', ['validation', 'train'])
def test_a_prepared_set_without_a_split_is_refused_before_training(
  lost, tmp_path
):
  report, table = _checked(tmp_path / 'raw', lambda frame: None)
  report.dataset.records[:] = [
    record for record in report.dataset.records if record.split != lost
  ]
  prepared = _build(report, table, tmp_path / 'data')
  with pytest.raises(errors.InputError, match=f'no {lost} split'):
    label_counts.check_trainable(prepared)
  experiment = chain.experiment(tmp_path / 'data', data__dataset='mine')
  with pytest.raises(errors.InputError, match=f'no {lost} split'):
    runner.train({'run': experiment}, str(tmp_path / 'study'))
  assert not (tmp_path / 'study').exists()


def test_the_same_data_by_the_draw_of_before_are_not_built_again(tmp_path):
  """Earlier versions left a split without a class where the draw did."""
  raw = raw_sets.table(tmp_path / 'raw', count=20)
  columns = layout.Columns()
  table = layout.find(raw / 'labels.csv', raw, columns)

  def builder():
    return image_table_dataset_builder.Builder(
      name='mine', table=table, data_dir=tmp_path / 'data'
    )

  now = builder().check(raw)
  other = {'train': 'validation', 'validation': 'train'}
  before = [
    dataclasses.replace(r, split=other.get(r.split, r.split))
    for r in now.dataset.records
  ]
  earlier = preflight_report.Report(
    now.name, dataclasses.replace(now.dataset, records=before)
  )
  assert builder().build(_with_pictures(earlier))
  assert not builder().build(now)
  with pytest.raises(errors.InputError, match='another split'):
    builder().build(builder().check(raw, seed=1))


def test_the_draw_of_a_named_set_never_moves(tmp_path):
  """Its splits are compared across versions, also where one lacks a class."""
  raw = raw_sets.chexpert(tmp_path)
  found = chexpert.find(raw, 'small')
  checked = preflight.check(found, num_processes=1)
  expected = splits.by_patient(found.records, seed=0, fills=False)
  assert splits.to_csv(checked.records) == splits.to_csv(expected)
  assert splits.to_csv(expected) != splits.to_csv(
    splits.by_patient(found.records, seed=0)
  )
