"""What --data names, folders of classes as they are, what is said of them."""

import os

import pytest
import raw_sets
import shapes

from data import preflight
from data.image_table import given as given_lib
from data.image_table import layout
from transfusion_tf import datasets
from transfusion_tf import errors


def _folders(root, names, each=2):
  for n, name in enumerate(names):
    for k in range(each):
      raw_sets.save(raw_sets.photograph(100 * n + k), root / name / f'{k}.png')
  return root


def _find(root):
  return layout.find_folders(root, layout.Columns())


def _notes(found):
  return [(p.kind, p.location) for p in found.dataset.problems]


def test_the_kind_follows_from_what_is_there(tmp_path):
  pictures = shapes.rows(4, 2, 2)
  table = shapes.table(tmp_path / 'table', pictures)
  found = given_lib.parse(str(table))
  assert (found.kind, found.images) == ('table', str(tmp_path / 'table'))
  assert given_lib.parse(str(table), 'elsewhere').images == 'elsewhere'
  assert found.name == 'own_table'
  folder = shapes.classes(tmp_path / 'My Folder', pictures)
  found = given_lib.parse(str(folder))
  assert (found.kind, found.name) == ('folder', 'own_my_folder')
  (folder / 'labels.csv').write_text('path,label\n')
  assert given_lib.parse(str(folder)).kind == 'table'
  assert given_lib.parse(f'folder:{folder}').kind == 'folder'
  arrays = shapes.medmnist(tmp_path / 'arrays', pictures)
  found = given_lib.parse(str(arrays))
  assert (found.kind, found.name) == ('medmnist', 'own_pneumoniamnist')
  packed = tmp_path / 'list.csv.gz'
  packed.write_bytes(b'')
  assert given_lib.parse(str(packed)).kind == 'table'
  several = given_lib.parse(f'{table},{table.name}')
  assert several.files == [str(table), str(table)]


def test_what_is_nothing_of_these_is_one_line(tmp_path):
  with pytest.raises(errors.InputError, match='no such file or folder'):
    given_lib.parse(str(tmp_path / 'gone'))
  with pytest.raises(errors.InputError, match='no such file or folder'):
    given_lib.parse(f'ftp:{tmp_path}')
  (tmp_path / 'notes.doc').write_text('')
  with pytest.raises(errors.InputError, match='table:, folder:, medmnist:'):
    given_lib.parse(str(tmp_path / 'notes.doc'))
  with pytest.raises(errors.InputError, match='--images is where the paths'):
    given_lib.parse(str(tmp_path), 'images')


def test_what_systems_leave_is_no_class_and_said(tmp_path):
  _folders(tmp_path, ('benign', 'malignant'))
  _folders(tmp_path, ('__MACOSX/benign', '.thumbnails', 'benign/.cache'), 1)
  (tmp_path / 'benign/._0.png').write_bytes(b'\0\5\x16\7')
  for name in ('.DS_Store', 'benign/Thumbs.db', 'benign/.DS_Store'):
    (tmp_path / name).write_bytes(b'x')
  found = _find(tmp_path)
  assert found.names == ('benign', 'malignant')
  assert len(found.dataset.records) == 4
  assert sorted(_notes(found)) == [
    ('left out, of a system', '.thumbnails/0.png'),
    ('left out, of a system', '__MACOSX/benign/0.png'),
    ('left out, of a system', 'benign/._0.png'),
    ('left out, of a system', 'benign/.cache/0.png'),
  ]
  assert layout.images_below(tmp_path) == [
    r.path for r in found.dataset.records
  ]


def test_names_of_classes_are_any_text(tmp_path):
  names = ('<b>x', 'a, b', 'naïve – 上皮', '"quoted"', '$x$', '-1.5')
  found = _find(_folders(tmp_path, names))
  assert set(found.names) == set(names)
  assert {r.labels['label'] for r in found.dataset.records} == set(names)


def test_a_name_that_is_no_output_is_a_bad_image(tmp_path):
  found = _find(_folders(tmp_path, ('fine', 'too', 'image_id', ' blank')))
  bad = [p for p in found.dataset.problems if p.bad]
  assert len(bad) == 4 and {p.kind for p in bad} == {'impossible name'}


def test_classes_in_folders_of_folders_are_the_uppermost(tmp_path):
  _folders(tmp_path, ('benign/site 1/2020', 'malignant/site 2'))
  assert _find(tmp_path).names == ('benign', 'malignant')


def test_empty_folders_and_links_to_folders_are_said(tmp_path):
  root = _folders(tmp_path / 'root', ('train/a', 'train/b', 'test/a', 'test/b'))
  (root / 'train/c').mkdir()
  (root / 'val').mkdir()
  other = _folders(tmp_path / 'other', ('d',))
  os.symlink(other / 'd', root / 'test/d')
  found = _find(root)
  assert found.names == ('a', 'b')
  assert sorted(_notes(found)) == [
    ('folder without images', 'train/c'),
    ('folder without images', 'val'),
    ('link to another folder', 'test/d'),
  ]


def test_an_image_beside_the_folders_of_classes_has_no_label(tmp_path):
  """As in sets whose test labels are secret."""
  _folders(tmp_path, ('train/a', 'train/b', 'test'))
  found = _find(tmp_path)
  assert found.names == ('a', 'b') and len(found.dataset.records) == 4
  assert _notes(found) == [
    ('image without label', 'test/0.png'),
    ('image without label', 'test/1.png'),
  ]


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (('train/a', 'test/a', 'masks/a'), r'others \(masks\)'),
    (('train', 'test'), 'no folder of a class in them'),
  ],
)
def test_folders_that_are_not_plain_are_one_line(names, message, tmp_path):
  with pytest.raises(errors.InputError, match=message):
    _find(_folders(tmp_path, names))


