"""Nothing but pixels leaves a source file: not into any file that is written.

A name is planted in every kind of metadata of every format. All that the
check, the build, a run and an export write is then searched for it.
"""

import base64
import collections
import io
import re
import struct
import zlib

import numpy as np
from PIL import Image
from PIL import PngImagePlugin
from PIL import TiffImagePlugin
import prepared_sets
import pytest
import raw_sets

from data import images
from data import raw_dataset
from data.retina import retina_dataset_builder
from transfusion_tf import export
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate

_NAME = 'Erika Mustermann'
_SPELLINGS = tuple(_NAME.encode(code) for code in ('utf-8', 'utf-16-le'))
_XMP = f'<x:xmpmeta><dc:creator>{_NAME}</dc:creator></x:xmpmeta>'


def _exif():
  exif = Image.Exif()
  exif[0x010E] = exif[0x013B] = _NAME  # Description and artist.
  exif.get_ifd(0x8769)[0x9286] = _NAME.encode()  # The user's comment.
  return exif


def _file(image, kind, **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def _segment(marker, content):
  return struct.pack('>BBH', 0xFF, marker, len(content) + 2) + content


def _jpeg_with(*segments):
  def make(image):
    plain = _file(image, 'JPEG')
    return plain[:2] + b''.join(segments) + plain[2:]

  return make


def _png_with(kind, content):
  def make(image):
    plain = _file(image, 'PNG')
    checksum = zlib.crc32(kind + content)
    chunk = struct.pack('>I', len(content)) + kind + content
    return plain[:33] + chunk + struct.pack('>I', checksum) + plain[33:]

  return make


def _png_texts(image):
  texts = PngImagePlugin.PngInfo()
  texts.add_text('Author', _NAME)
  texts.add_text('Comment', _NAME, zip=True)
  texts.add_itxt('XML:com.adobe.xmp', _XMP)
  return _file(image, 'PNG', pnginfo=texts, icc_profile=_NAME.encode())


def _tiff(image):
  tags = TiffImagePlugin.ImageFileDirectory_v2()
  for tag in (270, 305, 315, 33432):
    tags[tag] = _NAME
  tags[700] = _XMP.encode()
  tags.tagtype[700] = 1
  return _file(image, 'TIFF', tiffinfo=tags, icc_profile=_NAME.encode())


def _dicom(image):
  pydicom = pytest.importorskip('pydicom')
  file = pydicom.dcmread(io.BytesIO(raw_sets.dicom(np.asarray(image), 'RGB')))
  file.PatientName = file.PatientComments = file.ImageComments = _NAME
  file.add_new(0x00091001, 'LO', _NAME)
  buffer = io.BytesIO()
  file.save_as(buffer, enforce_file_format=True)
  return bytes(_NAME.encode()).ljust(128, b'\0') + buffer.getvalue()[128:]


_NAMED = {
  'comment': _jpeg_with(_segment(0xFE, _NAME.encode())),
  'exif': lambda image: _file(image, 'JPEG', exif=_exif()),
  'xmp': lambda image: _file(image, 'JPEG', xmp=_XMP.encode()),
  'profile': lambda image: _file(image, 'JPEG', icc_profile=_NAME.encode()),
  'iptc': _jpeg_with(_segment(0xED, b'Photoshop 3.0\0' + _NAME.encode())),
  'other segment': _jpeg_with(_segment(0xE9, _NAME.encode())),
  'after the end': lambda image: _file(image, 'JPEG') + _NAME.encode(),
  'gray': lambda image: _file(
    image.convert('L'), 'JPEG', comment=_NAME, exif=_exif()
  ),
  'png texts': _png_texts,
  'png exif': lambda image: _file(image, 'PNG', exif=_exif()),
  'png other': _png_with(b'prVt', _NAME.encode()),
  'png after': lambda image: _file(image, 'PNG') + _NAME.encode('utf-16-le'),
  'tiff': _tiff,
  'bmp after': lambda image: _file(image, 'BMP') + _NAME.encode(),
  'dicom': _dicom,
}
_DROPPED = {name for name in _NAMED if name != 'bmp after'}
_BROKEN = {
  'letter': _NAME.encode(),
  'tiff': b'II*\0' + _NAME.encode() * 20,
  'bmp': b'BM' + _NAME.encode() * 20,
  'jpeg': b'\xff\xd8\xff\xfe\0\x12' + _NAME.encode(),
  'png': b'\x89PNG\r\n\x1a\n' + _NAME.encode() * 3,
  'dicom': bytes(128) + b'DICM' + _NAME.encode() * 20,
}


@pytest.mark.parametrize('kind', _NAMED)
def test_a_picture_is_pixels_alone(kind):
  file = _NAMED[kind](raw_sets.photograph(0))
  assert any(spelling in file for spelling in _SPELLINGS) or kind == 'png texts'
  decoded = images.decode(file)
  assert not decoded.picture.info and not decoded.picture.getexif()
  noted = [kind for kind, _ in decoded.notes]
  assert noted == ['metadata dropped'] * (kind in _DROPPED)
  for again in (images.jpeg(decoded.picture), _file(decoded.picture, 'PNG')):
    assert not any(spelling in again for spelling in _SPELLINGS)
    assert not images.decode(again).notes


@pytest.mark.parametrize('kind', _BROKEN)
def test_a_refusal_does_not_quote_the_file(kind, capfd):
  with pytest.raises(raw_dataset.InvalidRecordError) as caught:
    images.decode(_BROKEN[kind])
  printed = ''.join(capfd.readouterr())
  for text in (str(caught.value), printed):
    assert not any(word in text for word in _NAME.split())


def _raw(folder):
  """A data set with each kind of file, and files that are broken."""
  raw_sets.kaggle(folder, train=40, test=3)
  paths = sorted(folder.rglob('*.jpeg'))
  for number, (path, make) in enumerate(
    zip(paths, 3 * list(_NAMED.values()), strict=False)
  ):
    path.write_bytes(make(raw_sets.photograph(number)))
  train = sorted((folder / 'train').iterdir())
  for path, broken in zip(reversed(train), _BROKEN.values(), strict=False):
    path.write_bytes(broken)


def _contents(root):
  """Yield (path, bytes), of pages with their pictures decoded."""
  for path in root.rglob('*'):
    if path.is_file():
      data = path.read_bytes()
      yield path, data
      for code in re.findall(rb'base64,([A-Za-z0-9+/=]+)', data):
        yield path, base64.b64decode(code)


def test_no_file_that_is_written_holds_what_was_planted(tmp_path, capfd):
  _raw(tmp_path / 'raw')
  written = tmp_path / 'written'
  builder = retina_dataset_builder.Builder.from_source(
    written / 'data', 'kaggle', 32
  )
  builder.num_processes = 1
  report = builder.check(tmp_path / 'raw')
  report.write(written / 'preflight')
  print(report)
  builder.build(report)
  experiment = prepared_sets.experiment(
    written / 'data',
    model__name='tiny_nets:net',
    train__train_steps=4,
    train__eval_every=2,
    runtime__pictures=True,
  )
  run_dir = str(written / 'run')
  train_and_evaluate.run(experiment, run_dir)
  run = run_lib.load_run(run_dir, 'final', strategy='one_device')
  export.export(run, written / 'export', run_dir=run_dir)

  kinds = collections.Counter(p.kind for p in report.dataset.problems)
  assert kinds['metadata dropped'] >= 2 * len(_DROPPED)
  assert len(report.bad) == len(_BROKEN)
  (written / 'printed').write_text(''.join(capfd.readouterr()))
  names = set()
  for path, data in _contents(written):
    names.add(path.suffix.partition('-')[0])
    assert not any(spelling in data for spelling in _SPELLINGS), path
    assert b'Mustermann' not in data, path
  assert {'.html', '.json', '.csv', '.pb'} <= names
  assert any('tfrecord' in p.name for p in written.rglob('*'))
  assert any('tfevents' in p.name for p in written.rglob('*'))
