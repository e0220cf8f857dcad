"""Test images as publications name them: a list of names, or a table."""

from absl import flags
import pytest
import raw_sets

from data import preflight
from data.image_table import layout
from transfusion_tf import errors
from transfusion_tf.cli import table_flags


def _table(folder, count=24):
  """Two images a patient, in folders; the table has their names alone."""
  rows = ['name,label,patient']
  for n in range(count):
    name = f'{n // 2:08d}_{n % 2:03d}.png'
    raw_sets.save(raw_sets.photograph(n), folder / f'images_{n % 3}/{name}')
    rows.append(f'{name},{("mass", "none found")[n // 2 % 2]},{n // 2}')
  (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')
  return folder / 'labels.csv'


def _find(csv, **columns):
  return layout.find(
    csv,
    csv.parent,
    layout.Columns(path='name', patient='patient', **columns),
  ).dataset


def _list(folder, *names):
  path = folder / 'test_list.txt'
  path.write_text('\r\n'.join(names) + '\r\n\r\n')
  return str(path)


@pytest.mark.parametrize('extension', ['.png', ''])
def test_a_list_of_names_is_the_test_split(extension, tmp_path):
  csv = _table(tmp_path)
  names = [f'{n // 2:08d}_{n % 2:03d}{extension}' for n in range(6)]
  found = _find(csv, test_list=_list(tmp_path, *names))
  checked = preflight.check(found, num_processes=1)
  splits = checked.splits()
  assert not [problem for problem in checked.problems if problem.bad]
  assert {r.patient_id for r in splits['test']} == {'0', '1', '2'}
  # The others are divided by patient, as those of any table.
  assert splits['validation'] and len(splits['test']) == 6
  patients = [{r.patient_id for r in rows} for rows in splits.values()]
  assert sum(map(len, patients)) == 12


def test_a_patient_on_both_sides_of_a_list_is_refused(tmp_path):
  csv = _table(tmp_path)
  found = _find(csv, test_list=_list(tmp_path, '00000003_000.png'))
  checked = preflight.check(found, num_processes=1)
  (bad,) = (problem for problem in checked.problems if problem.bad)
  assert (bad.kind, bad.location) == ('patient in two splits', '3')


def test_a_list_of_other_images_is_an_error(tmp_path):
  csv = _table(tmp_path)
  with pytest.raises(errors.InputError, match='names no image of this'):
    _find(csv, test_list=_list(tmp_path, 'other.png'))
  with pytest.raises(errors.InputError, match=r'no none\.txt in'):
    _find(csv, test_list=str(tmp_path / 'none.txt'))


def test_two_that_say_who_is_tested_are_an_error(tmp_path):
  csv = _table(tmp_path)
  names = _list(tmp_path, '00000003_000.png')
  with pytest.raises(errors.InputError, match='--split_column and --test_list'):
    _find(csv, test_list=names, split='label')


def test_the_rows_of_a_test_table_are_named_by_its_lines(tmp_path):
  csv = _table(tmp_path)
  other = tmp_path / 'test.csv'
  header, *rows = csv.read_text().splitlines()
  csv.write_text('\n'.join([header, *rows[:18]]))
  other.write_text('\n'.join([header, *rows[18:], rows[0].replace('0_0', '9')]))
  found = _find(csv, test_csv=str(other))
  splits = [record.split for record in found.records]
  assert splits == ['train'] * 18 + ['test'] * 7
  checked = preflight.check(found, num_processes=1)
  (bad, *_) = (problem for problem in checked.problems if problem.bad)
  assert bad.kind == 'no such image'
  other.write_text('\n'.join([header, rows[18], 'x.png,,9']))
  (problem,) = (p for p in _find(csv, test_csv=str(other)).problems if p.bad)
  assert problem.location == 'test.csv:3'


def test_a_test_table_has_the_same_columns(tmp_path):
  csv = _table(tmp_path)
  other = tmp_path / 'test.csv'
  other.write_text('name,labels,patient\nx.png,mass,1\n')
  with pytest.raises(errors.InputError, match=r"test\.csv has no column 'lab"):
    _find(csv, test_csv=str(other))
  other.write_text('name,label,patient,more\nx.png,mass,1,1\n')
  with pytest.raises(errors.InputError, match="other table has no column 'mo"):
    _find(csv, test_csv=str(other))


def test_the_flags_are_relative_to_the_raw_folder(tmp_path):
  flags.FLAGS(['x', '--test_list=test_list.txt', '--test_csv='])
  columns = table_flags.columns(tmp_path)
  assert columns.test_list == str(tmp_path / 'test_list.txt')
  assert columns.test_csv == ''
  flags.FLAGS(['x', '--test_list='])
