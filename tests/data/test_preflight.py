"""The check of raw data sets: nothing odd goes in unseen or out unsaid."""

import collections
import dataclasses
import functools
import json
import shutil

import numpy as np
from PIL import Image
import pytest
import raw_sets

from data import images
from data import preflight
from data import preflight_html
from data import preflight_report
from data import raw_dataset
from data import splits
from data.chexpert import layout as chexpert
from data.image_table import layout as image_table
from data.retina import layouts as retina
from transfusion_tf import errors


def _table(folder, **columns):
  return image_table.find(
    folder / 'labels.csv', folder, image_table.Columns(**columns)
  ).dataset


# Every layout that is read: how to fabricate it, how to list it, its images.
_SETS = {
  'kaggle': (
    raw_sets.kaggle,
    functools.partial(retina.find, source='kaggle'),
    {'train': 12, 'test': 6},
  ),
  'kaggle_pooled': (
    raw_sets.kaggle,
    functools.partial(retina.find, source='kaggle_pooled'),
    {'': 18},
  ),
  'aptos2019': (
    raw_sets.aptos2019,
    functools.partial(retina.find, source='aptos2019'),
    {'': 30},
  ),
  'messidor2': (
    raw_sets.messidor2,
    functools.partial(retina.find, source='messidor2'),
    {'': 30},
  ),
  'idrid': (
    raw_sets.idrid,
    functools.partial(retina.find, source='idrid'),
    {'train': 8, 'test': 4},
  ),
  'chexpert': (
    raw_sets.chexpert,
    functools.partial(chexpert.find, source='small'),
    {'train': 30, 'test': 7},
  ),
  'image_table': (raw_sets.table, _table, {'': 40}),
}


@pytest.fixture(params=_SETS)
def any_set(request, tmp_path):
  """(folder, its listing function, published images a split)"""
  make, find, counts = _SETS[request.param]
  return make(tmp_path / request.param), find, counts


_OF_SIZE = (
  *('not the published number', 'empty split', 'class without example'),
  'split drawn',
)


def _kinds(found):
  """{kind: number of problems}, but for the size of the fabricated sets."""
  counts = collections.Counter(problem.kind for problem in found.problems)
  return {kind: n for kind, n in counts.items() if kind not in _OF_SIZE}


def _check(find, folder, **options):
  return preflight.check(find(folder), num_processes=1, **options)


def _csvs(folder):
  return [path for path in folder.rglob('*.csv') if path.stem != 'test']


def _photos(folder):
  return sorted(
    p for p in folder.rglob('*') if p.suffix in ('.png', '.jpg', '.jpeg')
  )


def test_a_faultless_set_has_no_bad_image(any_set):
  folder, find, counts = any_set
  found = find(folder)
  assert collections.Counter(r.split for r in found.records) == counts
  checked = _check(find, folder)
  assert sum(counts.values()) == len(checked.records)
  assert not any(problem.bad for problem in checked.problems)
  assert set(checked.splits()) <= set(splits.SPLITS)


def test_byte_order_mark_and_any_line_end_change_nothing(any_set):
  folder, find, _ = any_set
  plain = find(folder)
  for csv in _csvs(folder):
    text = csv.read_text().replace('\r\n', '\n')
    csv.write_bytes(b'\xef\xbb\xbf' + text.replace('\n', '\r\n').encode())
  assert find(folder) == plain


def _truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
  'kind, spoil',
  [
    ('truncated image', _truncate),
    ('not an image', lambda path: path.write_bytes(b'')),
    ('not an image', lambda path: path.write_text('<html>log in</html>')),
    ('no such image', lambda path: path.unlink()),
  ],
)
def test_a_broken_image_is_named_and_left_out(any_set, kind, spoil):
  folder, find, _ = any_set
  before = _check(find, folder)
  victim = folder / before.records[3].path
  spoil(victim)
  after = _check(find, folder)
  new = set(after.problems) - set(before.problems)
  (problem,) = (p for p in new if p.kind not in _OF_SIZE)
  assert problem.kind == kind and problem.bad
  assert victim.stem in str(problem)
  gone = {r.image_id for r in before.records} - {
    r.image_id for r in after.records
  }
  assert gone == {before.records[3].image_id}


