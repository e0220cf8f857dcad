"""Published tables that `image_table` reads by the flags of data/README.md."""

import gzip
import re
import shlex

from absl import flags
from absl.testing import flagsaver
import paths
import pytest
import raw_sets

from data import preflight
from data.image_table import layout
from transfusion_tf import errors
from transfusion_tf.cli import table_flags

_NIH = (
  'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,'
  'Patient Gender,View Position,OriginalImage[Width,Height],'
  'OriginalImagePixelSpacing[x,y],\n'
)


def _find(folder, name):
  """Read a set by the flags that data/README.md has for it."""
  text = (paths.ROOT / 'data' / 'README.md').read_text(encoding='utf-8')
  row = re.search(rf'\n\| \[{name}\]\(.*\) \| `(--.*)` \|\n', text)
  csv, *arguments = shlex.split(row[1].replace(r'\|', '|'))
  with flagsaver.flagsaver():
    flags.FLAGS(['prepare_data.py', *arguments])
    columns = table_flags.columns(folder)
  return layout.find(folder / csv.removeprefix('--csv='), folder, columns)


def _chestx_ray14(folder):
  """Images in numbered folders, named alone in the table."""
  labels = ('No Finding', 'Effusion', 'Effusion|Mass', 'Mass|Nodule')
  rows = []
  for n in range(24):
    name = f'{n // 2:08d}_{n % 2:03d}.png'
    where = folder / f'images_{n // 12 + 1:03d}/images/{name}'
    raw_sets.save(raw_sets.photograph(n), where)
    rows.append(
      f'{name},{labels[n // 2 % 4]},{n % 2},{n // 2},58,M,PA,2682,2749,'
      '0.143,0.143,\n'
    )
  (folder / 'Data_Entry_2017.csv').write_text(_NIH + ''.join(rows))
  names = [row.split(',')[0] for row in rows]
  (folder / 'train_val_list.txt').write_text('\n'.join(names[:18]))
  (folder / 'test_list.txt').write_text('\n'.join(names[18:]))
  return _find(folder, 'ChestX-ray14')


def _padchest(folder):
  """Labels as a Python list; a number for a folder and a name, two columns."""
  rows = [
    ',ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,'
    'Projection,MethodLabel,Report,Labels,Localizations\n'
  ]
  labels = (
    "['normal']",
    "['pleural effusion', 'cardiomegaly']",
    "['', 'mass ']",
  )
  for n in range(24):
    name = f'2168404{n:04d}_abc-{n}.png'
    raw_sets.save(raw_sets.photograph(n), folder / f'{n % 3}/{name}')
    rows.append(
      f'{n},{name},{n % 3},20140915,s{n},p{n // 2},1930.0,PA,Physician,'
      f'"texto, con coma",{chr(34)}{labels[n // 2 % 3]}{chr(34)},"[]"\n'
    )
  path = folder / 'PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz'
  path.write_bytes(gzip.compress(''.join(rows).encode()))
  return _find(folder, 'PadChest')


