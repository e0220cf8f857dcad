"""Raw files in a graph: pixel by pixel what preparing data makes of them."""

import functools
import io
import random

import numpy as np
from PIL import Image
from PIL import ImageOps
import pytest
import raw_sets
from scipy import ndimage
import tensorflow as tf

from data import images
from data.chexpert import chexpert_dataset_builder
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from data.retina import fundus as prepared_fundus
from data.retina import retina_dataset_builder
from transfusion_tf import config
from transfusion_tf.export import preparation
from transfusion_tf.image_ops import connected_components
from transfusion_tf.image_ops import decode as decode_lib
from transfusion_tf.image_ops import fundus
from transfusion_tf.image_ops import resize
from transfusion_tf.image_ops import validate
from transfusion_tf.input_pipeline import image_reader
from transfusion_tf.input_pipeline import tfds_folder

_ORIENTATION = 0x0112


@functools.cache
def _graph(function, *spec):
  return tf.function(function, list(spec), autograph=False)


def _of_file(function, encoded):
  return _graph(function, tf.TensorSpec([], tf.string))(encoded)


def _of_image(function, image):
  return _graph(function, tf.TensorSpec([None, None, 3], tf.uint8))(image)


def _noise(mode='RGB', size=(61, 47), seed=0):
  channels = len(Image.new(mode, (1, 1)).getbands())
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (size[1] // 4 + 1, size[0] // 4 + 1, channels))
  pixels = np.kron(coarse, np.ones((4, 4, 1)))[: size[1], : size[0]]
  pixels = np.squeeze(pixels.astype(np.uint8))
  if mode == '1':
    return Image.fromarray(pixels).convert('1')
  return Image.fromarray(pixels, mode)


def _gray16():
  values = np.random.default_rng(0).integers(900, 5000, (40, 30))
  return Image.fromarray(values.astype(np.uint16))


def _file(image, kind='PNG', **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


_FILES = {
  'jpeg': _file(_noise(), 'JPEG', quality=90),
  'progressive': _file(_noise(), 'JPEG', progressive=True),
  'gray_jpeg': _file(_noise('L'), 'JPEG'),
  'cmyk_jpeg': _file(_noise('CMYK'), 'JPEG', quality=95),
  'png': _file(_noise()),
  'gray': _file(_noise('L')),
  'gray_alpha': _file(_noise('LA')),
  'alpha': _file(_noise('RGBA')),
  'palette': _file(_noise().quantize(16)),
  'one_bit': _file(_noise('1')),
  'gray16': _file(_gray16()),
  'constant16': _file(Image.fromarray(np.full((9, 7), 500, np.uint16))),
}


@pytest.mark.parametrize('kind', _FILES)
def test_files_decode_as_with_pillow(kind):
  found = _of_file(decode_lib.decode, _FILES[kind]).numpy()
  expected = np.asarray(images.load(_FILES[kind]).convert('RGB'))
  # The two round the product of ink and black differently.
  tolerance = 1 if kind == 'cmyk_jpeg' else 0
  np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize('size', [(199, 150), (200, 400), (401, 900)])
def test_jpegs_decode_at_a_fraction_as_with_pillow(size):
  encoded = _file(_noise(size=size), 'JPEG')
  decode = functools.partial(decode_lib.decode, at_least=50)
  expected = np.asarray(images.load(encoded, at_least=50))
  assert min(expected.shape[:2]) < min(size)
  np.testing.assert_array_equal(decode(encoded), expected)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('orientation', range(10))
def test_photographs_are_turned_upright_as_with_pillow(orientation, kind):
  for order in '<>':
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[_ORIENTATION] = 'A camera', orientation
    encoded = _file(_noise(), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
    found = _of_file(decode_lib.decode, encoded)
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_broken_exif_leads_nowhere():
  exif = Image.Exif()
  exif[_ORIENTATION] = 6
  encoded = _file(_noise(), 'JPEG', exif=exif)
  start = encoded.index(b'Exif\0\0')
  rng = random.Random(0)
  for _ in range(40):
    broken = bytearray(encoded)
    for _ in range(4):
      broken[start + 6 + rng.randrange(24)] = rng.randrange(256)
    assert _of_file(decode_lib.decode, bytes(broken)).shape[-1] == 3


def test_thumbnails_are_pillows():
  rng = np.random.default_rng(0)
  sizes = [*rng.integers(20, 1200, (25, 2)), *rng.integers(1000, 4500, (6, 2))]
  for size in [*sizes, (1296, 1944), (2592, 3888)]:
    pixels = rng.integers(0, 256, (*size, 3), np.uint8)
    expected = Image.fromarray(pixels)
    expected.thumbnail((256, 256), Image.Resampling.BOX)
    found = _of_image(_thumbnail, pixels)
    np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize('size', [(1944, 1296), (1300, 1740)])
def test_the_disc_of_a_cameras_photograph_is_found_exactly(size):
  pixels = np.asarray(raw_sets.photograph(0, size[1], size[0]))
  expected = prepared_fundus.find_disc(Image.fromarray(pixels))
  found, disc = _of_image(fundus.find_disc, pixels)
  assert found
  np.testing.assert_allclose(disc.center, [expected.y, expected.x])
  np.testing.assert_allclose(disc.radius, expected.radius)


def _thumbnail(image):
  return resize.thumbnail(image, 256)


@pytest.mark.parametrize('size', [(40, 30), (61, 47), (90, 90), (10, 200)])
def test_scaling_is_pillows(size):
  image = _noise()
  expected = np.asarray(images.scale(image, size)).astype(int)
  found = resize.lanczos(np.asarray(image), size[1], size[0]).numpy()
  # Pillow's weights are fixed-point numbers: a half may fall either way.
  assert np.abs(found - expected).max() <= 1
  assert np.mean(found != expected) < 1e-3


def _masks():
  rng = np.random.default_rng(0)
  for share in (0.3, 0.55, 0.62, 0.9):
    yield rng.random((70, 90)) < share
  winding = np.zeros((41, 60), bool)
  winding[::2] = True
  winding[1::4, -1] = winding[3::4, 0] = True
  yield winding
  ring = np.hypot(*np.mgrid[-20:20, -20:20]).round() == 12
  yield np.roll(ring, 12, axis=1)
  yield np.zeros((5, 6), bool)
  yield np.ones((5, 6), bool)


@pytest.mark.parametrize('mask', _masks())
def test_regions_are_those_of_scipy(mask):
  labels, count = ndimage.label(mask)
  sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
  expected = mask & (labels == 1 + sizes.argmax() if count else False)
  np.testing.assert_array_equal(
    connected_components.largest_component(mask), expected
  )
  np.testing.assert_array_equal(
    connected_components.fill_holes(mask), ndimage.binary_fill_holes(mask)
  )
  inner = ndimage.binary_erosion(mask, border_value=1)
  np.testing.assert_array_equal(
    connected_components.inner_boundary(mask), mask & ~inner
  )


def _photograph(rng, height, width):
  """A disc of any place, size and brightness, darker towards its rim."""
  y, x = np.mgrid[:height, :width]
  center = rng.uniform(0.3, 0.7, 2) * (height, width)
  radius = min(height, width) * rng.uniform(0.2, 0.8)
  distance = np.hypot(y - center[0], x - center[1]) / radius
  light = (distance < 1) * np.clip(1.2 - 0.7 * distance, 0, 1)
  color = rng.uniform(0.1, 1.3) * np.array([170, 90, 60])
  noise = rng.normal(0, rng.uniform(0, 15), (height, width, 3))
  pixels = np.clip(light[..., None] * color + noise, 0, 255)
  return pixels.astype(np.uint8)


def test_discs_are_found_where_preparing_finds_them():
  rng, num_found = np.random.default_rng(0), 0
  for _ in range(25):
    pixels = _photograph(rng, *rng.integers(20, 600, 2))
    expected = prepared_fundus.find_disc(Image.fromarray(pixels))
    found, disc = _of_image(fundus.find_disc, pixels)
    assert bool(found) == (expected is not None)
    if expected:
      num_found += 1
      np.testing.assert_allclose(disc.center, [expected.y, expected.x])
      np.testing.assert_allclose(disc.radius, expected.radius)
    square = prepared_fundus.crop(Image.fromarray(pixels), 64)
    difference = _of_image(_crop, pixels) - np.asarray(square).astype(int)
    assert np.abs(difference).max() <= 1
  assert 10 < num_found < 25


def _crop(image):
  return tf.cast(fundus.crop(image, 64), tf.int32)


@pytest.mark.parametrize(
  'pixels',
  [
    np.zeros((30, 40, 3), np.uint8),
    np.full((40, 30, 3), 255, np.uint8),
    np.full((1, 1, 3), 9, np.uint8),
    np.eye(300, dtype=np.uint8)[..., None].repeat(3, -1) * 200,
    np.indices((1, 700))[1][..., None].repeat(3, -1).astype(np.uint8),
  ],
  ids=['black', 'white', 'one_pixel', 'line', 'strip'],
)
def test_what_is_no_fundus_is_kept_whole(pixels):
  expected = prepared_fundus.crop(Image.fromarray(pixels), 64)
  difference = _of_image(_crop, pixels) - np.asarray(expected).astype(int)
  assert np.abs(difference).max() <= 1


def _retina(raw, data_dir):
  raw_sets.kaggle(raw, train=12)
  builder = retina_dataset_builder.Builder.from_source(data_dir, 'kaggle', 24)
  return builder, raw / 'test' / '500_left.jpeg', 'test/500_left'


def _pooled(raw, data_dir):
  raw_sets.kaggle(raw, train=12)
  builder = retina_dataset_builder.Builder.from_source(
    data_dir, 'kaggle_pooled', 24
  )
  return builder, raw / 'test' / '500_left.jpeg', 'test/500_left'


def _chexpert(raw, data_dir):
  raw_sets.chexpert(raw)
  builder = chexpert_dataset_builder.Builder.from_source(data_dir, 'small', 24)
  name = 'valid/patient00090/study1/view1_frontal'
  return builder, raw / 'CheXpert-v1.0-small' / f'{name}.jpg', name


def _table(raw, data_dir, size=24, mixed=False, fundus=False):
  raw_sets.table(raw)
  if mixed:
    _noise(size=(90, 70)).save(raw / 'images' / '000.png')
    _noise().save(raw / 'images' / '003.png', 'JPEG', quality=80)
  found = layout.find(raw / 'labels.csv', raw, layout.Columns())
  builder = image_table_dataset_builder.Builder(
    name='lumps',
    table=found,
    image_size=size,
    fundus=fundus,
    data_dir=data_dir,
  )
  return builder, raw / 'images' / '003.png', 'images/003.png'


@pytest.mark.parametrize(
  ('made', 'words'),
  [
    (_retina, 'disc of the fundus'),
    (_pooled, 'disc of the fundus'),
    (_chexpert, 'squeezed into a square of 24'),
    (_table, 'shorter side of 24'),
    (functools.partial(_table, fundus=True), 'disc of the fundus'),
    (functools.partial(_table, size=0), 'encoded as a JPEG'),
    (functools.partial(_table, size=0, mixed=True), 'encoded as a JPEG'),
  ],
)
def test_a_raw_file_becomes_what_is_stored(tmp_path, made, words):
  builder, path, name = made(tmp_path / 'raw', tmp_path / 'data')
  builder.num_processes = 1
  builder.build(builder.check(tmp_path / 'raw'))
  prepared = tfds_folder.PreparedDataset(builder.data_dir)
  found = preparation.from_dataset(prepared)
  assert words in found.text
  stored = _stored(prepared, name)
  read = _reader(20, prepared.side).evaluation
  expected = read(stored).numpy().astype(int)
  raw = path.read_bytes()
  assert np.abs(found.load(raw, read).numpy() - expected).max() <= 3
  pixels = np.asarray(images.load(raw).convert('RGB'))
  difference = found.load_picture(pixels, read).numpy() - expected
  assert np.abs(difference).max() <= 3
  pixels = tf.io.decode_image(stored, channels=3)
  np.testing.assert_array_equal(
    preparation.load_prepared_picture(pixels, read), expected
  )


def _reader(size, stored_side=0):
  data = config.Data(dataset='', image_size=size, eval_crop=0.9)
  return image_reader.ImageReader(data, stored_side)


def _stored(prepared, name):
  for split in prepared.splits:
    for record in prepared.records(split):
      example = prepared.parse(record)
      if example['image_id'].numpy().decode() == name:
        return example['image']
  raise LookupError(name)


def test_sets_that_others_stored_are_read_as_they_are(data_dir):
  prepared = tfds_folder.open_dataset(str(data_dir), 'retina')
  assert preparation.from_dataset(prepared) is preparation.IDENTITY
  upright = _file(_noise(), 'JPEG')
  exif = Image.Exif()
  exif[_ORIENTATION] = 3
  turned = _file(_noise(), 'JPEG', exif=exif)
  read = _reader(32).evaluation
  load = functools.partial(preparation.IDENTITY.load, read=read)
  expected = read(upright).numpy().astype(int)
  np.testing.assert_array_equal(load(upright), expected)
  difference = load(turned).numpy() - expected[::-1, ::-1]
  assert np.abs(difference).mean() < 2


def test_deep_gray_files_of_such_sets_are_stretched():
  read = _reader(30).evaluation
  found = preparation.IDENTITY.load(_FILES['gray16'], read)
  pixels = images.load(_FILES['gray16']).convert('RGB')
  expected = preparation.load_prepared_picture(np.asarray(pixels), read)
  np.testing.assert_array_equal(found, expected)


def _guarded(encoded):
  load = functools.partial(
    preparation.IDENTITY.load, read=_reader(16).evaluation
  )
  return validate.guarded(load, (16, 16, 3))(encoded)


_BAD = {
  'empty': (b'', validate.EMPTY),
  'text': (b'<html>Not found</html>', validate.NOT_JPEG_OR_PNG),
  'one_byte': (b'\xff', validate.NOT_JPEG_OR_PNG),
  'gif': (_file(_noise(), 'GIF'), validate.NOT_JPEG_OR_PNG),
  'animated_gif': (
    _file(_noise(), 'GIF', save_all=True, append_images=[_noise(seed=1)]),
    validate.NOT_JPEG_OR_PNG,
  ),
  'tiff': (_file(_noise(), 'TIFF'), validate.NOT_JPEG_OR_PNG),
  'start_of_jpeg': (b'\xff\xd8\xff', validate.DAMAGED),
  'start_of_png': (b'\x89PNG\r\n\x1a\n', validate.DAMAGED),
  'half_a_jpeg': (_FILES['jpeg'][:900], validate.DAMAGED),
  'half_a_png': (_FILES['png'][:900], validate.DAMAGED),
  'jpeg_without_end': (_FILES['jpeg'][:-30], validate.DAMAGED),
  'bomb': (raw_sets.bomb(15_000), validate.TOO_LARGE),
}


@pytest.mark.parametrize('kind', _BAD)
def test_a_bad_file_has_a_status(kind):
  encoded, expected = _BAD[kind]
  image, status = _of_file(_guarded, encoded)
  assert status.numpy().decode() == expected
  assert not np.any(image)


def test_a_picture_that_is_too_long_to_store_is_too_large():
  for height, width in ((10, 65_520), (65_520, 10)):
    encoded = raw_sets.png(8, 0, np.zeros((height, width), np.uint8))
    load = functools.partial(
      preparation.ENCODED.load, read=_reader(16).evaluation
    )
    stored_size = preparation.ENCODED.stored_size
    _, status = validate.guarded(load, (16, 16, 3), stored_size)(encoded)
    assert status == validate.TOO_LARGE


def test_a_good_file_has_the_status_ok():
  animated = _file(_noise(), save_all=True, append_images=[_noise(seed=1)])
  for encoded in (*_FILES.values(), animated):
    image, status = _of_file(_guarded, encoded)
    assert status == validate.OK
    np.testing.assert_array_equal(
      image, preparation.IDENTITY.load(encoded, _reader(16).evaluation)
    )


@pytest.mark.fuzz
def test_no_file_ends_the_process():
  rng = random.Random(0)
  seen = set()
  for _ in range(3000):
    broken = bytearray(rng.choice(list(_FILES.values())))
    for _ in range(rng.randrange(1, 20)):
      broken[rng.randrange(min(len(broken), 700))] = rng.randrange(256)
    broken = broken[: rng.choice([len(broken), rng.randrange(len(broken))])]
    seen.add(_of_file(_guarded, bytes(broken))[1].numpy().decode())
  assert seen <= set(validate.STATUSES)
  assert {validate.OK, validate.DAMAGED, validate.NOT_JPEG_OR_PNG} <= seen