def test_an_image_without_label_is_noted(any_set):
  folder, find, _ = any_set
  there = folder / find(folder).records[0].path
  shutil.copy(there, there.with_name('999_extra' + there.suffix))
  assert _kinds(find(folder)).get('image without label') == 1


def test_repeated_rows_are_noted_and_counted_once(any_set):
  folder, find, counts = any_set
  csv = _csvs(folder)[0]
  rows = csv.read_text().splitlines()
  csv.write_text('\n'.join([*rows, rows[1], rows[1]]))
  checked = _check(find, folder)
  assert len(checked.records) == sum(counts.values())
  assert _kinds(checked).pop('repeated row') == 1
  assert '3 times' in str(checked.problems)


@pytest.mark.parametrize('name', ['kaggle', 'image_table', 'chexpert'])
def test_contradictory_labels_leave_the_image_out(name, tmp_path):
  make, find, counts = _SETS[name]
  folder = make(tmp_path)
  csv = _csvs(folder)[0]
  rows = csv.read_text().splitlines()
  other = {'kaggle': ',4', 'image_table': ',malignant', 'chexpert': ',-1.0'}
  first = rows[1].rsplit(',', 1)
  csv.write_text('\n'.join([*rows, first[0] + other[name]]))
  assert other[name] != ',' + first[1]
  checked = _check(find, folder)
  assert _kinds(checked) == {'contradictory labels': 1}
  assert len(checked.records) == sum(counts.values()) - 1


@pytest.mark.parametrize(
  'name, good, bad',
  [
    ('kaggle', '10_left,0', '10_left,5'),
    ('kaggle', '10_left,0', '10_left,'),
    ('kaggle', '10_left,0', '10_left,none'),
    ('aptos2019', '000000000000,0', '000000000000,-1'),
    ('idrid', 'IDRiD_001,1', 'IDRiD_001,1.5'),
    ('chexpert', 'Female,21', 'Female,old'),
    ('chexpert', ',1.0,', ',2.0,'),
    ('image_table', '000.png,benign', '000.png,'),
  ],
)
def test_impossible_labels_are_named_with_their_row(name, good, bad, tmp_path):
  make, find, _ = _SETS[name]
  folder = make(tmp_path)
  csv = next(csv for csv in sorted(_csvs(folder)) if good in csv.read_text())
  text = csv.read_text()
  csv.write_text(text.replace(good, bad, 1))
  (problem,) = (
    p for p in find(folder).problems if p.kind == 'impossible label'
  )
  assert problem.location == f'{csv.name}:2'


