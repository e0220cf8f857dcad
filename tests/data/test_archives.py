"""Archives as they arrive: damaged, encrypted, flat, in parts, with others."""

import shutil
import struct
import zipfile

import pytest
import raw_sets

from data import archives
from data import preflight
from data.retina import layouts
from transfusion_tf import errors


@pytest.fixture
def raw(tmp_path):
  """Kaggle's folder with `train.zip`, stored member by member."""
  folder = raw_sets.kaggle(tmp_path)
  with zipfile.ZipFile(folder / 'train.zip', 'w', zipfile.ZIP_DEFLATED) as file:
    for path in sorted((folder / 'train').iterdir()):
      file.write(path, f'train/{path.name}')
  shutil.rmtree(folder / 'train')
  return folder


def _patch(path, member, edit):
  """Changes a member: `edit(data, start of header, start of contents)`."""
  with zipfile.ZipFile(path) as file:
    start = file.getinfo(member).header_offset
    central = file.start_dir
  data = bytearray(path.read_bytes())
  name, extra = struct.unpack_from('<HH', data, start + 26)
  entry = data.index(b'PK\x01\x02', central)
  while data[entry + 46 : entry + 46 + len(member)] != member.encode():
    entry = data.index(b'PK\x01\x02', entry + 4)
  edit(data, start, start + 30 + name + extra, entry)
  path.write_bytes(data)


def _garble(data, start, contents, entry):
  data[contents + 20 : contents + 60] = bytes(40)


def _deflate64(data, start, contents, entry):
  struct.pack_into('<H', data, start + 8, 9)
  struct.pack_into('<H', data, entry + 10, 9)


def _encrypt(data, start, contents, entry):
  data[start + 6] |= 1
  data[entry + 8] |= 1


def _check(folder):
  return preflight.check(layouts.find(folder, 'kaggle'), num_processes=1)


@pytest.mark.parametrize('edit', [_garble, _deflate64, _encrypt])
def test_one_bad_member_is_one_bad_image(edit, raw):
  _patch(raw / 'train.zip', 'train/12_left.jpeg', edit)
  checked = _check(raw)
  (bad,) = (problem for problem in checked.problems if problem.bad)
  assert bad.kind == 'unreadable image' and bad.location == 'train/12_left'
  assert 'train.zip cannot be unpacked' in bad.detail
  assert len(checked.records) == 17


def test_an_encrypted_archive_is_one_line(raw):
  with zipfile.ZipFile(raw / 'train.zip') as file:
    members = file.namelist()
  for member in members:
    _patch(raw / 'train.zip', member, _encrypt)
  with pytest.raises(errors.InputError, match=r'train\.zip is encrypted'):
    _check(raw)


def test_members_may_lie_anywhere_and_beside_those_of_macos(raw):
  expected = {record.image_id for record in _check(raw).records}
  for prefix in ('', 'data/train/', './train/'):
    with zipfile.ZipFile(raw / 'train.zip') as file:
      contents = {
        name.rpartition('/')[2]: file.read(name)
        for name in file.namelist()
        if '__MACOSX' not in name
      }
    with zipfile.ZipFile(raw / 'train.zip', 'w') as file:
      for name, data in contents.items():
        file.writestr(prefix + name, data)
        file.writestr(f'__MACOSX/train/._{name}', b'resource fork')
    checked = _check(raw)
    assert {record.image_id for record in checked.records} == expected
    assert not [p for p in checked.problems if p.bad]


@pytest.mark.parametrize('top', ['', 'IMAGES/'])
def test_the_images_of_messidor_may_be_left_in_an_archive(top, tmp_path):
  folder = raw_sets.messidor2(tmp_path)
  expected = preflight.check(layouts.find(folder, 'messidor2'), num_processes=1)
  with zipfile.ZipFile(folder / 'IMAGES.zip', 'w') as file:
    for path in sorted((folder / 'IMAGES').iterdir()):
      file.write(path, f'{top}{path.name}')
  shutil.rmtree(folder / 'IMAGES')
  checked = preflight.check(layouts.find(folder, 'messidor2'), num_processes=1)
  assert len(checked.records) == len(expected.records) == 30
  for one, other in zip(checked.records, expected.records, strict=True):
    assert 'IMAGES.zip::' in one.path and one.sha256 == other.sha256


@pytest.mark.parametrize(
  'beside', ['.001.md5', '.002.part', '.003.crdownload', '.0001', '.004 (1)']
)
def test_other_files_beside_the_parts_are_no_parts(beside, tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  raw_sets.zipped(folder, 'train', parts=3)
  (folder / f'train.zip{beside}').write_bytes(b'0123')
  assert len(_check(folder).records) == 18


def test_a_gap_in_the_parts_is_named(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  raw_sets.zipped(folder, 'train', parts=3)
  (folder / 'train.zip.002').unlink()
  with pytest.raises(errors.InputError, match=r'train\.zip\.002 is missing'):
    _check(folder)


def test_a_file_that_is_no_archive_is_one_line(raw):
  for data in (b'', b'PK\x03\x04', b'<html>', bytes(200)):
    (raw / 'train.zip').write_bytes(data)
    with pytest.raises(errors.InputError, match=r'train\.zip'):
      _check(raw)
  (raw / 'train.zip').unlink()
  (raw / 'train.zip').mkdir()
  with pytest.raises(errors.InputError, match=r'train\.zip'):
    _check(raw)


def test_a_file_with_two_colons_is_a_file():
  assert archives.is_inside('a.zip::b.png')
  assert archives.is_inside('a.zip.001::b.png')
  assert not archives.is_inside('scan::1.png')
