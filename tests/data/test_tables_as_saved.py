"""Tables as programs and people save them: cells, numbers, lines, patients."""

import bz2
import gzip
import io
import lzma
import os
import zipfile

import pytest
import raw_sets

from data import cells
from data import preflight
from data import tables
from data.chexpert import layout as chexpert
from data.image_table import layout
from data.retina import layouts as retina
from transfusion_tf import errors


def _find(folder, text, **columns):
  """The listing of a table of images that need not be there."""
  (folder / 'labels.csv').write_text(text)
  return layout.find(folder / 'labels.csv', folder, layout.Columns(**columns))


def _column(cell_list, name='label'):
  rows = [f'{number}.png,{cell}' for number, cell in enumerate(cell_list)]
  return '\n'.join([f'path,{name}', *rows]) + '\n'


def _said(found, kind):
  return [
    (p.location, p.detail) for p in found.dataset.problems if p.kind == kind
  ]


@pytest.mark.parametrize(
  'word', ['?', 'N/A', 'nan', 'NaN', 'NULL', '#N/A', '<NA>', '#VALUE!', '-']
)
@pytest.mark.parametrize('others', ['ab', '12', '10'])
def test_a_word_for_missing_is_no_class_and_changes_no_kind(
  word, others, tmp_path
):
  plain = _find(tmp_path, _column([*others * 3]))
  found = _find(tmp_path, _column([*others * 3, word]))
  assert (found.kind, found.names) == (plain.kind, plain.names)
  ((where, what),) = _said(found, 'impossible label')
  assert where == 'labels.csv:8' and repr(word) in what


def test_a_missing_word_that_is_named_as_a_class_is_one(tmp_path):
  found = _find(tmp_path, _column(['NA', 'x']), classes=('NA', 'x'))
  assert len(found.dataset.records) == 2


def test_a_doubtful_word_is_noted(tmp_path):
  found = _find(tmp_path, _column(['mole', 'Unknown', 'mole']))
  ((_, what),) = _said(found, 'class that may be none')
  assert "'Unknown' (1)" in what


def test_classes_that_differ_by_case_or_blanks_are_noted(tmp_path):
  found = _find(tmp_path, _column(['no_x', 'No X', 'no_x', 'benign']))
  ((where, what),) = _said(found, 'classes that look alike')
  assert where == 'label' and "'no_x' (2)" in what and "'No X' (1)" in what


def test_a_quote_that_swallows_rows_is_named_with_its_line(tmp_path):
  with pytest.raises(errors.InputError, match=r'labels\.csv:3 .*double quote'):
    _find(tmp_path, 'path,label\n0.png,a\n1.png,"b\n2.png,a\n3.png,"b\n')
  with pytest.raises(errors.InputError, match=r'labels\.csv:3 .*double quote'):
    _find(tmp_path, 'path,label\n0.png,a\n1.png,"b\n2.png,a\n')
  found = _find(tmp_path, 'path,label\n0.png,a\n1.png,"b\n2.png,a"\n3.png,b\n')
  ((where, what),) = _said(found, 'impossible name')
  assert where == 'labels.csv:3' and 'line break' in what
  assert found.names == ('a', 'b')


@pytest.mark.parametrize(
  'text, number',
  [
    *(('00', 0), ('0.0', 0), ('21.0', 21), ('21.', 21), ('1,0', 1), ('+1', 1)),
    *(('-1.00', -1), ('-0', 0), ('1.5', None), ('', None), ('1e0', None)),
  ],
)
def test_one_number_in_several_spellings(text, number):
  assert cells.integer(text) == number


@pytest.mark.parametrize('spelling', ['{}', '0{}', '{}.0', '{}.00', '+{}'])
def test_grades_in_any_spelling(spelling, tmp_path):
  text = _column([spelling.format(n) for n in (0, 1, 2, 4)])
  found = _find(tmp_path, text)
  assert (found.kind, found.names) == ('grade', tuple('01234'))
  grades = [record.labels['grade'] for record in found.dataset.records]
  assert grades == ['0', '1', '2', '4']