def test_a_class_may_be_called_test(tmp_path):
  assert _find(_folders(tmp_path, ('control', 'test'))).names == (
    'control',
    'test',
  )


@pytest.mark.parametrize(
  ('tops', 'drawn'),
  [
    (('train', 'val', 'test'), set()),
    (('train', 'test'), {'validation'}),
    (('train', 'valid'), {'test'}),
    (('train',), {'validation', 'test'}),
  ],
)
def test_a_split_that_folders_lack_is_drawn_from_train(tops, drawn, tmp_path):
  names = [f'{top}/{name}' for top in tops for name in 'ab']
  found = _find(_folders(tmp_path, names, each=20))
  checked = preflight.check(found.dataset, seed=5, num_processes=1)
  notes = {p.location: p.detail for p in checked.problems if 'drawn' in p.kind}
  assert set(notes) == drawn
  for split, detail in notes.items():
    share = {'validation': '10%', 'test': '20%'}[split]
    assert detail.startswith(f'{share} of the patients of train')
    assert 'seed 5' in detail
  assert set(checked.splits()) == {'train', 'validation', 'test'}
  for record in checked.records:  # What is held out stays so.
    top = record.image_id.split('/')[0]
    assert top == 'train' or record.split == {'valid': 'validation'}.get(
      top, 'validation' if top == 'val' else top
    )


def test_patients_that_may_be_known_are_named(tmp_path):
  rows = ['path,patient_id,machine,label']
  for n in range(12):
    for eye in ('left', 'right'):
      path = f'{n}_{eye}.png'
      raw_sets.save(raw_sets.photograph(2 * n + len(eye)), tmp_path / path)
      rows.append(f'{path},p{n},m{n % 4},{"ab"[n % 2]}')
  csv = tmp_path / 'labels.csv'
  csv.write_text('\n'.join(rows) + '\n')
  columns = layout.Columns(labels=('label',))
  found = layout.find(csv, tmp_path, columns)
  (_, column), (_, names) = _notes(found)
  assert column == 'patient_id' and names == '9_left, 9_right'
  assert {p.kind for p in found.dataset.problems} == {'patients may be known'}
  details = [p.detail for p in found.dataset.problems]
  assert '--patient_column=patient_id' in details[0]
  known = layout.Columns(labels=('label',), patient='patient_id')
  assert not _notes(layout.find(csv, tmp_path, known))


@pytest.mark.parametrize(
  'form', ['{:05d}', 'train_{:04d}', 'IM-{:03d}', 'scan {:02d}', 'a_{:02d}_x']
)
def test_numbers_alone_name_no_patients(form, tmp_path):
  for n in range(24):
    path = tmp_path / 'ab'[n % 2] / f'{form.format(n)}.png'
    raw_sets.save(raw_sets.photograph(n), path)
  assert not _notes(_find(tmp_path))


def _prepare(call, *flags):
  return call('prepare_data.py', '--num_processes=1', *flags)


def test_a_command_takes_each_shape(call, tmp_path):
  pictures = shapes.rows(8, 4, 4)
  data = tmp_path / 'data'
  shapes_of = {
    'table': (shapes.table(tmp_path / 'a', pictures), '--split_column=split'),
    'folder': (shapes.classes(tmp_path / 'b', pictures), ''),
    'medmnist': (shapes.medmnist(tmp_path / 'c', pictures), ''),
  }
  for kind, (path, more) in shapes_of.items():
    flags = [f'--data={kind}:{path}', f'--name={kind}', f'--data_dir={data}']
    if more:
      flags += [more, f'--image_root={path.parent / "images"}']
    done = _prepare(call, *flags)
    assert done.returncode == 0, done.stderr
    (info,) = datasets.info_files(str(data / kind))
    counts = datasets.num_examples(info)
    assert counts == {'train': 8, 'validation': 4, 'test': 4}


@pytest.mark.parametrize(
  'flags',
  [
    ('--data=x.npz', '--dataset=retina', '--manual_dir=RAW'),
    ('--data=x.npz', '--manual_dir=RAW'),
    ('--dataset=retina',),
    (),
  ],
)
def test_one_set_is_named_and_no_more(flags, call, tmp_path):
  done = _prepare(call, *flags, f'--data_dir={tmp_path}')
  assert done.returncode == 2
  assert done.stderr.count('\n') == 1
  assert 'Give --dataset and --manual_dir, or --data.' in done.stderr


def test_a_study_takes_a_file_of_medmnist_and_continues_without_a_check(
  call, tmp_path
):
  path = shapes.medmnist(tmp_path / 'raw', shapes.rows(24, 12, 12))
  flags = (
    *(f'--data={path}', f'--output_dir={tmp_path / "study"}'),
    *('--models=cbr_tiny', '--inits=random', '--seeds=1', '--epochs=1'),
    *('--image_size=16', '--batch_size=8', '--noprobes', '--nolocate_benefit'),
  )
  done = call('study.py', *flags)
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'study/cbr_tiny/random/seed0/result.json').exists()
  assert 'no check' in call('study.py', *flags).stdout
  path.write_bytes(path.read_bytes() + b'\0')  # It is as sound as before.
  assert 'no check' not in call('study.py', *flags).stdout
  done = call('study.py', *flags, '--table=labels.csv')
  assert done.returncode == 2 and '--data and --table' in done.stderr
