"""Images in folders: each extension, each layout of folders, or one line."""

import contextlib
import io
import os
import pathlib
import shutil

import numpy as np
import pytest
import raw_sets

from data import archives
from data import imagenet2012
from data import preflight
from data.chexpert import layout as chexpert
from data.image_table import layout as image_table
from data.retina import layouts as retina
from transfusion_tf import errors

_FORMATS = {
  '.jpeg': 'JPEG',
  '.jpg': 'JPEG',
  '.png': 'PNG',
  '.tif': 'TIFF',
  '.tiff': 'TIFF',
  '.bmp': 'BMP',
  '.dcm': 'DICOM',
  '.dicom': 'DICOM',
}
_EXTENSIONS = [*_FORMATS, *map(str.upper, _FORMATS)]


def _file(image, extension):
  """An image in the format that its extension says."""
  kind = _FORMATS[extension.lower()]
  if kind == 'DICOM':
    return raw_sets.dicom(np.asarray(image.convert('L')))
  buffer = io.BytesIO()
  image.save(buffer, kind)
  return buffer.getvalue()


def _write(folder, extension, tops=('images',)):
  """20 images of two classes; returns the rows of names without extension."""
  rows = []
  for n in range(20):
    top, label = tops[n % len(tops)], ('benign', 'malignant')[n % 2]
    path = folder / top / f'{label}_{n}{extension}'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_file(raw_sets.photograph(n), extension))
    rows.append(f'{path.stem},{label}\n')
  return rows


def _assert_all_are_read(dataset, extension, count=20):
  checked = preflight.check(dataset, num_processes=1)
  assert not [problem for problem in checked.problems if problem.bad]
  assert not [p for p in checked.problems if p.kind == 'image without label']
  assert len(checked.records) == count
  for record in checked.records:
    assert record.path.endswith(extension)
    assert record.size == (60, 48) and record.sha256


@pytest.mark.parametrize('extension', _EXTENSIONS)
def test_a_name_is_found_with_and_without_its_extension(extension, tmp_path):
  rows = _write(tmp_path, extension, ('a', 'b/c'))
  rows[::2] = [row.replace(',', f'{extension},') for row in rows[::2]]
  (tmp_path / 'labels.csv').write_text('path,label\n' + ''.join(rows))
  found = image_table.find(
    tmp_path / 'labels.csv', tmp_path, image_table.Columns()
  )
  _assert_all_are_read(found.dataset, extension)


@pytest.mark.parametrize('extension', _EXTENSIONS)
def test_folders_of_classes_have_images_of_any_extension(extension, tmp_path):
  _write(tmp_path, extension, ('benign', 'malignant'))
  found = image_table.find_folders(tmp_path, image_table.Columns())
  assert found.names == ('benign', 'malignant')
  _assert_all_are_read(found.dataset, extension)


# Layout -> how to fabricate it, how to list it, its images.
_NAMED = {
  'kaggle': (raw_sets.kaggle, retina.find, 18),
  'aptos2019': (raw_sets.aptos2019, retina.find, 30),
  'messidor2': (raw_sets.messidor2, retina.find, 30),
  'idrid': (raw_sets.idrid, retina.find, 12),
  'small': (raw_sets.chexpert, chexpert.find, 37),
}


@pytest.mark.parametrize('source', _NAMED)
def test_the_named_sets_are_read_under_any_extension(source, tmp_path):
  make, find, count = _NAMED[source]
  folder = make(tmp_path)
  images = [p for p in folder.rglob('*') if p.suffix.lower() in _FORMATS]
  for n, path in enumerate(images):
    path.rename(path.with_suffix(_EXTENSIONS[n % len(_EXTENSIONS)]))
  checked = preflight.check(find(folder, source), num_processes=1)
  assert not [problem for problem in checked.problems if problem.bad]
  assert len(checked.records) == count
  found = {pathlib.Path(r.path).suffix for r in checked.records}
  assert len(found) >= min(len(_EXTENSIONS), count) - 1


def _in_batches(folder):
  """CheXpert in full as Stanford AIMI's bucket has it; three patients more."""
  raw_sets.chexpert(folder, 'CheXpert-v1.0')
  whole = folder / 'CheXpert-v1.0'
  first = folder / 'CheXpert-v1.0 batch 1 (validate & csv)'
  first.mkdir()
  for name in ('valid', 'train.csv', 'valid.csv'):
    shutil.move(whole / name, first / name)
  for n, patient in enumerate(sorted((whole / 'train').iterdir())):
    batch = folder / f'CheXpert-v1.0 batch {n % 3 + 2} (train {n % 3 + 1})'
    batch.mkdir(exist_ok=True)
    shutil.move(patient, batch / patient.name)
  shutil.rmtree(whole)
  return folder