def test_numbers_of_the_named_sets_in_any_spelling(tmp_path):
  folder = raw_sets.chexpert(tmp_path / 'chexpert')
  csv = folder / 'CheXpert-v1.0-small/train.csv'
  csv.write_text(csv.read_text().replace('Female,21,', 'Female,21.0,'))
  assert chexpert.find(folder, 'small').records[0].labels['age'] == 21
  folder = raw_sets.messidor2(tmp_path / 'messidor2')
  csv = folder / 'messidor_data.csv'
  csv.write_text(csv.read_text().replace(',,,0', ',,,0.0'))
  kinds = [p.kind for p in retina.find(folder, 'messidor2').problems]
  assert kinds == ['not gradable']


def test_the_line_that_is_named_is_the_line(tmp_path):
  text = (
    'path,label,report\n\n0.png,a,"two\nlines"\n , ,\n\n1.png,,x\n2.png,b,\n'
  )
  found = _find(tmp_path, text, ignored=('report',))
  assert [where for where, _ in _said(found, 'impossible label')] == [
    'labels.csv:7'
  ]
  assert len(found.dataset.records) == 2


@pytest.mark.parametrize('rows', [',,\n', ' , ,\n', '\n', '""\n'])
def test_blank_rows_are_no_rows(rows, tmp_path):
  plain = _find(tmp_path, _column('abab'))
  found = _find(tmp_path, _column('abab') + rows * 3)
  assert found.dataset == plain.dataset


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('mark', [b'', b'\xef\xbb\xbf'])
def test_line_ends_and_a_byte_order_mark_change_nothing(mark, end, tmp_path):
  plain = _find(tmp_path, _column('ab?'))
  text = _column('ab?').replace('\n', end)
  (tmp_path / 'labels.csv').write_bytes(mark + text.encode())
  found = layout.find(tmp_path / 'labels.csv', tmp_path, layout.Columns())
  assert found == plain


@pytest.mark.parametrize('spelling', ['{}', '0{}', '{}.0', '{},0'])
def test_states_of_findings_in_any_spelling(spelling, tmp_path):
  states = [spelling.format(n) for n in (0, 1)] + ['-' + spelling.format(1), '']
  rows = ''.join(f'{n}.png;{state}\n' for n, state in enumerate(states))
  found = _find(tmp_path, 'path;Mass\n' + rows)
  assert found.kind == 'findings'
  assert [r.labels['findings']['Mass'] for r in found.dataset.records] == [
    *('negative', 'positive', 'uncertain', 'unmentioned')
  ]


@pytest.mark.parametrize(
  'kind, names', [('label', ('0', '1')), ('grade', ('0', '1'))]
)
def test_the_kind_may_be_said_otherwise(kind, names, tmp_path):
  assert _find(tmp_path, _column('0110')).kind == 'findings'
  found = _find(tmp_path, _column('0110'), kind=kind)
  assert (found.kind, found.names) == (kind, names)
  labels = [record.labels[kind] for record in found.dataset.records]
  assert labels == ['0', '1', '1', '0']


def test_names_of_classes_and_findings_are_trimmed(tmp_path):
  found = _find(tmp_path, _column([' a', 'b ', 'a\t', ' b']))
  assert found.names == ('a', 'b') and not found.dataset.problems
  found = _find(tmp_path, 'path, Mass ,Edema \n0.png,1, 0\n1.png,0 ,1\n')
  assert found.names == ('Mass', 'Edema')
  assert len(found.dataset.records) == 2


def test_a_row_of_too_many_cells_is_named(tmp_path):
  with pytest.raises(errors.InputError, match=r'labels\.csv:3: 3 cells'):
    _find(tmp_path, 'path,label\n0.png,a\n1.png,b,c\n')


@pytest.mark.parametrize(
  'first, separator', [('', ';'), ('', '\t'), ('sep=;\n', ';')]
)
def test_semicolons_and_tabs(first, separator, tmp_path):
  text = _column('ab?').replace(',', separator)
  found = _find(tmp_path, first + text)
  assert len(found.dataset.records) == 2
  ((where, _),) = _said(found, 'impossible label')
  assert where == f'labels.csv:{5 if first else 4}'


def test_a_table_in_another_encoding_is_named_with_the_line(tmp_path):
  (tmp_path / 'labels.csv').write_bytes(
    'path,label\n0.png,groß\n'.encode('cp1252')
  )
  with pytest.raises(errors.InputError, match=r'line 2\); save it as'):
    tables.read(tmp_path / 'labels.csv', ())


