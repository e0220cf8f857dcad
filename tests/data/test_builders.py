"""Every builder: from the raw layout to a data set that is read without it."""

import collections
from concurrent import futures
import functools
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import paths
from PIL import Image
import pytest
import raw_sets

from data import base_builder
from data import examples
from data import parallel
from data.chexpert import chexpert_dataset_builder
from data.image_table import image_table_dataset_builder
from data.image_table import layout as image_table
from data.retina import retina_dataset_builder
from transfusion_tf import cores
from transfusion_tf import errors
from transfusion_tf import scratch
from transfusion_tf import stop_signals
from transfusion_tf.input_pipeline import tfds_folder

_SIZE = 32
_REPORTS = {'splits.csv', 'preflight.json', 'preflight.html'}


def _image_table(manual_dir, data_dir, **columns):
  table = image_table.find(
    manual_dir / 'labels.csv', manual_dir, image_table.Columns(**columns)
  )
  return image_table_dataset_builder.Builder(
    name='lumps', table=table, image_size=_SIZE, data_dir=data_dir
  )


def _retina(manual_dir, data_dir, source):
  return retina_dataset_builder.Builder.from_source(data_dir, source, _SIZE)


def _chexpert(manual_dir, data_dir):
  return chexpert_dataset_builder.Builder.from_source(data_dir, 'small', _SIZE)


# Data set -> how to fabricate it, its builder, its name, its label feature.
_SETS = {
  'kaggle': (
    functools.partial(raw_sets.kaggle, train=30),
    functools.partial(_retina, source='kaggle'),
    'retina',
    'grade',
  ),
  'kaggle_pooled': (
    functools.partial(raw_sets.kaggle, train=30, test=20),
    functools.partial(_retina, source='kaggle_pooled'),
    'retina',
    'grade',
  ),
  'aptos2019': (
    raw_sets.aptos2019,
    functools.partial(_retina, source='aptos2019'),
    'retina',
    'grade',
  ),
  'messidor2': (
    raw_sets.messidor2,
    functools.partial(_retina, source='messidor2'),
    'retina',
    'grade',
  ),
  'idrid': (
    raw_sets.idrid,
    functools.partial(_retina, source='idrid'),
    'retina',
    'grade',
  ),
  'chexpert': (raw_sets.chexpert, _chexpert, 'chexpert', 'findings'),
  'image_table': (raw_sets.table, _image_table, 'lumps', 'label'),
}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  """Data set -> (its folder, what was checked, its data_dir); built once."""

  @functools.cache
  def build(name):
    folder = tmp_path_factory.mktemp(name)
    return folder, *_build(name, folder)

  return build


def _build(name, folder, **options):
  """(what was checked, the folder's data_dir)"""
  make, builder_of, _, _ = _SETS[name]
  raw, data_dir = folder / 'raw', folder / 'data'
  if not raw.exists():
    make(raw)
  builder = builder_of(raw, data_dir)
  builder.num_processes = 1
  checked = builder.check(raw)
  assert builder.build(checked, **options)
  return checked, data_dir


def _examples(data_dir, dataset):
  """{split: [example, ...] in stored order}, by the reader's own code."""
  opened = tfds_folder.open_dataset(str(data_dir), dataset)
  return opened, {
    split: [opened.parse(record) for record in opened.records(split)]
    for split in opened.splits
  }


@pytest.mark.parametrize('name', _SETS)
def test_what_is_read_is_what_was_found(name, built):
  _, checked, data_dir = built(name)
  _, _, dataset, key = _SETS[name]
  opened, examples = _examples(data_dir, dataset)
  expected = {record.image_id: record for record in checked.dataset.records}
  found = {}
  for split, rows in examples.items():
    assert len(rows) == opened.num_examples(split)
    for row in rows:
      image_id = row['image_id'].numpy().decode()
      record = expected[image_id]
      assert row['patient_id'].numpy().decode() == record.patient_id
      assert split == record.split
      feature, value = opened.features[key], record.labels[key]
      if key == 'findings':
        for finding, state in value.items():
          assert feature[finding].int2str(int(row[key][finding])) == state
      else:
        assert feature.int2str(int(row[key])) == value
      found[image_id] = row['image'].numpy()
  assert found.keys() == expected.keys()