def test_a_name_that_is_no_patient_and_eye(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  csv = folder / 'trainLabels.csv'
  csv.write_text(csv.read_text().replace('10_left', '10_middle'))
  (folder / 'train/10_left.jpeg').rename(folder / 'train/10_middle.jpeg')
  assert _kinds(retina.find(folder, 'kaggle')) == {'impossible name': 1}


@pytest.mark.parametrize(
  'path', ['../secret.png', '/etc/hostname', 'images/../../secret.png', '']
)
def test_a_path_that_climbs_out_is_refused(path, tmp_path):
  folder = raw_sets.table(tmp_path / 'raw')
  raw_sets.save(raw_sets.photograph(0), tmp_path / 'secret.png')
  csv = folder / 'labels.csv'
  csv.write_text(csv.read_text() + f'{path},benign\n')
  found = _table(folder)
  assert _kinds(found) == {'outside the image root': 1}
  assert len(found.records) == 40


def test_a_chexpert_path_cannot_climb_out(tmp_path):
  folder = raw_sets.chexpert(tmp_path)
  csv = folder / 'CheXpert-v1.0-small/train.csv'
  csv.write_text(csv.read_text().replace('/train/', '/train/../train/', 1))
  found = chexpert.find(folder, 'small')
  assert _kinds(found)['impossible name'] == 1


@pytest.mark.parametrize(
  'name, column, near',
  [
    ('kaggle', 'level', 'levels'),
    ('chexpert', 'Pleural Effusion', 'Pleural effusion'),
    ('image_table', 'path', 'Path'),
    ('idrid', 'Retinopathy grade', 'retinopathy_grade'),
  ],
)
def test_a_missing_column_is_an_error_with_a_hint(name, column, near, tmp_path):
  make, find, _ = _SETS[name]
  folder = make(tmp_path)
  csv = sorted(_csvs(folder))[0]
  csv.write_text(csv.read_text().replace(column, near, 1))
  with pytest.raises(errors.InputError) as caught:
    find(folder)
  message = str(caught.value)
  assert repr(column) in message and repr(near) in message
  assert csv.name in message and '\n' not in message


@pytest.mark.parametrize(
  'content', [b'', b'\x00\x01\x02\xff\xfe', b'"image,level\n1,2\n3', b'image\n']
)
def test_a_file_that_is_no_table_is_an_error(any_set, content):
  folder, find, _ = any_set
  _csvs(folder)[0].write_bytes(content)
  with pytest.raises(errors.InputError) as caught:
    find(folder)
  assert _csvs(folder)[0].name in str(caught.value)


def test_a_missing_table_or_folder_is_an_error(any_set):
  folder, find, _ = any_set
  _csvs(folder)[0].unlink()
  with pytest.raises(errors.InputError, match=r'\.csv'):
    find(folder)
  with pytest.raises(errors.InputError, match='no '):
    find(folder / 'nothing here')


def test_copies_across_splits_stay_in_test_only(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  # Kaggle's 500_left and 10_left both have grade 0.
  shutil.copy(folder / 'test/500_left.jpeg', folder / 'train/10_left.jpeg')
  checked = _check(_SETS['kaggle'][1], folder)
  assert _kinds(checked) == {'image in two splits': 1}
  ids = {record.image_id for record in checked.records}
  assert 'test/500_left' in ids and 'train/10_left' not in ids


def test_copies_with_different_labels_are_left_out(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  shutil.copy(folder / 'test/500_left.jpeg', folder / 'train/10_right.jpeg')
  checked = _check(_SETS['kaggle'][1], folder)
  assert _kinds(checked) == {'contradictory labels': 1}
  assert len(checked.records) == 16


def test_copies_in_one_split_are_only_noted(tmp_path):
  folder = raw_sets.table(tmp_path)
  csv = folder / 'labels.csv'
  csv.write_text(csv.read_text().replace('label', 'label,split', 1))
  rows = csv.read_text().splitlines()
  rows[1:] = [f'{row},train' for row in rows[1:]]
  csv.write_text('\n'.join(rows))
  shutil.copy(folder / 'images/000.png', folder / 'images/002.png')
  find = functools.partial(_table, split='split')
  checked = _check(find, folder)
  assert _kinds(checked) == {'same image twice': 1}
  assert len(checked.records) == 40


def test_a_patient_on_both_sides_stays_in_test_only(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  raw_sets.save(raw_sets.photograph(7), folder / 'train/500_left.jpeg')
  csv = folder / 'trainLabels.csv'
  csv.write_text(csv.read_text() + '500_left,3\n')
  checked = _check(_SETS['kaggle'][1], folder)
  assert _kinds(checked) == {'patient in two splits': 1}
  splits_of_500 = {r.split for r in checked.records if r.patient_id == '500'}
  assert splits_of_500 == {'test'}


def test_both_parts_of_the_test_set_of_kaggle_are_tested(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  csv = folder / 'retinopathy_solution.csv'
  csv.write_text(csv.read_text().replace('Private', 'Public', 3))
  found = retina.find(folder, 'kaggle')
  assert len(found.splits()['test']) == 6


@pytest.mark.parametrize('source', ['aptos2019', 'messidor2', 'idrid'])
def test_where_nobody_says_so_each_image_is_a_patient(source, tmp_path):
  make, find, counts = _SETS[source]
  patients = {record.patient_id for record in find(make(tmp_path)).records}
  assert len(patients) == sum(counts.values())


def test_a_pool_keeps_a_patient_of_both_folders_together(tmp_path):
  """A number is one patient in either: one eye in each folder is no fault."""
  folder = raw_sets.kaggle(tmp_path, train=40, test=40)
  train, test = folder / 'trainLabels.csv', folder / 'retinopathy_solution.csv'
  rows = test.read_text().splitlines(keepends=True)
  for row in [row for row in rows if '_left' in row]:
    name, grade, _ = row.split(',')
    shutil.move(folder / f'test/{name}.jpeg', folder / f'train/{name}.jpeg')
    train.write_text(train.read_text() + f'{name},{grade}\n')
  test.write_text(''.join(row for row in rows if '_left' not in row))
  checked = _check(_SETS['kaggle_pooled'][1], folder)
  assert not any(problem.bad for problem in checked.problems)
  assert len(checked.records) == 160
  assert checked.splits().keys() == {*splits.SPLITS}
  splits_of = collections.defaultdict(list)
  for record in checked.records:
    splits_of[record.patient_id].append(record.split)
  assert len(splits_of) == 80
  assert all(one == other for one, other in splits_of.values())


def test_a_pool_draws_every_split_from_both_folders(tmp_path):
  folder = raw_sets.kaggle(tmp_path, train=40, test=40)
  checked = _check(_SETS['kaggle_pooled'][1], folder)
  folders = {
    split: {record.image_id.split('/')[0] for record in records}
    for split, records in checked.splits().items()
  }
  assert folders == {split: {'train', 'test'} for split in splits.SPLITS}
  assert checked.published == {'': 88_702}
  notes = [p for p in checked.problems if p.kind == 'not the published number']
  assert [(note.location, note.detail) for note in notes] == [
    ('all', '160 usable rows, 88,702 published')
  ]


def test_a_pool_of_all_patients_trains_on_more_than_50_000_images():
  """Kaggle has two images of each of 44,351 patients."""
  records = [
    raw_dataset.Record(f'{patient}_{eye}', str(patient), '', '', {})
    for patient in range(1, 44_352)
    for eye in ('left', 'right')
  ]
  counts = collections.Counter(
    record.split for record in splits.by_patient(records, seed=0)
  )
  assert counts.total() == 88_702
  assert counts['train'] > 63_000
  assert counts['test'] > 17_000 and counts['validation'] > 6_500


@pytest.mark.parametrize('seed', range(5))
def test_no_patient_is_in_two_splits(any_set, seed):
  folder, find, _ = any_set
  splits_of = collections.defaultdict(set)
  for record in _check(find, folder, seed=seed).records:
    splits_of[record.patient_id].add(record.split)
  assert all(len(found) == 1 for found in splits_of.values())


def test_zipped_parts_are_read_as_if_unpacked(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  plain = _check(_SETS['kaggle'][1], folder)
  raw_sets.zipped(folder, 'train', parts=3)
  raw_sets.zipped(folder, 'test', parts=1)
  shutil.make_archive(
    folder / 'trainLabels.csv', 'zip', folder, 'trainLabels.csv'
  )
  (folder / 'trainLabels.csv').unlink()
  parts = _check(_SETS['kaggle'][1], folder)
  for found in (plain, parts):
    found.records = [dataclasses.replace(r, path='') for r in found.records]
  assert parts == plain


def test_a_missing_zip_part_is_an_error(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  raw_sets.zipped(folder, 'train', parts=3)
  (folder / 'train.zip.003').unlink()
  with pytest.raises(errors.InputError, match='is a part missing'):
    retina.find(folder, 'kaggle')


@pytest.mark.parametrize('name', ['CheXpert-v1.0-small', 'CheXpert-v1.0'])
def test_chexpert_in_both_sizes_and_its_states(name, tmp_path):
  folder = raw_sets.chexpert(tmp_path, name)
  source = {v: k for k, v in chexpert.FOLDERS.items()}[name]
  found = chexpert.find(folder, source)
  first = found.records[0]
  assert (first.image_id, first.patient_id, first.split) == (
    'train/patient00001/study1/view1_frontal',
    'patient00001',
    'train',
  )
  assert list(first.labels['findings']) == list(chexpert.OBSERVATIONS)
  states = list(first.labels['findings'].values())[:4]
  assert states == ['positive', 'negative', 'uncertain', 'unmentioned']
  assert first.labels['age'] == 21 and first.labels['sex'] == 'Female'
  assert first.labels['study_id'] == 'patient00001/study1'
  assert chexpert.find(folder / name, source) == found


@pytest.mark.parametrize(
  'cells, kind, names',
  [
    (['cat', 'dog', 'cat'], 'label', ('cat', 'dog')),
    (['1', '3', '1'], 'grade', ('1', '2', '3')),
    (['0.0', '2.0', '1.0'], 'grade', ('0', '1', '2')),
    (['1', '0', ''], 'findings', ('label',)),
    (['1.0', '0.0', '-1.0'], 'findings', ('label',)),
  ],
)
def test_what_the_cells_look_like(cells, kind, names, tmp_path):
  rows = [f'{number}.png,{cell}' for number, cell in enumerate(cells)]
  (tmp_path / 'labels.csv').write_text('\n'.join(['path,label', *rows]))
  table = image_table.find(
    tmp_path / 'labels.csv', tmp_path, image_table.Columns()
  )
  assert (table.kind, table.names) == (kind, names)
  assert len(table.dataset.records) == 3


def test_numbers_that_are_no_scale_are_refused(tmp_path):
  (tmp_path / 'labels.csv').write_text('path,day\na,20200101\nb,20260101\n')
  with pytest.raises(errors.InputError, match='day holds no grades'):
    _table(tmp_path)


def test_a_blank_patient_is_named(tmp_path):
  (tmp_path / 'labels.csv').write_text('path,who,label\na,,x\nb,p,y\n')
  found = _table(tmp_path, patient='who')
  assert _kinds(found) == {'impossible label': 1}
  assert 'labels.csv:2 (who is blank)' in str(found.problems[0])


def test_all_other_columns_are_findings(tmp_path):
  (tmp_path / 'labels.csv').write_text(
    'file,who,set,Mass,Effusion\na.png,p1,train,1,\nb.png,p2,test,0,-1\n'
  )
  columns = image_table.Columns(path='file', patient='who', split='set')
  table = image_table.find(tmp_path / 'labels.csv', tmp_path, columns)
  assert table.names == ('Mass', 'Effusion')
  assert [(r.patient_id, r.split) for r in table.dataset.records] == [
    ('p1', 'train'),
    ('p2', 'test'),
  ]
  assert table.dataset.records[1].labels == {
    'findings': {'Mass': 'negative', 'Effusion': 'uncertain'}
  }


@pytest.mark.parametrize(
  'header, columns, what',
  [
    ('path', {}, 'no column of labels'),
    ('path,a,b', {}, 'a, b: not 1, 0, -1 or blank.*--label_columns'),
    ('path,a,b', dict(kind='label'), 'one column, not 2'),
    ('path,label', dict(labels=('lable',)), "is it 'label'"),
    ('path,label', dict(kind='grade'), 'label holds no grades'),
    ('path,label', dict(kind='labels'), "did you mean 'label'"),
    ('path,label', dict(kind='findings'), 'not one usable'),
  ],
)
def test_tables_that_make_no_sense(header, columns, what, tmp_path):
  row = ','.join(['a.png', 'x', 'y'][: header.count(',') + 1])
  (tmp_path / 'labels.csv').write_text(f'{header}\n{row}\n')
  with pytest.raises(errors.InputError, match=what):
    found = _table(tmp_path, **columns)
    preflight_report.Report('mine', found).refuse(bad=False)


def test_a_new_class_order_and_a_class_that_is_not_in_it(tmp_path):
  folder = raw_sets.table(tmp_path)
  columns = image_table.Columns(classes=('malignant',))
  table = image_table.find(folder / 'labels.csv', folder, columns)
  assert table.names == ('malignant',)
  assert _kinds(table.dataset) == {'impossible label': 20}


def test_a_split_that_nobody_is_in_is_noted(tmp_path):
  folder = raw_sets.table(tmp_path, count=2)
  checked = _check(_table, folder)
  empty = {p.location for p in checked.problems if p.kind == 'empty split'}
  assert empty == set(splits.SPLITS) - {r.split for r in checked.records}
  assert empty


def _report(tmp_path):
  folder = raw_sets.kaggle(tmp_path / 'raw')
  (folder / 'train/11_left.jpeg').write_bytes(b'')
  black = Image.new('RGB', (60, 48))
  raw_sets.save(black, folder / 'train/12_left.jpeg')
  find = _SETS['kaggle'][1]

  def look(image):
    return '' if np.asarray(image).any() else 'no fundus disc'

  found = _check(find, folder, look=look)
  shown = preflight_html.pictures(found, images.load, num_processes=1)
  return preflight_report.Report('retina/kaggle_48', found, shown=shown)


def test_the_report_says_everything(tmp_path):
  found = _report(tmp_path)
  with pytest.raises(errors.InputError, match=r'1 bad images .*11_left'):
    found.refuse()
  found.refuse(bad=False)
  assert 'BAD: not an image: 1' in str(found)
  assert 'note: no fundus disc: 1' in str(found)

  found.write(tmp_path / 'out')
  numbers = json.loads((tmp_path / 'out/preflight.json').read_text())
  sizes = {s: n['images'] for s, n in numbers['splits'].items()}
  assert sum(sizes.values()) == 17 and sizes['test'] == 6
  assert sum(numbers['splits']['test']['labels'].values()) == 6
  assert numbers['problems']['not an image'] == 1
  assert {p['where'] for p in numbers['all_problems']} >= {'train/11_left'}
  page = (tmp_path / 'out/preflight.html').read_text()
  assert 'train/12_left' in page and page.count('data:image/jpeg') >= 6
  assert 'http:' not in page and 'https:' not in page
  table = (tmp_path / 'out/splits.csv').read_text()
  assert table == splits.to_csv(found.dataset.records)


def test_twenty_bad_images_are_named_and_all_are_counted():
  problems = [
    raw_dataset.Problem('not an image', f'{n}.png') for n in range(57)
  ]
  lines = str(
    preflight_report.Report('mine', raw_dataset.RawDataset([], problems))
  ).splitlines()
  assert sum('.png' in line for line in lines) == 20
  assert 'BAD: not an image: 57' in lines and '  ... and 37 more' in lines


@pytest.mark.parametrize('count', [5, 7])
def test_five_notes_of_a_kind_are_named_and_all_are_counted(count):
  problems = [
    raw_dataset.Problem(kind, f'{kind[:4]}{n}.png', 'why')
    for n in range(count)
    for kind in ('dark image', 'blank image')
  ]
  found = raw_dataset.RawDataset([], problems)
  lines = str(preflight_report.Report('mine', found)).splitlines()
  expected = []
  for kind in ('blank image', 'dark image'):
    expected += [f'note: {kind}: {count}']
    expected += [f'  {kind[:4]}{n}.png: why' for n in range(5)]
    expected += ['  ... and 2 more'] * (count == 7)
  assert lines[-len(expected) :] == expected


def test_the_table_has_integers_though_a_split_lacks_a_class(tmp_path):
  folder = raw_sets.table(tmp_path, count=20)
  (folder / 'labels.csv').write_text(
    'path,label,split\n'
    + ''.join(
      f'images/{n:03d}.png,{"abc"[n % 3]},{splits.SPLITS[n % 3]}\n'
      for n in range(20)
    )
  )
  checked = _check(functools.partial(_table, split='split'), folder)
  lines = str(preflight_report.Report('mine', checked)).splitlines()
  cells = {line.split()[-4]: line.split()[-3:] for line in lines[2:7]}
  assert lines[1].split() == [*splits.SPLITS]
  assert cells == {
    'images': ['7', '7', '6'],
    'patients': ['7', '7', '6'],
    'a': ['7', '0', '0'],
    'b': ['0', '7', '0'],
    'c': ['0', '0', '6'],
  }
  assert lines[7] == 'sizes: all 60 x 48'


def test_the_table_counts_the_states_of_a_finding_in_order(tmp_path):
  rows = ['path,split,Mass,Edema']
  states = ['0', '0', '0', '1', '1', '-1', '', '', '', '']
  for n, state in enumerate([*states, '0', '1']):
    raw_sets.save(raw_sets.photograph(n), tmp_path / f'{n}.png')
    split = 'train' if n < len(states) else ('validation', 'test')[n % 2]
    rows.append(f'{n}.png,{split},{state},1')
  (tmp_path / 'labels.csv').write_text('\n'.join(rows))
  checked = _check(functools.partial(_table, split='split'), tmp_path)
  text = str(preflight_report.Report('mine', checked))
  assert 'negative / positive / uncertain / unmentioned' in text
  assert '3 / 2 / 1 / 4' in text and '0 / 10 / 0 / 0' in text


def test_the_page_escapes_what_it_shows():
  problem = raw_dataset.Problem('not an image', '<script>alert(1)</script>')
  found = raw_dataset.RawDataset([], [problem])
  table = preflight_report.Report('mine', found).table()
  page = preflight_html.render('mine', table, found, {})
  assert '<script>' not in page and '&lt;script&gt;' in page
