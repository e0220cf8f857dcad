"""Small raw data sets in the exact layouts of the published ones."""

import io
import pathlib
import shutil
import struct
import tarfile
import tempfile
from typing import Any
import zlib

import numpy as np
from PIL import Image
import pytest

from data.chexpert import layout

_IDRID = 'B. Disease Grading'
CHEXPERT_HEADER = ','.join(
  ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *layout.OBSERVATIONS)
)


def photograph(seed: int, height: int = 48, width: int = 60) -> Image.Image:
  """A bright disc on black, another one for each seed."""
  y, x = np.mgrid[:height, :width]
  inside = np.hypot(y - height / 2, x - width / 2) < 0.48 * height
  noise = np.random.default_rng(seed).integers(-20, 20, (height, width, 3))
  pixels = inside[..., None] * (np.array([170, 90, 60]) + noise)
  return Image.fromarray(pixels.astype(np.uint8))


def save(image: Image.Image, path: pathlib.Path) -> pathlib.Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  image.save(path)
  return path


def kaggle(folder: pathlib.Path, train: int = 6, test: int = 3) -> pathlib.Path:
  """Kaggle DR with so many patients; grades 0..4 take turns."""
  for split, csv, header, patients in (
    ('train', 'trainLabels.csv', 'image,level', range(10, 10 + train)),
    (
      'test',
      'retinopathy_solution.csv',
      'image,level,Usage',
      range(500, 500 + test),
    ),
  ):
    rows = [header]
    for patient in patients:
      for eye in ('left', 'right'):
        name, number = f'{patient}_{eye}', len(rows) - 1
        save(
          photograph(1000 * patient + number), folder / split / f'{name}.jpeg'
        )
        usage = ',Private' if split == 'test' else ''
        rows.append(f'{name},{number % 5}{usage}')
    (folder / csv).write_text('\n'.join(rows) + '\n')
  return folder


def aptos2019(folder: pathlib.Path) -> pathlib.Path:
  rows = ['id_code,diagnosis']
  for number in range(30):
    name = f'{number:012x}'
    save(photograph(number), folder / 'train_images' / f'{name}.png')
    rows.append(f'{name},{number % 5}')
  (folder / 'train.csv').write_text('\n'.join(rows))
  (folder / 'test.csv').write_text('id_code\n0005cfc8afb6\n')
  return folder


def messidor2(folder: pathlib.Path) -> pathlib.Path:
  """The CSV says .JPG or .png; some files are written the other way."""
  rows = ['image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable']
  for number in range(30):
    name = f'IM{number:06d}.JPG' if number % 2 else f'2005_{number:04d}_PP.png'
    on_disk = name.replace('.JPG', '.jpg')
    save(photograph(number), folder / 'IMAGES' / on_disk)
    rows.append(f'{name},{number % 5},0,1')
  save(photograph(99), folder / 'IMAGES/IM000099.jpg')
  rows.append('IM000099.JPG,,,0')  # Not gradable: blank, as published.
  (folder / 'messidor_data.csv').write_text('\n'.join(rows))
  return folder


def idrid(folder: pathlib.Path) -> pathlib.Path:
  """Both parts count from 1; the CSVs end in blank columns."""
  for letter, name, count in (('a', 'Training', 8), ('b', 'Testing', 4)):
    rows = ['Image name,Retinopathy grade,Risk of macular edema ,,,']
    for number in range(1, count + 1):
      stem = f'IDRiD_{number:03d}'
      images = folder / _IDRID / '1. Original Images' / f'{letter}. {name} Set'
      save(photograph(number + ord(letter) * 100), images / f'{stem}.jpg')
      rows.append(f'{stem},{number % 5},0,,,')
    csv = f'{letter}. IDRiD_Disease Grading_{name} Labels.csv'
    path = folder / _IDRID / '2. Groundtruths' / csv
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\r\n'.join(rows))
  return folder