@pytest.mark.parametrize('name', _SETS)
def test_stored_images_have_the_size_of_the_config(name, built):
  import tensorflow as tf

  _, _, data_dir = built(name)
  _, examples = _examples(data_dir, _SETS[name][2])
  for row in examples['train']:
    image = tf.io.decode_jpeg(row['image'], channels=3).numpy()
    assert min(image.shape[:2]) == _SIZE
    assert image.shape[0] == image.shape[1] or name == 'image_table'
    assert image.max() > 120  # The disc is there.


@pytest.mark.parametrize('name', _SETS)
def test_no_patient_is_in_two_splits(name, built):
  _, _, data_dir = built(name)
  _, examples = _examples(data_dir, _SETS[name][2])
  splits_of = collections.defaultdict(set)
  for split, rows in examples.items():
    for row in rows:
      splits_of[row['patient_id'].numpy()].add(split)
  assert splits_of and all(len(found) == 1 for found in splits_of.values())


@pytest.mark.parametrize('runner', ['DirectRunner', None])
@pytest.mark.parametrize('name', ['kaggle', 'chexpert'])
def test_through_beam_or_many_processes_every_example_is_the_same(
  name, runner, built, tmp_path
):
  folder, plain, data_dir = built(name)
  _, builder_of, dataset, _ = _SETS[name]
  _, expected = _examples(data_dir, dataset)
  builder = builder_of(folder / 'raw', tmp_path)
  builder.num_processes = 2
  builder.build(plain, beam=runner and base_builder.beam_config(runner, []))
  _, found = _examples(tmp_path, dataset)
  assert found.keys() == expected.keys()
  for split in expected:
    for one, other in zip(found[split], expected[split], strict=True):
      _assert_equal(one, other)


def _assert_equal(one, other):
  assert one.keys() == other.keys()
  for key, value in one.items():
    if isinstance(value, dict):
      _assert_equal(value, other[key])
    else:
      assert np.array_equal(value.numpy(), other[key].numpy())


def test_the_split_and_the_report_lie_beside_the_records(built):
  _, checked, data_dir = built('kaggle')
  folder = data_dir / 'retina' / f'kaggle_{_SIZE}' / '1.0.0'
  names = {path.name for path in folder.iterdir()}
  assert names >= _REPORTS
  opened = tfds_folder.open_dataset(str(data_dir), 'retina')
  metadata = opened._builder.info.metadata
  assert metadata['splits_sha256'] == checked.summary['splits_sha256']


def test_the_same_data_are_not_built_twice_and_others_not_over_them(tmp_path):
  checked, data_dir = _build('image_table', tmp_path)
  raw = tmp_path / 'raw'
  builder = _image_table(raw, data_dir)
  builder.num_processes = 1
  assert not builder.build(checked)
  csv = raw / 'labels.csv'
  csv.write_text(csv.read_text().replace('000.png,benign', '000.png,malignant'))
  builder = _image_table(raw, data_dir)
  builder.num_processes = 1
  other = builder.check(raw)
  with pytest.raises(errors.InputError, match='--overwrite'):
    builder.build(other)
  assert builder.build(other, overwrite=True)
  _, examples = _examples(data_dir, 'lumps')
  (row,) = (
    row
    for rows in examples.values()
    for row in rows
    if row['image_id'] == b'images/000.png'
  )
  assert int(row['label']) == 1


def test_a_build_that_fails_leaves_nothing_under_the_final_name(
  tmp_path, monkeypatch
):
  calls = []

  def interrupt(record, picture):
    calls.append(record)
    if len(calls) > 20:
      raise KeyboardInterrupt
    return make(record, picture)

  make = examples.make
  monkeypatch.setattr(examples, 'make', interrupt)
  with pytest.raises(KeyboardInterrupt):
    _build('kaggle', tmp_path)
  config = tmp_path / 'data/retina' / f'kaggle_{_SIZE}'
  assert [path.name for path in config.iterdir()] == [scratch.LOCK]
  with pytest.raises(errors.InputError, match='no prepared data set'):
    tfds_folder.open_dataset(str(tmp_path / 'data'), 'retina')
  monkeypatch.undo()
  _build('kaggle', tmp_path)


