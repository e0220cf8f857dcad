"""Every odd image becomes an upright 8-bit picture or a named refusal."""

import io
import os
import time
import zlib

import numpy as np
from PIL import Image
import pytest
import raw_sets
import tifffile

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


def _xmp(orientation):
  return f'<x><a tiff:Orientation="{orientation}"/></x>'.encode()


@pytest.mark.parametrize('exif, size', [(None, (48, 64)), (3, (64, 48))])
def test_xmp_turns_a_photograph_of_which_exif_says_nothing(exif, size):
  tags = Image.Exif()
  if exif:
    tags[0x0112] = exif
  file = _encoded(_gradient(), 'JPEG', quality=95, xmp=_xmp(6), exif=tags)
  turn = Image.Transpose.ROTATE_180 if exif else Image.Transpose.ROTATE_270
  image = images.load(file)
  assert image.size == size
  assert _distance(image, _gradient().transpose(turn)) < 3


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


def test_the_limit_is_178_million_pixels():
  images.check_size(13_377, 13_377)
  with pytest.raises(raw_dataset.InvalidRecordError, match='178,956,970'):
    images.check_size(13_378, 13_378)


def test_an_image_without_permission_is_named(monkeypatch):
  def refuse(path):
    raise PermissionError(13, 'Permission denied', str(path))

  monkeypatch.setattr(os, 'stat', refuse)
  with pytest.raises(raw_dataset.InvalidRecordError) as caught:
    images.read('a.png')
  assert (caught.value.kind, str(caught.value)) == (
    'unreadable image',
    'Permission denied',
  )


def test_a_folder_that_is_called_as_an_image_is_named(tmp_path):
  (tmp_path / 'a.png').mkdir()
  with pytest.raises(raw_dataset.InvalidRecordError) as caught:
    images.read(str(tmp_path / 'a.png'))
  assert caught.value.kind == 'unreadable image'


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


def test_more_than_8_bits_of_gray_are_stretched_beside_alpha():
  deep = raw_sets.png(16, 4, _RAMP.astype('>u2'), np.full_like(_RAMP, 65535))
  expected = images.load(_encoded(Image.fromarray(_RAMP)))
  np.testing.assert_array_equal(images.load(deep), expected)


def test_color_of_16_bits_keeps_the_upper_ones_and_is_noted():
  deep = raw_sets.png(16, 2, *[_RAMP.astype('>u2')] * 3)
  decoded = images.decode(deep)
  np.testing.assert_array_equal(
    np.asarray(decoded.picture)[..., 0], _RAMP // 256
  )
  assert decoded.notes == (('color of more than 8 bits', '16 bits'),)


def _tiff(values, **options):
  buffer = io.BytesIO()
  tifffile.imwrite(buffer, values, metadata=None, software=False, **options)
  return buffer.getvalue()


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('bits', [8, 16])
def test_a_tiff_in_which_white_is_zero_is_turned_to_light(bits, order):
  values = (_RAMP >> 4).astype(np.uint8) if bits == 8 else _RAMP
  white = _tiff(
    np.iinfo(values.dtype).max - values,
    photometric='miniswhite',
    byteorder=order,
  )
  black = _tiff(values, photometric='minisblack', byteorder=order)
  np.testing.assert_array_equal(images.load(white), images.load(black))


@pytest.mark.parametrize('odd', [np.inf, -np.inf, np.nan])
def test_what_is_no_number_does_not_darken_a_tiff(odd):
  values = _RAMP.astype(np.float32) / 4080
  expected = np.array(images.load(_tiff(values)))
  values[0, 7] = odd
  expected[0, 7] = 255 if odd > 0 else 0
  np.testing.assert_array_equal(images.load(_tiff(values)), expected)


def test_gray_and_alpha_of_16_bits_in_a_tiff():
  values = np.stack([_RAMP, np.full_like(_RAMP, 65535)], axis=-1)
  file = _tiff(values, photometric='minisblack', extrasamples=['unassalpha'])
  np.testing.assert_array_equal(
    images.load(file), images.load(_encoded(Image.fromarray(_RAMP)))
  )