def chexpert(
  folder: pathlib.Path, name: str = 'CheXpert-v1.0-small'
) -> pathlib.Path:
  """20 training patients, some with two views, and 5 of the official valid."""
  states = ('', '1.0', '0.0', '-1.0')
  for split, patients in (('train', range(1, 21)), ('valid', range(90, 95))):
    rows = [CHEXPERT_HEADER]
    for patient in patients:
      for view, kind in enumerate(('frontal', 'lateral')[: 1 + patient % 2]):
        path = f'{split}/patient{patient:05d}/study1/view{view + 1}_{kind}.jpg'
        gray = photograph(patient * 10 + view).convert('L')
        save(gray, folder / name / path)
        labels = (states[(patient + k) % 4] for k in range(14))
        if split == 'valid':
          labels = (f'{(patient + k) % 2:.1f}' for k in range(14))
        rows.append(
          f'{name}/{path},Female,{20 + patient},{kind.title()},AP,'
          + ','.join(labels)
        )
    (folder / name / f'{split}.csv').write_text('\n'.join(rows) + '\n')
  return folder


def table(folder: pathlib.Path, count: int = 40) -> pathlib.Path:
  """`labels.csv` with two classes, `benign` and `malignant`."""
  rows = ['path,label']
  for number in range(count):
    path = f'images/{number:03d}.png'
    save(photograph(number), folder / path)
    rows.append(f'{path},{("benign", "malignant")[number % 2]}')
  (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')
  return folder


FINDINGS = ('severe', 'left', 'any', 'bleed', 'edge')  # No alphabet's order.
_COLORS = ((255,) * 3, (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


def squares(folder: pathlib.Path, count: int = 120) -> pathlib.Path:
  """Pictures of colored squares, with two eyes a patient, and three tables.

  findings.csv has a column for each color, in the order of FINDINGS; here.csv
  calls those with and without a white square malignant and benign,
  elsewhere.csv abnormal and normal.
  """
  rng = np.random.default_rng(0)
  rows = {name: [] for name in ('findings', 'here', 'elsewhere')}
  for number in range(count):
    pixels = rng.integers(60, 150, (24, 24, 3)).astype(np.uint8)
    states = rng.integers(0, 2, len(FINDINGS))
    for color, state in zip(_COLORS, states, strict=True):
      y, x = rng.integers(1, 18, 2)
      if state:
        pixels[y : y + 4, x : x + 4] = color
    path = f'images/{number:03d}.png'
    save(Image.fromarray(pixels), folder / path)
    ids, white = f'{path},p{number // 2}', states[0]
    rows['findings'].append(f'{ids},{",".join(map(str, states))}')
    rows['here'].append(f'{ids},{("benign", "malignant")[white]}')
    rows['elsewhere'].append(f'{ids},{("normal", "abnormal")[white]}')
  for name, lines in rows.items():
    labels = ','.join(FINDINGS) if name == 'findings' else 'label'
    text = '\n'.join([f'path,patient,{labels}', *lines]) + '\n'
    (folder / f'{name}.csv').write_text(text)
  return folder


def imagenet2012(folder: pathlib.Path, validation: int) -> pathlib.Path:
  """Two synsets of three images, and so many copies for validation."""
  folder.mkdir(parents=True, exist_ok=True)
  with tarfile.open(folder / 'ILSVRC2012_img_train.tar', 'w') as train:
    for synset in ('n01440764', 'n01443537'):
      inner = io.BytesIO()
      with tarfile.open(fileobj=inner, mode='w') as tar:
        for number in range(3):
          image = photograph(int(synset[1:]) + number)
          _add(tar, f'{synset}_{number}.JPEG', _jpeg(image))
      _add(train, f'{synset}.tar', inner.getvalue())
  with tarfile.open(folder / 'ILSVRC2012_img_val.tar', 'w') as tar:
    data = _jpeg(Image.new('RGB', (8, 8)))
    for number in range(validation):
      _add(tar, f'ILSVRC2012_val_{number + 1:08d}.JPEG', data)
  return folder


def _jpeg(image):
  buffer = io.BytesIO()
  image.save(buffer, 'JPEG')
  return buffer.getvalue()


def _add(tar, name, data):
  info = tarfile.TarInfo(name)
  info.size = len(data)
  tar.addfile(info, io.BytesIO(data))


def zipped(folder: pathlib.Path, name: str, parts: int) -> None:
  """Replaces `folder/name` by a zip archive in so many parts."""
  whole = shutil.make_archive(folder / name, 'zip', folder, name)
  data = pathlib.Path(whole).read_bytes()
  step = -(-len(data) // parts)
  for part in range(parts):
    piece = data[part * step : (part + 1) * step]
    pathlib.Path(f'{whole}.{part + 1:03d}').write_bytes(piece)
  pathlib.Path(whole).unlink()
  shutil.rmtree(folder / name)


def bomb(side: int) -> bytes:
  """A valid PNG of a few megabytes that decodes to side x side pixels."""

  def chunk(name, data):
    crc = zlib.crc32(name + data)
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', crc)

  # Black rows, 100 at a time: a fully flushed block of them can be repeated.
  compress = zlib.compressobj(9)
  rows = bytes((1 + 3 * side) * 100)
  first = compress.compress(rows) + compress.flush(zlib.Z_FULL_FLUSH)
  again = compress.compress(rows) + compress.flush(zlib.Z_FULL_FLUSH)
  length = (1 + 3 * side) * side
  data = first + again * (side // 100 - 1) + b'\x03\x00'
  data += struct.pack('>HH', length % 65521, 1)  # Adler-32 of zeros.
  header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
  return b''.join(
    (
      b'\x89PNG\r\n\x1a\n',
      chunk(b'IHDR', header),
      chunk(b'IDAT', data),
      chunk(b'IEND', b''),
    )
  )


def dicom(
  values: np.ndarray, interpretation: str = 'MONOCHROME2', **tags: Any
) -> bytes:
  """A file of one frame; `tags` are set on it last."""
  pydicom = pytest.importorskip('pydicom')
  from pydicom import uid

  meta = pydicom.dataset.FileMetaDataset()
  meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
  meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
  meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=['test'])
  file = pydicom.Dataset()
  file.file_meta = meta
  file.Rows, file.Columns = values.shape[:2]
  file.SamplesPerPixel = 3 if values.ndim == 3 else 1
  file.PhotometricInterpretation = interpretation
  if values.ndim == 3:
    file.PlanarConfiguration = 0
  file.BitsAllocated = file.BitsStored = 8 * values.itemsize
  file.HighBit = file.BitsStored - 1
  file.PixelRepresentation = 0
  file.PixelData = values.tobytes()
  for name, value in tags.items():
    setattr(file, name, value)
  buffer = io.BytesIO()
  pydicom.dcmwrite(buffer, file, enforce_file_format=True)
  return buffer.getvalue()


def dicom_compressed(values: np.ndarray, syntax: str) -> bytes:
  """A file of gray values in another transfer syntax, made by GDCM."""
  import gdcm

  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'file.dcm'
    path.write_bytes(dicom(values))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    code = {
      'JPEGLossless': gdcm.TransferSyntax.JPEGLosslessProcess14,
      'JPEGLosslessSV1': gdcm.TransferSyntax.JPEGLosslessProcess14_1,
      'JPEGLSLossless': gdcm.TransferSyntax.JPEGLSLossless,
      'RLELossless': gdcm.TransferSyntax.RLELossless,
    }[syntax]
    change.SetTransferSyntax(gdcm.TransferSyntax(code))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()
    return path.read_bytes()


def chunk(kind: bytes, content: bytes) -> bytes:
  """A chunk of a PNG."""
  checksum = struct.pack('>I', zlib.crc32(kind + content))
  return struct.pack('>I', len(content)) + kind + content + checksum


def png(bits: int, color: int, *channels: np.ndarray) -> bytes:
  """A PNG of any type, of big-endian channels; Pillow does not write all."""
  pixels = np.stack(channels, axis=-1)
  height, width = pixels.shape[:2]
  pixels = pixels.astype(pixels.dtype.newbyteorder('>'))
  rows = b''.join(b'\0' + row.tobytes() for row in pixels)
  header = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, 0)
  return b''.join(
    [
      b'\x89PNG\r\n\x1a\n',
      chunk(b'IHDR', header),
      chunk(b'IDAT', zlib.compress(rows)),
      chunk(b'IEND', b''),
    ]
  )


def without_last_scan(jpeg: bytes) -> bytes:
  """A progressive JPEG whose last refinement is missing, but not its end."""
  return jpeg[: jpeg.rindex(b'\xff\xda')] + b'\xff\xd9'