def test_tfds_alone_can_build_and_refuses_bad_data(tmp_path):
  """As `tfds build` would: the builder itself lists, checks and splits."""
  import tensorflow_datasets as tfds

  raw = raw_sets.kaggle(tmp_path / 'raw')
  config = tfds.download.DownloadConfig(manual_dir=raw)
  _retina(raw, tmp_path / 'data', 'kaggle').download_and_prepare(
    download_config=config
  )
  assert tfds_folder.open_dataset(str(tmp_path / 'data'), 'retina').splits
  (raw / 'train/10_left.jpeg').write_bytes(b'')
  with pytest.raises(errors.InputError, match='10_left'):
    _retina(raw, tmp_path / 'other', 'kaggle').download_and_prepare(
      download_config=config
    )


def _odd_table(folder):
  """A table with every oddity; returns what should become of each image."""
  raw_sets.table(folder, count=20)
  images = folder / 'images'
  photo = raw_sets.photograph(500, 120, 160)
  gray = np.asarray(photo.convert('L')).astype(np.uint16)
  turned = Image.Exif()
  turned[0x0112] = 6
  photo.save(images / 'exif.JPG', exif=turned)
  raw_sets.photograph(501).convert('CMYK').save(images / 'cmyk.jpg')
  raw_sets.photograph(502).convert('L').save(images / 'gray.jpeg')
  Image.fromarray(gray * 200).save(images / 'deep.png')
  photo.save(images / 'cut.jpg')
  whole = (images / 'cut.jpg').read_bytes()
  (images / 'cut.jpg').write_bytes(whole[: len(whole) // 2])
  (images / 'empty.jpg').write_bytes(b'')
  (images / 'page.jpeg').write_text('<html>please log in</html>')
  (images / 'bomb.png').write_bytes(raw_sets.bomb(30_000))
  raw_sets.save(raw_sets.photograph(503), images / 'twice.png')
  raw_sets.save(raw_sets.photograph(504), images / 'both.png')
  raw_sets.save(raw_sets.photograph(505), folder.parent / 'outside.png')
  fate = {
    'exif.JPG': '',
    'cmyk.jpg': '',
    'gray.jpeg': '',
    'deep.png': '',
    'twice.png': 'repeated row',
    'cut.jpg': 'truncated image',
    'empty.jpg': 'not an image',
    'page.jpeg': 'not an image',
    'bomb.png': 'image too large',
    'gone.png': 'no such image',
    'both.png': 'contradictory labels',
    '../../outside.png': 'outside the image root',
  }
  csv = folder / 'labels.csv'
  rows = csv.read_text().splitlines()
  rows += [f'images/{name},benign' for name in fate]
  rows += ['images/twice.png,benign', 'images/both.png,malignant']
  csv.write_bytes(b'\xef\xbb\xbf' + '\r\n'.join(rows).encode())
  return fate


def test_every_oddity_at_once(run, tmp_path):
  fate = _odd_table(tmp_path / 'raw')
  flags = (
    '--dataset=image_table',
    '--name=odd',
    '--image_size=32',
    f'--manual_dir={tmp_path / "raw"}',
    f'--data_dir={tmp_path / "data"}',
    '--num_processes=1',
  )
  code, output, error = run(*flags)
  assert code == 2 and not (tmp_path / 'data/odd').exists()
  bad = {kind for kind in fate.values() if kind and kind != 'repeated row'}
  assert all(f'BAD: {kind}: ' in output for kind in bad)
  assert '7 bad images' in error.splitlines()[-1]

  assert run(*flags, '--on_bad=skip')[0] == 0
  _, examples = _examples(tmp_path / 'data', 'odd')
  there = {r['image_id'].numpy().decode() for e in examples.values() for r in e}
  problems = json.loads(
    (tmp_path / 'data/odd/1.0.0/preflight.json').read_text()
  )['all_problems']
  said = {p['kind']: p['where'] + p['what'] for p in problems}
  assert len(there) == 25
  for name, kind in fate.items():
    assert (f'images/{name}' in there) == (kind in ('', 'repeated row'))
    assert not kind or kind in said


def test_prepared_sets_are_called_by_their_source_and_size(tmp_path):
  raw = raw_sets.table(tmp_path, count=4)
  for builder, name in (
    (retina_dataset_builder.Builder.from_source(tmp_path), 'retina/kaggle_587'),
    (
      chexpert_dataset_builder.Builder.from_source(tmp_path),
      'chexpert/small_256',
    ),
    (_image_table(raw, tmp_path), 'lumps'),
  ):
    assert str(builder.data_dir) == f'{tmp_path}/{name}/1.0.0'


def test_a_runner_gets_its_options():
  pytest.importorskip('apache_beam')
  options = 'project=P,region=R,temp_location=gs://B/tmp'.split(',')
  config = base_builder.beam_config('DataflowRunner', options)
  assert config['beam_runner'] == 'DataflowRunner'
  given = config['beam_options'].get_all_options()
  assert (given['project'], given['region']) == ('P', 'R')
  assert given['temp_location'] == 'gs://B/tmp'


def test_without_a_table_folders_are_classes(run, tmp_path):
  raw = tmp_path / 'raw'
  for n in range(20):
    name = ('benign', 'malignant')[n % 2]
    raw_sets.save(raw_sets.photograph(n), raw / name / f'{n}.png')
  flags = (
    *('--dataset=image_table', '--name=moles', '--check_only'),
    *(f'--manual_dir={raw}', f'--data_dir={tmp_path}', '--num_processes=1'),
  )
  code, output, _ = run(*flags)
  assert code == 0 and 'label malignant' in output
  code, _, error = run(*flags, '--csv=labels.csv')
  assert code == 2 and 'no labels.csv in' in error


@pytest.mark.parametrize('name', ['Lumps', 'a/b', '../x', 'retina', ''])
def test_names_that_are_no_names(name, tmp_path):
  raw = raw_sets.table(tmp_path, count=4)
  table = image_table.find(raw / 'labels.csv', raw, image_table.Columns())
  with pytest.raises(errors.InputError, match='--name'):
    image_table_dataset_builder.Builder(
      name=name, table=table, data_dir=tmp_path
    )


def test_an_image_table_keeps_size_and_aspect_unless_told(tmp_path):
  raw = raw_sets.table(tmp_path, count=4)
  table = image_table.find(raw / 'labels.csv', raw, image_table.Columns())
  data = (raw / 'images/000.png').read_bytes()
  for size, expected in ((0, (60, 48)), (24, (30, 24))):
    builder = image_table_dataset_builder.Builder(
      name='lumps', table=table, image_size=size, data_dir=tmp_path
    )
    assert builder.picture(data).size == expected


def test_a_table_of_fundus_photographs_has_their_discs(run, tmp_path):
  raw = raw_sets.table(tmp_path / 'raw', count=20)
  raw_sets.save(Image.new('RGB', (60, 48)), raw / 'images/000.png')
  code, output, _ = run(
    '--dataset=image_table',
    '--name=eyes',
    '--fundus',
    '--image_size=32',
    f'--manual_dir={raw}',
    f'--data_dir={tmp_path}',
    '--num_processes=1',
  )
  assert code == 0 and 'no fundus disc: 1' in output
  _, examples = _examples(tmp_path, 'eyes')
  assert {
    Image.open(io.BytesIO(row['image'].numpy())).size
    for rows in examples.values()
    for row in rows
  } == {(32, 32)}
  prepared = tfds_folder.open_dataset(str(tmp_path), 'eyes')
  assert (prepared.side, prepared.square) == (32, 'fundus')


def _prepare(*flags, **options):
  command = [sys.executable, paths.ROOT / 'bin/prepare_data.py', *flags]
  return subprocess.Popen(
    command,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )


@pytest.fixture
def run(call):
  """Calls prepare_data.py: its exit code and what it printed."""

  def run(*flags):
    done = call('prepare_data.py', *flags)
    assert 'Traceback' not in done.stderr
    return done.returncode, done.stdout, done.stderr

  return run


def test_the_binary_from_bad_to_built(run, tmp_path):
  raw = raw_sets.kaggle(tmp_path / 'raw', train=20)
  (raw / 'train/10_left.jpeg').write_bytes(b'')
  flags = (
    '--dataset=retina',
    f'--image_size={_SIZE}',
    f'--manual_dir={raw}',
    f'--data_dir={tmp_path / "data"}',
    '--num_processes=1',
  )
  code, output, error = run(*flags)
  assert code == 2
  assert error.splitlines()[-1].startswith('prepare_data.py: retina/kaggle_32')
  assert 'train/10_left' in error.splitlines()[-1]
  assert 'BAD: not an image: 1' in output

  reports = tmp_path / 'data/preflight/retina' / f'kaggle_{_SIZE}' / '1.0.0'
  assert {path.name for path in reports.iterdir()} == _REPORTS
  assert f'report: {reports / "preflight.html"}' in output
  shutil.rmtree(reports)

  code, output, _ = run(*flags, '--on_bad=skip', '--check_only')
  assert code == 0 and not (tmp_path / 'data/retina').exists()
  assert {path.name for path in reports.iterdir()} == _REPORTS

  code, output, _ = run(*flags, '--on_bad=skip')
  assert code == 0
  folder = output.splitlines()[-1].removeprefix('prepared: ')
  opened, examples = _examples(tmp_path / 'data', 'retina')
  assert opened.directory == folder
  assert sum(map(len, examples.values())) == 45
  assert 'train/10_left' in pathlib.Path(folder, 'preflight.json').read_text()
  for name in _REPORTS:
    assert pathlib.Path(folder, name).read_text() == (
      (reports / name).read_text()
    )


def test_a_split_file_splits_alike_in_another_place(built, run, tmp_path):
  folder, _, data_dir = built('image_table')
  shutil.copytree(folder / 'raw', tmp_path / 'moved')
  code, _, _ = run(
    '--dataset=image_table',
    '--name=lumps',
    f'--manual_dir={tmp_path / "moved"}',
    f'--data_dir={tmp_path / "again"}',
    f'--split_file={data_dir / "lumps/1.0.0/splits.csv"}',
    '--seed=9',
    '--num_processes=1',
  )
  assert code == 0
  first, second = (
    (folder / 'lumps/1.0.0/splits.csv').read_text()
    for folder in (data_dir, tmp_path / 'again')
  )
  assert first == second


@pytest.mark.parametrize(
  'flags, what',
  [
    (('--dataset=retina', '--source=idrd'), "did you mean 'idrid'"),
    (('--dataset=image_table',), '--name'),
    (('--dataset=retina', '--beam_runner=DirektRunner'), 'DirectRunner'),
    (('--dataset=imagenet2012',), 'ILSVRC2012_img_train.tar'),
    (('--dataset=mnist',), 'retina'),
  ],
)
def test_unusable_flags_are_one_line(flags, what, run, tmp_path):
  code, _, error = run(
    *flags, f'--manual_dir={tmp_path}', f'--data_dir={tmp_path}'
  )
  assert code == 2 and what in error
  assert len(error.splitlines()) == 1


@pytest.fixture
def asked(monkeypatch):
  """The numbers of processes that were asked for; threads stand in."""
  numbers = []

  def pool(max_workers, context, initializer):
    assert context.get_start_method() == 'spawn'
    assert initializer is stop_signals.end_with_parent
    numbers.append(max_workers)
    return futures.ThreadPoolExecutor(max_workers)

  parallel._pool.cache_clear()
  monkeypatch.setattr(parallel.futures, 'ProcessPoolExecutor', pool)
  yield numbers
  parallel._pool.cache_clear()


@pytest.mark.parametrize('number, pools', [(3, [3]), (1, [])])
def test_check_and_build_have_as_many_processes_as_is_said(
  number, pools, asked, tmp_path
):
  raw = raw_sets.table(tmp_path / 'raw')
  builder = _image_table(raw, tmp_path / 'data')
  builder.num_processes = number
  checked = builder.check(raw)
  assert asked == pools
  parallel._pool.cache_clear()
  builder.build(checked)
  assert asked == 2 * pools


def test_without_a_number_each_core_has_a_process(asked, tmp_path, monkeypatch):
  monkeypatch.setattr(cores, 'available', lambda: 5)
  raw = raw_sets.table(tmp_path / 'raw')
  _image_table(raw, tmp_path / 'data').check(raw)
  assert asked == [5]


_CALL_AND_TELL = """
import sys
from data import parallel
def pool(number):
  print('processes:', number)
  return parallel.futures.ThreadPoolExecutor(number)
parallel._pool = pool
from transfusion_tf.cli import prepare_data
prepare_data.run()
"""


def test_the_flag_says_how_many_processes(tmp_path):
  raw = raw_sets.table(tmp_path / 'raw')
  done = subprocess.run(
    [
      *(sys.executable, '-c', _CALL_AND_TELL),
      *('--dataset=image_table', '--name=lumps', '--check_only'),
      *(f'--manual_dir={raw}', f'--data_dir={tmp_path}', '--num_processes=3'),
    ],
    capture_output=True,
    text=True,
    cwd=paths.ROOT,
    check=True,
  )
  told = [x for x in done.stdout.splitlines() if x.startswith('processes')]
  assert told and set(told) == {'processes: 3'}


@pytest.mark.slow
@pytest.mark.skipif(cores.available() < 2, reason='one core')
def test_two_processes_are_1_7_times_as_fast(tmp_path):
  """Once they run: starting them takes seconds, of a build of hours."""
  raw = raw_sets.kaggle(tmp_path / 'raw', train=100, test=20)
  large = raw_sets.photograph(0, 1200, 1500)
  for path in sorted(raw.rglob('*.jpeg')):
    noise = int(path.stem.split('_')[0]) + 1000 * ('left' in path.stem)
    large.putpixel((750, 600), (noise % 256, noise // 256, 0))
    large.save(path, quality=92)
  seconds = {}
  for num_processes in (2, 1, 2):  # The first starts the processes.
    builder = _retina(raw, tmp_path / str(len(seconds)), 'kaggle')
    builder.num_processes = num_processes
    start = time.monotonic()
    builder.build(builder.check(raw))
    seconds[num_processes] = time.monotonic() - start
  print(f'{seconds[1] / seconds[2]:.2f} times as fast')
  assert seconds[1] / seconds[2] >= 1.7


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_under_the_final_name(run, tmp_path):
  raw = raw_sets.kaggle(tmp_path / 'raw', train=300, test=5)
  config = tmp_path / 'data/retina' / f'kaggle_{_SIZE}'
  flags = (
    '--dataset=retina',
    f'--image_size={_SIZE}',
    f'--manual_dir={raw}',
    f'--data_dir={tmp_path / "data"}',
  )
  process = _prepare(*flags, start_new_session=True)
  while not list(config.glob('incomplete*')):
    assert process.poll() is None
    time.sleep(0.05)
  os.killpg(process.pid, signal.SIGKILL)
  process.communicate()
  assert not (config / '1.0.0').exists()
  left = list(config.iterdir())
  assert left and all(p.name.startswith('incomplete.') for p in left)
  code, _, _ = run(*flags)
  assert code == 0 and (config / '1.0.0/dataset_info.json').exists()
  for folder in left:
    shutil.rmtree(folder)
  opened, examples = _examples(tmp_path / 'data', 'retina')
  assert sum(map(len, examples.values())) == 610
  assert opened.directory == str(config / '1.0.0')