def test_a_tiff_of_two_pages_is_refused_and_a_thumbnail_is_no_page():
  pages = io.BytesIO()
  with tifffile.TiffWriter(pages) as file:
    file.write(_RAMP, metadata=None)
    file.write(_RAMP[:, ::2], subfiletype=1, metadata=None)
    thumbnail = pages.getvalue()
    file.write(_RAMP, metadata=None)
  assert images.load(thumbnail).size == (256, 4)
  with pytest.raises(raw_dataset.InvalidRecordError, match='2 pages'):
    images.load(pages.getvalue())


_CHUNK = {
  'text of a wrong checksum': lambda name: (
    raw_sets.chunk(b'tEXt', name)[:-4] + b'\0\0\0\0'
  ),
  'text of 3 MB': lambda name: raw_sets.chunk(
    b'zTXt', b'a\0\0' + zlib.compress(bytes(3_000_000))
  ),
  'Exif that is none': lambda name: raw_sets.chunk(b'eXIf', name),
}


@pytest.mark.parametrize('kind', _CHUNK)
def test_a_fault_of_the_metadata_leaves_the_picture(kind):
  plain = _encoded(_gradient())
  file = plain[:33] + _CHUNK[kind](b'garbage') + plain[33:]
  np.testing.assert_array_equal(images.load(file), _gradient())