def test_the_batches_of_chexpert_are_the_set_in_one_folder(tmp_path):
  whole = chexpert.find(
    raw_sets.chexpert(tmp_path / 'whole', 'CheXpert-v1.0'), 'full'
  )
  folder = _in_batches(tmp_path / 'batches')
  checked = {}
  for name, found in (('whole', whole), ('batches', _full(folder))):
    checked[name] = preflight.check(found, num_processes=1)
  assert len(checked['batches'].records) == 37
  assert {p.kind for p in checked['batches'].problems} == {
    p.kind for p in checked['whole'].problems
  }
  for one, other in zip(
    checked['batches'].records, checked['whole'].records, strict=True
  ):
    assert 'batch' in one.path and one.sha256 == other.sha256
    assert (one.image_id, one.split) == (other.image_id, other.split)
    assert (one.patient_id, one.labels) == (other.patient_id, other.labels)


def test_a_batch_that_was_not_downloaded_is_named_by_its_images(tmp_path):
  folder = _in_batches(tmp_path)
  shutil.rmtree(folder / 'CheXpert-v1.0 batch 3 (train 2)')
  checked = preflight.check(_full(folder), num_processes=1)
  missing = [p for p in checked.problems if p.kind == 'no such image']
  assert missing and len(checked.records) == 37 - len(missing)
  assert all('train/patient' in problem.location for problem in missing)


def _full(folder):
  return chexpert.find(folder, 'full')


def _table(folder):
  return image_table.find(folder / 'labels.csv', folder, image_table.Columns())


def _classes(folder):
  _write(folder, '.png', ('benign', 'malignant'))
  return folder


def _folders(folder):
  return image_table.find_folders(folder, image_table.Columns())


# What -> how to fabricate it, how to list it, a folder of it.
_FOLDERS = {
  'kaggle': (raw_sets.kaggle, lambda f: retina.find(f, 'kaggle'), 'train'),
  'idrid': (
    raw_sets.idrid,
    lambda f: retina.find(f, 'idrid'),
    'B. Disease Grading/1. Original Images/b. Testing Set',
  ),
  'chexpert': (
    raw_sets.chexpert,
    lambda f: chexpert.find(f, 'small'),
    'CheXpert-v1.0-small/train/patient00003/study1',
  ),
  'batches': (_in_batches, _full, 'CheXpert-v1.0 batch 3 (train 2)'),
  'all batches': (_in_batches, _full, '.'),
  'table': (raw_sets.table, _table, 'images'),
  'table, at its top': (raw_sets.table, _table, '.'),
  'classes': (_classes, _folders, 'malignant'),
  'classes, their paths': (_classes, image_table.images_below, 'malignant'),
}


@contextlib.contextmanager
def _unreadable(folder, monkeypatch):
  """Let the system refuse to list a folder; root may list any."""

  def refused(function):
    def listed(path='.'):
      if os.path.realpath(os.fspath(path)) == os.path.realpath(folder):
        raise PermissionError(13, 'Permission denied', os.fspath(path))
      return function(path)

    return listed

  with monkeypatch.context() as patch:
    for name in ('scandir', 'listdir'):
      patch.setattr(os, name, refused(getattr(os, name)))
    yield


@pytest.mark.parametrize('what', _FOLDERS)
def test_a_folder_that_cannot_be_read_is_one_line(what, tmp_path, monkeypatch):
  """Its images would be missing, and those of a class would not be missed."""
  make, find, below = _FOLDERS[what]
  folder = make(tmp_path / 'raw')
  assert find(folder)
  with (
    _unreadable(folder / below, monkeypatch),
    pytest.raises(errors.InputError) as caught,
  ):
    find(folder)
  message = str(caught.value)
  assert message == f'{(folder / below).resolve()} cannot be read: ' + (
    'Permission denied'
  )


def test_a_folder_that_is_a_circle_of_links_is_one_line(tmp_path):
  folder = raw_sets.kaggle(tmp_path)
  shutil.rmtree(folder / 'train')
  (folder / 'train').symlink_to(folder / 'train')
  with pytest.raises(errors.InputError, match=r'no train in') as caught:
    retina.find(folder, 'kaggle')
  assert '\n' not in str(caught.value)


def test_an_archive_that_cannot_be_opened_is_one_line(tmp_path):
  for name in ('train.zip', 'train.tar'):
    (tmp_path / name).mkdir()
  with pytest.raises(errors.InputError, match='cannot be read: it is a'):
    archives.zip_members(tmp_path / 'train.zip')
  raw_sets.imagenet2012(tmp_path, validation=1)
  (tmp_path / 'ILSVRC2012_img_val.tar').unlink()
  (tmp_path / 'ILSVRC2012_img_val.tar').mkdir()
  with pytest.raises(errors.InputError, match='cannot be read: it is a'):
    imagenet2012.find(tmp_path)
