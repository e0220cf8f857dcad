"""Every odd image becomes an upright 8-bit picture or a named refusal."""

import io
import time

import numpy as np
from PIL import Image
import pytest
import raw_sets

from data import images
from data import raw_dataset


def _encoded(image, kind='PNG', **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def _gradient(width=64, height=48):
  """Red grows to the right, green downwards."""
  x = np.linspace(0, 255, width)[None, :, None] * (1, 0, 0)
  y = np.linspace(0, 255, height)[:, None, None] * (0, 1, 0)
  return Image.fromarray((x + y).astype(np.uint8))


def _distance(a, b):
  return np.abs(np.asarray(a, float) - np.asarray(b, float)).mean()


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_applied(orientation):
  upright = _gradient()
  turn = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
  }.get(orientation)
  stored = upright.transpose(turn) if turn is not None else upright
  exif = Image.Exif()
  exif[0x0112] = orientation
  image = images.load(_encoded(stored, 'JPEG', quality=95, exif=exif))
  assert image.size == upright.size
  assert _distance(image, upright) < 3


@pytest.mark.parametrize('mode', ['L', 'RGB', 'CMYK'])
def test_jpeg_modes(mode):
  image = images.load(_encoded(_gradient().convert(mode), 'JPEG', quality=95))
  expected = _gradient().convert('L' if mode == 'L' else 'RGB')
  assert image.mode == expected.mode
  assert _distance(image, expected) < 4


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA'])
def test_png_modes(mode):
  image = images.load(_encoded(_gradient().convert(mode)))
  assert image.mode == ('L' if mode in ('1', 'L', 'LA') else 'RGB')


@pytest.mark.parametrize('low, high', [(0, 65535), (0, 4095), (1000, 1200)])
def test_16_bit_gray_is_stretched(low, high):
  values = np.linspace(low, high, 256).round().astype(np.uint16)
  values = np.tile(values, (8, 1))
  image = np.asarray(images.load(_encoded(Image.fromarray(values))))
  assert image.dtype == np.uint8
  assert (image.min(), image.max()) == (0, 255)
  expected = (values - float(low)) * 255 / (high - low)
  np.testing.assert_allclose(image, expected, atol=0.51)


def test_a_flat_16_bit_image_is_no_division_by_zero():
  flat = np.full((8, 8), 700, np.uint16)
  assert not np.asarray(images.load(_encoded(Image.fromarray(flat)))).any()


@pytest.mark.parametrize('draft', [None, 64])
@pytest.mark.parametrize(
  'data, kind',
  [
    (b'', 'not an image'),
    (b'image,level\n10_left,0\n', 'not an image'),
    (b'\xff\xd8\xff\xe0 not much of a JPEG', 'not an image'),
    (
      _encoded(raw_sets.photograph(0, 480, 640), 'JPEG')[:-3000],
      'truncated image',
    ),
    (
      _encoded(raw_sets.photograph(0, 480, 640), 'JPEG')[:700],
      'truncated image',
    ),
    (_encoded(raw_sets.photograph(0, 480, 640))[:-3000], 'truncated image'),
  ],
  ids=['empty', 'text', 'header', 'jpeg end', 'jpeg start', 'png'],
)
def test_broken_files_are_named(data, kind, draft):
  with pytest.raises(raw_dataset.InvalidRecordError) as caught:
    images.load(data, draft)
  assert caught.value.kind == kind, str(caught.value)


def test_the_bomb_is_a_valid_image():
  image = images.load(raw_sets.bomb(1000))
  assert image.size == (1000, 1000) and not np.asarray(image).any()


def test_a_decompression_bomb_is_refused_at_once():
  data = raw_sets.bomb(30_000)
  start = time.monotonic()
  with pytest.raises(
    raw_dataset.InvalidRecordError, match='30000 x 30000'
  ) as caught:
    images.load(data)
  assert caught.value.kind == 'image too large'
  assert time.monotonic() - start < 0.5


def test_a_draft_keeps_the_size_asked_for_and_looks_alike():
  large = _gradient(1600, 1200)
  data = _encoded(large, 'JPEG', quality=95)
  image = images.load(data, at_least=256)
  assert 256 <= min(image.size) < 512
  assert _distance(image, large.resize(image.size)) < 3


def test_stored_jpeg_is_close_and_keeps_fine_color():
  dots = np.zeros((64, 64, 3), np.uint8)
  dots[...] = (190, 80, 50)
  dots[::8, ::8] = (90, 20, 20)  # As small as a lesion can be.
  again = Image.open(io.BytesIO(images.jpeg(Image.fromarray(dots))))
  assert np.abs(np.asarray(again, int) - dots).max() < 25


_RAMP = np.tile(np.arange(0, 4096, 16, dtype=np.uint16), (4, 1))


def test_dicom_gray_is_windowed():
  window = dict(WindowCenter=2048, WindowWidth=1024)
  image = np.asarray(images.load(raw_sets.dicom(_RAMP, **window)))
  assert (image[:, _RAMP[0] < 1500] == 0).all()
  assert (image[:, _RAMP[0] > 2600] == 255).all()
  assert (np.diff(image[0].astype(int)) >= 0).all()


def test_dicom_monochrome1_is_inverted():
  plain = np.asarray(images.load(raw_sets.dicom(_RAMP)), int)
  inverted = np.asarray(images.load(raw_sets.dicom(_RAMP, 'MONOCHROME1')), int)
  assert np.abs(plain - (255 - inverted)).max() <= 1


def test_dicom_rescale_is_applied_before_the_window():
  image = np.asarray(
    images.load(
      raw_sets.dicom(
        _RAMP,
        RescaleSlope='2',
        RescaleIntercept='-1000',
        WindowCenter=3000,
        WindowWidth=100,
      )
    )
  )
  assert (image[:, _RAMP[0] < 1950] == 0).all()
  assert (image[:, _RAMP[0] > 2050] == 255).all()


def test_dicom_color():
  color = np.asarray(_gradient())
  image = images.load(raw_sets.dicom(color, 'RGB'))
  assert image.mode == 'RGB' and _distance(image, color) == 0


@pytest.mark.parametrize(
  'tags, what',
  [(dict(NumberOfFrames=2), '2 frames'), (dict(Rows=4000), 'DICOM')],
)
def test_odd_dicom_is_named(tags, what):
  with pytest.raises(raw_dataset.InvalidRecordError, match=what) as caught:
    images.load(raw_sets.dicom(_RAMP, **tags))
  assert caught.value.kind == 'not an image'


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(raw_dataset.InvalidRecordError) as caught:
    images.read(str(tmp_path / 'no.png'))
  assert caught.value.kind == 'no such image'