def _spoiled(kind):
  photograph = raw_sets.photograph(0, 480, 640)
  jpeg, png = _encoded(photograph, 'JPEG'), _encoded(photograph)
  half = len(png) // 2
  return {
    'zeros in a JPEG': jpeg[: len(jpeg) // 2].ljust(len(jpeg), b'\0'),
    'zeros in a PNG': png[:half].ljust(len(png), b'\0'),
    'one bit of a PNG': png[:half] + bytes([png[half] ^ 1]) + png[half + 1 :],
    'scans of a JPEG': raw_sets.without_last_scan(
      _encoded(photograph, 'JPEG', progressive=True)
    ),
  }[kind]


@pytest.mark.parametrize(
  'kind',
  ['zeros in a JPEG', 'zeros in a PNG', 'one bit of a PNG', 'scans of a JPEG'],
)
def test_damaged_pixels_are_not_taken_for_whole(kind):
  with pytest.raises(raw_dataset.InvalidRecordError) as caught:
    images.load(_spoiled(kind))
  assert caught.value.kind == 'truncated image'


def _linear(values, center, width):
  """The equation of PS3.3, C.11.2.1.2.1, for 0..255."""
  shown = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
  shown[values <= center - 0.5 - (width - 1) / 2] = 0
  shown[values > center - 0.5 + (width - 1) / 2] = 255
  return shown


@pytest.mark.parametrize('center, width', [(2048, 9000), (900, 300), (40, 1.5)])
def test_dicom_windows_are_those_of_the_standard(center, width):
  image = images.load(
    raw_sets.dicom(_RAMP, WindowCenter=center, WindowWidth=width)
  )
  expected = _linear(_RAMP.astype(float), center, width)
  np.testing.assert_allclose(np.asarray(image), expected, atol=0.51)


@pytest.mark.parametrize('function', ['LINEAR_EXACT', 'SIGMOID'])
def test_dicom_functions_other_than_linear(function):
  image = images.load(
    raw_sets.dicom(
      _RAMP, WindowCenter=2000, WindowWidth=1000, VOILUTFunction=function
    )
  )
  place = (_RAMP - 2000.0) / 1000
  expected = {
    'LINEAR_EXACT': (place + 0.5).clip(0, 1) * 255,
    'SIGMOID': 255 / (1 + np.exp(-4 * place)),
  }[function]
  np.testing.assert_allclose(np.asarray(image), expected, atol=0.51)


@pytest.mark.parametrize('bits', [8, 12])
def test_dicom_voi_tables_are_looked_up_before_a_window(bits):
  from pydicom import dataset

  entries = np.sort(np.random.default_rng(0).integers(0, 2**bits, 4096))
  tables = []
  for values in (entries, entries[::-1]):  # The first is shown.
    table = dataset.Dataset()
    table.LUTDescriptor = [4096, 0, bits]
    table.LUTData = values.astype(np.uint16).tobytes()
    tables.append(table)
  file = raw_sets.dicom(
    _RAMP, WindowCenter=9, WindowWidth=9, VOILUTSequence=tables
  )
  expected = entries[_RAMP] * (255 / (2**bits - 1))
  np.testing.assert_allclose(images.load(file), expected, atol=0.51)


def test_dicom_in_jpeg_2000_is_read():
  import pydicom
  from pydicom import encaps
  from pydicom import uid

  frame = _encoded(
    Image.fromarray(_RAMP), 'JPEG2000', irreversible=False, no_jp2=True
  )
  file = pydicom.dcmread(io.BytesIO(raw_sets.dicom(_RAMP)))
  file.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
  file.PixelData = encaps.encapsulate([frame])
  buffer = io.BytesIO()
  file.save_as(buffer)
  np.testing.assert_array_equal(
    images.load(buffer.getvalue()), images.load(raw_sets.dicom(_RAMP))
  )


def test_dicom_padding_is_no_part_of_the_picture():
  padded = _RAMP.copy()
  padded[:, :9] = 65535
  image = np.asarray(
    images.load(raw_sets.dicom(padded, PixelPaddingValue=65535))
  )
  expected = np.asarray(images.load(raw_sets.dicom(_RAMP[:, 9:])))
  np.testing.assert_array_equal(image[:, 9:], expected)
  assert not image[:, :9].any()


def test_dicom_groups_of_an_enhanced_file_are_applied():
  from pydicom import dataset

  window, rescale, groups = (dataset.Dataset() for _ in range(3))
  window.WindowCenter, window.WindowWidth = 500, 400
  rescale.RescaleSlope, rescale.RescaleIntercept = 2, -1000
  groups.FrameVOILUTSequence = [window]
  groups.PixelValueTransformationSequence = [rescale]
  image = images.load(
    raw_sets.dicom(_RAMP, SharedFunctionalGroupsSequence=[groups])
  )
  expected = _linear(2.0 * _RAMP - 1000, 500, 400)
  np.testing.assert_allclose(np.asarray(image), expected, atol=0.51)


@pytest.mark.parametrize('bits', [8, 16])
def test_dicom_palettes_have_colors(bits):
  colors = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
  stored = colors.astype(np.uint16) * 257 if bits == 16 else colors
  tags = {}
  for channel, name in enumerate(('Red', 'Green', 'Blue')):
    tags[f'{name}PaletteColorLookupTableDescriptor'] = [256, 0, bits]
    data = np.ascontiguousarray(stored[:, channel]).tobytes()
    tags[f'{name}PaletteColorLookupTableData'] = data
  values = np.arange(256, dtype=np.uint8).reshape(16, 16)
  image = images.load(raw_sets.dicom(values, 'PALETTE COLOR', **tags))
  np.testing.assert_array_equal(image, colors[values])


def test_dicom_without_preamble_or_with_empty_elements_is_read():
  plain = raw_sets.dicom(_RAMP)
  expected = np.asarray(images.load(plain))
  np.testing.assert_array_equal(images.load(plain[132:]), expected)
  empty = raw_sets.dicom(
    _RAMP, RescaleSlope=None, RescaleIntercept=None, WindowCenter=None
  )
  np.testing.assert_array_equal(images.load(empty), expected)


@pytest.mark.parametrize(
  'syntax', ['JPEGLossless', 'JPEGLosslessSV1', 'JPEGLSLossless', 'RLELossless']
)
def test_dicom_that_is_compressed_without_loss(syntax):
  gdcm = pytest.importorskip('gdcm')
  del gdcm
  file = raw_sets.dicom_compressed(_RAMP, syntax)
  np.testing.assert_array_equal(
    images.load(file), images.load(raw_sets.dicom(_RAMP))
  )
