"""Paths that lead to devices, pipes, archives and other folders."""

import os
import pathlib
import shutil
import zipfile

import pytest
import raw_sets

from data import archives
from data import images
from data import preflight
from data import raw_dataset
from data import tables
from data.image_table import layout
from data.retina import layouts
from transfusion_tf import errors


def _endless(path):
  path.unlink(missing_ok=True)
  path.symlink_to('/dev/zero')


def _pipe(path):
  path.unlink(missing_ok=True)
  os.mkfifo(path)


_NO_FILES = {'endless': _endless, 'pipe': _pipe}


def _check(folder):
  table = layout.find(folder / 'labels.csv', folder, layout.Columns())
  return preflight.check(table.dataset, num_processes=1)


def _bad(checked):
  return [(p.kind, p.location) for p in checked.problems if p.bad]


@pytest.mark.timeout(60)
@pytest.mark.parametrize('kind', _NO_FILES)
def test_an_image_that_is_no_file_is_named(kind, tmp_path):
  raw_sets.table(tmp_path)
  _NO_FILES[kind](tmp_path / 'images' / '003.png')
  assert _bad(_check(tmp_path)) == [('unreadable image', 'images/003.png')]


@pytest.mark.timeout(60)
@pytest.mark.parametrize('kind', _NO_FILES)
@pytest.mark.parametrize('name', ['labels.csv', 'labels.csv.gz'])
def test_a_table_that_is_no_file_is_one_line(name, kind, tmp_path):
  _NO_FILES[kind](tmp_path / name)
  with pytest.raises(errors.InputError, match='a device or a pipe'):
    tables.read(tmp_path / name, ())


@pytest.mark.timeout(60)
@pytest.mark.parametrize('kind', _NO_FILES)
def test_an_archive_that_is_no_file_is_one_line(kind, tmp_path):
  raw_sets.kaggle(tmp_path)
  shutil.rmtree(tmp_path / 'train')
  _NO_FILES[kind](tmp_path / 'train.zip')
  with pytest.raises(errors.InputError, match=r'train\.zip cannot be read'):
    layouts.find(tmp_path, 'kaggle')
  with pytest.raises(errors.InputError, match='cannot be read'):
    list(archives.tar_members(tmp_path / 'train.zip'))


def test_a_file_of_terabytes_is_refused_before_it_is_read(tmp_path):
  """Most file systems hold such a file, as it has no content."""
  raw_sets.table(tmp_path)
  os.truncate(tmp_path / 'images' / '003.png', 2**42)
  assert _bad(_check(tmp_path)) == [('unreadable image', 'images/003.png')]


def test_a_member_of_gigabytes_is_refused_before_it_is_unpacked(
  tmp_path, monkeypatch
):
  path = tmp_path / 'train.zip'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
    file.writestr('1_left.jpeg', bytes(2**20))
  (member,) = archives.zip_members(path)
  assert len(images.read(member)) == 2**20
  monkeypatch.setattr(archives, 'MAX_BYTES', 2**20 - 1)
  with pytest.raises(raw_dataset.InvalidRecordError, match='unpacks to over'):
    images.read(member)


@pytest.mark.parametrize('name', ['labels.csv', 'labels.csv.zip'])
def test_a_table_has_a_bound(name, tmp_path, monkeypatch):
  monkeypatch.setattr(tables, '_MAX_BYTES', 1000)
  if name.endswith('.zip'):
    with zipfile.ZipFile(tmp_path / name, 'w', zipfile.ZIP_DEFLATED) as file:
      file.writestr('labels.csv', bytes(10**6))
  else:
    (tmp_path / name).write_bytes(bytes(10**6))
  with pytest.raises(errors.InputError, match='more than 1,000 bytes'):
    tables.read(tmp_path / name, ())


_CELLS = (
  *('t.tar::abc', 't.tar::0+99999999999999', 't.tar::', 'T.TAR::0+5'),
  *('t.zip::a.png', 'none.zip::a.png', 't.zip.001::a', 't.tar::-5+9'),
)


@pytest.mark.parametrize('cell', _CELLS)
def test_a_cell_opens_no_archive(cell, tmp_path):
  raw_sets.table(tmp_path)
  (tmp_path / 't.tar').write_bytes(bytes(2000))
  (tmp_path / 't.zip').write_bytes(b'PK')
  text = (tmp_path / 'labels.csv').read_text()
  first = text.splitlines()[1].split(',')[0]
  (tmp_path / 'labels.csv').write_text(text.replace(first, cell, 1))
  assert _bad(_check(tmp_path)) == [('no such image', 'labels.csv:2')]
  with pytest.raises(raw_dataset.InvalidRecordError):
    images.read(str(tmp_path / cell))


@pytest.mark.parametrize('name', ['scan::1.png', 't.zip::a.png'])
def test_a_real_file_with_two_colons_is_read(name, tmp_path):
  raw_sets.table(tmp_path)
  os.rename(tmp_path / 'images' / '003.png', tmp_path / 'images' / name)
  path = tmp_path / 'labels.csv'
  path.write_text(path.read_text().replace('images/003.png', f'images/{name}'))
  checked = _check(tmp_path)
  assert not _bad(checked)
  assert f'images/{name}' in {record.image_id for record in checked.records}


def test_a_path_with_a_nul_is_no_image():
  for path in ('a\0b.png', 'a.zip::\0', 'a\0.tar::0+5'):
    with pytest.raises(raw_dataset.InvalidRecordError):
      images.read(path)


def test_links_to_another_folder_are_followed_and_said(tmp_path):
  raw, elsewhere = tmp_path / 'raw', tmp_path / 'elsewhere'
  raw_sets.table(raw)
  shutil.move(raw / 'images' / '003.png', elsewhere)
  (raw / 'images' / '003.png').symlink_to(elsewhere)
  (raw / 'images' / '004.png').unlink()
  (raw / 'images' / '004.png').symlink_to('005.png')  # In the same folder.
  noted = [
    p for p in _check(raw).problems if p.kind == 'link to another folder'
  ]
  assert [problem.location for problem in noted] == ['images/003.png']


def test_a_root_that_is_a_link_is_no_link_to_another_folder(tmp_path):
  raw_sets.table(tmp_path / 'disk')
  link = pathlib.Path(tmp_path / 'raw')
  link.symlink_to(tmp_path / 'disk')
  kinds = {problem.kind for problem in _check(link).problems}
  assert 'link to another folder' not in kinds


def test_a_linked_letter_is_not_quoted(tmp_path):
  raw_sets.table(tmp_path / 'raw')
  letter = tmp_path / 'letter'
  letter.write_text('Dear Erika Mustermann')
  image = tmp_path / 'raw' / 'images' / '003.png'
  image.unlink()
  image.symlink_to(letter)
  checked = _check(tmp_path / 'raw')
  assert _bad(checked) == [('not an image', 'images/003.png')]
  assert not any('Mustermann' in str(problem) for problem in checked.problems)