def _mimic_cxr_jpg(folder):
  """A table of images with their split, one of studies with findings."""
  split = ['dicom_id,study_id,subject_id,split\n']
  findings = ['subject_id,study_id,Atelectasis,Edema\n']
  for n in range(24):
    patient, study = 10_000_032 + n // 2, 50_414_267 + n
    name = f'02aa804e-bde0afdd-112c0b34-7bc16630-{n:08x}'
    raw_sets.save(
      raw_sets.photograph(n),
      folder / f'files/p10/p{patient}/s{study}/{name}.jpg',
    )
    part = ('train', 'train', 'validate', 'test')[n // 2 % 4]
    split.append(f'{name},{study},{patient},{part}\n')
    findings.append(f'{patient},{study},{("1.0", "", "-1.0")[n % 3]},0.0\n')
  for name, rows in (('split', split), ('chexpert', findings)):
    (folder / f'mimic-cxr-2.0.0-{name}.csv.gz').write_bytes(
      gzip.compress(''.join(rows).encode())
    )
  return _find(folder, 'MIMIC-CXR-JPG')


def _vindr_cxr(folder):
  """Three readers of each training image, a row each; one label of a test's."""
  findings = 'Aortic enlargement,Cardiomegaly,No finding'
  tables = {
    'train': [f'image_id,rad_id,{findings}\n'],
    'test': [f'image_id,{findings}\n'],
  }
  for n in range(24):
    name, part = f'{n:032x}', 'train' if n < 18 else 'test'
    place = raw_sets.save(raw_sets.photograph(n), folder / part / f'{name}.png')
    place.rename(place.with_suffix('.dicom'))  # Read by what it holds.
    for reader in range(3 if part == 'train' else 1):
      yes = int(n % 2 == 1 or (n % 4 == 0 and reader == 0))
      who = f',R{reader + 8}' if part == 'train' else ''
      tables[part].append(f'{name}{who},{yes},{n % 2},{1 - n % 2}\n')
  for part, rows in tables.items():
    (folder / f'image_labels_{part}.csv').write_text(''.join(rows))
  return _find(folder, 'VinDr-CXR')


# Layout -> its findings, and the number of patients.
_SETS = {
  _chestx_ray14: (('Effusion', 'Mass', 'Nodule'), 12),
  _padchest: (('cardiomegaly', 'mass', 'normal', 'pleural effusion'), 12),
  _mimic_cxr_jpg: (('Atelectasis', 'Edema'), 12),
  _vindr_cxr: (('Aortic enlargement', 'Cardiomegaly', 'No finding'), 24),
}


@pytest.mark.parametrize('make', _SETS, ids=lambda make: make.__name__[1:])
def test_a_published_table_is_read_by_its_columns(make, tmp_path):
  found = make(tmp_path)
  names, patients = _SETS[make]
  assert (found.kind, found.names) == ('findings', names)
  assert len(found.dataset.records) == 24
  assert len({r.patient_id for r in found.dataset.records}) == patients
  checked = preflight.check(found.dataset, num_processes=1)
  assert not [problem for problem in checked.problems if problem.bad]
  assert checked.splits().keys() == {'train', 'validation', 'test'}


def _states(found, number):
  states = found.dataset.records[number].labels['findings'].values()
  return tuple(states)


def test_the_findings_of_a_cell(tmp_path):
  nih = _chestx_ray14(tmp_path / 'nih')
  assert _states(nih, 0) == ('negative',) * 3  # No Finding.
  assert _states(nih, 4) == ('positive', 'positive', 'negative')
  padchest = _padchest(tmp_path / 'padchest')
  assert _states(padchest, 2) == (
    'positive',
    'negative',
    'negative',
    'positive',
  )
  assert _states(padchest, 4) == (
    'negative',
    'positive',
    'negative',
    'negative',
  )


def test_columns_of_another_table(tmp_path):
  mimic = _mimic_cxr_jpg(tmp_path)
  assert _states(mimic, 1) == ('unmentioned', 'negative')
  assert _states(mimic, 2) == ('uncertain', 'negative')
  splits = [record.split for record in mimic.dataset.records[2:8:2]]
  assert splits == ['train', 'validation', 'test']


def test_a_row_without_one_in_the_other_table_is_bad(tmp_path):
  (tmp_path / 'a.csv').write_text('path,study\n0.png,1\n1.png,2\n')
  (tmp_path / 'b.csv').write_text('study,Mass\n1,1\n')
  found = layout.find(f'{tmp_path}/a.csv,b.csv', tmp_path, layout.Columns())
  ((where, kind),) = [(p.location, p.kind) for p in found.dataset.problems]
  assert (where, kind) == ('a.csv:3', 'impossible label')
  (tmp_path / 'b.csv').write_text('study,Mass\n1,1\n1,0\n')
  with pytest.raises(errors.InputError, match=r'b\.csv:3: a second row of 1'):
    layout.find(f'{tmp_path}/a.csv,b.csv', tmp_path, layout.Columns())


def test_test_images_of_a_list_and_of_a_table(tmp_path):
  for make in (_chestx_ray14, _vindr_cxr):
    found = make(tmp_path / make.__name__)
    splits = [record.split for record in found.dataset.records]
    assert splits == ['train'] * 18 + ['test'] * 6


def test_most_readers_decide_and_disagreement_is_noted(tmp_path):
  found = _vindr_cxr(tmp_path)
  assert _states(found, 0) == ('negative', 'negative', 'positive')
  assert _states(found, 1) == ('positive', 'positive', 'negative')
  kinds = [p.kind for p in found.dataset.problems]
  assert kinds == ['readers disagree'] * 5


def _read_twice(folder, header, *rows):
  (folder / 'labels.csv').write_text('\n'.join([header, *rows]))
  columns = layout.Columns(majority=True)
  return layout.find(folder / 'labels.csv', folder, columns)


def test_a_finding_that_as_many_readers_see_as_do_not_is_uncertain(tmp_path):
  found = _read_twice(tmp_path, 'path,Mass,Edema', '0.png,1,1', '0.png,0,1')
  assert _states(found, 0) == ('uncertain', 'positive')
  assert [p.kind for p in found.dataset.problems] == ['readers disagree']


def test_a_class_that_as_many_readers_see_as_do_not_is_contradictory(tmp_path):
  raw_sets.save(raw_sets.photograph(0), tmp_path / '0.png')
  rows = ('0.png,b', '0.png,m', '1.png,b', '1.png,b', '1.png,m')
  found = _read_twice(tmp_path, 'path,label', *rows)
  checked = preflight.check(found.dataset, num_processes=1)
  (bad,) = (p for p in checked.problems if p.kind == 'contradictory labels')
  assert bad.bad and bad.location == '0.png'
  assert [r.labels['label'] for r in found.dataset.records] == ['b', 'm', 'b']


def test_cells_of_several_findings_are_noticed(tmp_path):
  rows = ['a|b', 'a', 'c|b', 'b']
  table = ''.join(f'{n}.png,{cell}\n' for n, cell in enumerate(rows))
  (tmp_path / 'labels.csv').write_text('path,label\n' + table)
  found = layout.find(tmp_path / 'labels.csv', tmp_path, layout.Columns())
  (note,) = found.dataset.problems
  assert note.kind == 'several labels in a cell'
  assert "--label_separator='|'" in note.detail


def test_a_blank_cell_is_not_no_finding(tmp_path):
  (tmp_path / 'labels.csv').write_text('path,label\n0.png,a|b\n1.png,\n')
  columns = layout.Columns(separator='|')
  found = layout.find(tmp_path / 'labels.csv', tmp_path, columns)
  (problem,) = found.dataset.problems
  assert problem.bad and problem.location == 'labels.csv:3'


def test_a_name_that_two_images_have_is_named(tmp_path):
  for folder in ('a', 'b'):
    raw_sets.save(raw_sets.photograph(0), tmp_path / folder / '0.png')
  (tmp_path / 'labels.csv').write_text('path,label\n0.png,x\na/0.png,y\n')
  found = layout.find(tmp_path / 'labels.csv', tmp_path, layout.Columns())
  bad = [problem for problem in found.dataset.problems if problem.bad]
  assert len(bad) == 1 and 'a/0.png, b/0.png' in bad[0].detail


def _folders(root, *tops):
  for n in range(24):
    top = tops[n // 4 % len(tops)] if tops else '.'
    name = ('benign', 'malignant')[n % 2]
    raw_sets.save(raw_sets.photograph(n), root / top / name / f'{n}.png')
  return layout.find_folders(root, layout.Columns())


def test_a_folder_for_each_class(tmp_path):
  found = _folders(tmp_path)
  assert (found.kind, found.names) == ('label', ('benign', 'malignant'))
  assert len(found.dataset.records) == 24 and not found.dataset.problems
  first = found.dataset.records[0]
  assert (first.image_id, first.split) == ('benign/0.png', '')


def test_folders_of_classes_in_folders_of_splits(tmp_path):
  found = _folders(tmp_path, 'train', 'val', 'test')
  splits = {record.split for record in found.dataset.records}
  assert splits == {'train', 'validation', 'test'}
  assert found.names == ('benign', 'malignant')


def test_folders_called_0_and_1_are_grades_and_none_is_an_error(tmp_path):
  raw_sets.save(raw_sets.photograph(0), tmp_path / 'top.png')
  with pytest.raises(errors.InputError, match='no folders of images'):
    layout.find_folders(tmp_path, layout.Columns())
  for n in range(4):
    raw_sets.save(raw_sets.photograph(n), tmp_path / f'{n % 2}/{n}.png')
  found = layout.find_folders(tmp_path, layout.Columns())
  assert (found.kind, found.names) == ('grade', ('0', '1'))
  assert [p.kind for p in found.dataset.problems] == ['image without label']