def _zipped(data):
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('labels.csv', data)
  return buffer.getvalue()


@pytest.mark.parametrize(
  'suffix, pack',
  [
    *(('.gz', gzip.compress), ('.bz2', bz2.compress)),
    *(('.xz', lzma.compress), ('.zip', _zipped)),
  ],
)
def test_a_compressed_table(suffix, pack, tmp_path):
  path = tmp_path / f'labels.csv{suffix}'
  path.write_bytes(pack(_column('ab').encode()))
  assert list(tables.read(path, ())['label']) == ['a', 'b']
  path.write_bytes(path.read_bytes()[:-9])
  with pytest.raises(errors.InputError, match='cannot be read'):
    tables.read(path, ())


_PATIENTS = 'path,who,label\n' + ''.join(
  f'{n}.png,{who},{"ab"[n % 2]}\n'
  for n, who in enumerate(
    ('12', '12.0', '012', 'P7', 'p7', 'p07', 'x-1', 'x-10', '1.01', '1.1')
  )
)


def test_a_patient_under_several_spellings_is_noted_and_joined(tmp_path):
  found = _find(tmp_path, _PATIENTS, patient='who')
  notes = dict(_said(found, 'patient in two spellings'))
  assert notes.keys() == {'12 = 012 = 12.0', 'P7 = p7 = p07'}
  assert all('--join_patients' in detail for detail in notes.values())
  assert len({r.patient_id for r in found.dataset.records}) == 10
  joined = _find(tmp_path, _PATIENTS, patient='who', join_patients=True)
  ids = [record.patient_id for record in joined.dataset.records]
  assert ids == [*['12'] * 3, *['P7'] * 3, 'x-1', 'x-10', '1.01', '1.1']


@pytest.mark.parametrize('cell', ['', 'nan', 'N/A', '?'])
def test_no_patient_is_named_nan(cell, tmp_path):
  found = _find(
    tmp_path, f'path,who,label\n0.png,{cell},a\n1.png,p,b\n', patient='who'
  )
  ((where, what),) = _said(found, 'impossible label')
  assert where == 'labels.csv:2' and what.startswith('who is')


@pytest.mark.parametrize(
  'cell, split',
  [
    ('val', 'validation'),
    ('Valid', 'validation'),
    ('TRAIN', 'train'),
    ('testing', 'test'),
  ],
)
def test_words_for_splits(cell, split, tmp_path):
  found = _find(
    tmp_path, f'path,set,label\n0.png,{cell},a\n1.png,test,b\n', split='set'
  )
  assert found.dataset.records[0].split == split


def test_paths_that_are_no_file_names(tmp_path):
  raw = raw_sets.table(tmp_path, count=20)
  with open(raw / 'labels.csv', 'ab') as file:
    file.write(b'images/0\x000.png,benign\n' + b'x' * 5000 + b'.png,benign\n')
  name = os.path.join(os.fsencode(raw / 'images'), b'M\xfcller.png')
  with open(name, 'wb') as file:
    file.write((raw / 'images/000.png').read_bytes())
  table = layout.find(raw / 'labels.csv', raw, layout.Columns())
  checked = preflight.check(table.dataset, num_processes=1)
  kinds = {p.kind: str(p) for p in checked.problems}
  assert (
    'labels.csv:22' in kinds['no such image'] or 'xxx' in kinds['no such image']
  )
  assert kinds['image without label'].encode('utf-8')
  assert 'ller.png' in kinds['image without label']
  assert sum(p.kind == 'no such image' for p in checked.problems) == 2
  assert len(checked.records) == 20


def test_absolute_paths_through_a_link(tmp_path):
  raw = raw_sets.table(tmp_path / 'raw', count=20)
  (tmp_path / 'link').symlink_to(raw)
  csv = raw / 'labels.csv'
  plain = csv.read_text()
  expected = layout.find(csv, raw, layout.Columns()).dataset
  for root, other in ((raw, 'link'), (tmp_path / 'link', 'raw')):
    csv.write_text(plain.replace('images/', f'{tmp_path / other}/images/'))
    found = layout.find(csv, root, layout.Columns()).dataset
    assert not found.problems
    ids = [record.image_id for record in found.records]
    assert ids == [record.image_id for record in expected.records]
