"""Pictures without labels: the answers of evaluation, whatever the files."""

import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import chain
import numpy as np
import pandas as pd
import prepared_sets
import processes
import pytest
import raw_sets

from data import unlabelled
from data.chexpert import chexpert_dataset_builder
from data.image_table import image_table_dataset_builder
from data.image_table import layout
from data.retina import retina_dataset_builder
from transfusion_tf import errors
from transfusion_tf import export
from transfusion_tf import run_folder
from transfusion_tf.predict import engine
from transfusion_tf.predict import networks
from transfusion_tf.predict import pictures as pictures_lib
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import train_and_evaluate


def _retina(raw, data_dir):
  raw_sets.kaggle(raw, train=40)
  builder = retina_dataset_builder.Builder.from_source(data_dir, 'kaggle', 24)
  return builder, 'retina', lambda name: f'{name}.jpeg'


def _chexpert(raw, data_dir):
  raw_sets.chexpert(raw)
  builder = chexpert_dataset_builder.Builder.from_source(data_dir, 'small', 24)
  folder = 'CheXpert-v1.0-small'
  return builder, 'chexpert', lambda name: f'{folder}/{name}.jpg'


def _table(raw, data_dir, size):
  builder = image_table_dataset_builder.Builder(
    name='lumps',
    table=layout.find(
      raw_sets.table(raw) / 'labels.csv', raw, layout.Columns()
    ),
    image_size=size,
    data_dir=data_dir,
  )
  return builder, 'lumps', lambda name: name


_SETS = {
  'fundus': _retina,
  'squeezed': _chexpert,
  'shorter_side': functools.partial(_table, size=24),
  'own_size': functools.partial(_table, size=0),
}


class Trained:
  """A raw data set, prepared, and a run of seconds on it."""

  def __init__(self, root, kind):
    self.raw = root / 'raw'
    builder, dataset, self.path = _SETS[kind](self.raw, root / 'data')
    builder.num_processes = 1
    builder.build(builder.check(self.raw, seed=4))
    self.run_dir = str(root / 'run')
    experiment = chain.experiment(
      root / 'data',
      data__dataset=dataset,
      data__findings=(),
      train__train_steps=20,
    )
    train_and_evaluate.run(experiment, self.run_dir)
    run = run_lib.load_run(self.run_dir, 'best', strategy='one_device')
    self.task = run.task
    self.evaluated, _ = run_lib.evaluate(run, 'test')
    self.export_dir = str(root / 'export')
    self.step = run_folder.checkpoint_step(self.run_dir, 'best')
    export.export(run, self.export_dir, run_dir=self.run_dir, step=self.step)
    # Nothing but the run, or the export, is needed.
    shutil.rmtree(root / 'data')

  @functools.cached_property
  def classifier(self):
    return networks.from_run(self.run_dir, 'best', strategy='one_device')


@pytest.fixture(scope='module')
def fundus(tmp_path_factory):
  return Trained(tmp_path_factory.mktemp('fundus'), 'fundus')


@pytest.fixture(params=_SETS)
def trained(request, tmp_path):
  if request.param == 'fundus':
    return request.getfixturevalue('fundus')
  return Trained(tmp_path, request.param)


def _predict(classifier, given, output, in_order=False, **options):
  form = classifier.description.form
  preparer = unlabelled.Preparer(form.kind, form.side)
  prepare = functools.partial(
    unlabelled.prepare, preparer=preparer, num_processes=1
  )
  with pictures_lib.Pictures.kept(given, in_order) as pictures:
    return engine.predict(
      classifier, pictures, prepare, str(output), {}, **options
    )


def test_answers_are_those_of_evaluation(trained, tmp_path):
  expected = trained.evaluated.set_index('image_id')
  exported = networks.from_export(trained.export_dir, 16)
  assert exported.description == trained.classifier.description
  for classifier, most in ((trained.classifier, 0), (exported, 1e-6)):
    output = tmp_path / f'{most}.csv'
    _predict(classifier, unlabelled.of_folder(str(trained.raw)), output)
    found = pd.read_csv(output).set_index('id')
    found = found.loc[[trained.path(name) for name in expected.index]]
    assert (found['status'] == 'ok').all()
    for name in trained.task.names:
      answers = found[f'p_{name}'].to_numpy(np.float32)
      assert np.abs(answers - expected[name]).max() <= most
    # Each threshold, on the scores that evaluation has.
    for point in run_folder.decisions(trained.run_dir, trained.step).points:
      question = point.question
      several = question in trained.task.names
      column = f'decision_{question}_' if several else 'decision_'
      column += '_'.join(point.target.name.split())
      scores = expected[f'{question}:score'].to_numpy()
      called = scores >= np.float32(point.threshold)
      np.testing.assert_array_equal(found[column], called)


def test_files_of_other_projects_are_left_as_they_are(data_dir, tmp_path):
  """What others stored is read as it is, and so are its files."""
  experiment = prepared_sets.experiment(
    data_dir, model__name='tiny_nets:net', runtime__eval_batch_size=16
  )
  run_dir = str(tmp_path / 'run')
  train_and_evaluate.run(experiment, run_dir)
  run = run_lib.load_run(run_dir, 'best', strategy='one_device')
  expected = run_lib.evaluate(run, 'test')[0].set_index('image_id')
  folder = tmp_path / 'files'
  folder.mkdir()
  for record in run.source.prepared.records('test'):
    example = run.source.prepared.parse(record)
    name = example['image_id'].numpy().decode()
    (folder / f'{name}.jpg').write_bytes(example['image'].numpy())
  (folder / 'damaged.jpg').write_bytes(b'\xff\xd8\xff\xe0 and then')
  classifier = networks.from_run(run_dir, 'best', strategy='one_device')
  assert classifier.description.form.kind == 'as_it_is'
  given = unlabelled.of_folder(str(folder))
  outcome = _predict(classifier, given, tmp_path / 'out.csv')
  assert outcome.statuses.pop('ok') == len(expected)
  assert sum(outcome.statuses.values()) == 1
  found = pd.read_csv(tmp_path / 'out.csv').set_index('id')
  found = found.loc[[f'{name}.jpg' for name in expected.index]]
  for name in run.task.names:
    answers = found[f'p_{name}'].to_numpy(np.float32)
    np.testing.assert_array_equal(answers, expected[name])


def test_one_bad_file_is_one_row(fundus, tmp_path):
  folder = tmp_path / 'mixed'
  image = raw_sets.photograph(3)
  good = [
    raw_sets.save(image, folder / f'good.{end}') for end in ('png', 'bmp')
  ]
  good.append(raw_sets.save(image, folder / 'b' / 'ä, "good"\n.tif'))
  good.append(folder / 'good.dcm')
  good[-1].write_bytes(raw_sets.dicom(np.asarray(image), 'RGB'))
  jpeg = (fundus.raw / 'test' / '500_left.jpeg').read_bytes()
  bad = {
    'empty.png': b'',
    'cut.jpeg': jpeg[:-400],
    'page.jpg': b'<html>',
    'bomb.png': raw_sets.bomb(15_000),
    'cut.dcm': good[-1].read_bytes()[:600],
  }
  for name, data in bad.items():
    (folder / name).write_bytes(data)
  (folder / 'gone.jpeg').symlink_to('/nowhere/gone.jpeg')
  os.mkfifo(folder / 'pipe.png')
  (folder / 'notes.txt').write_text('no picture')
  others = []
  given = unlabelled.of_folder(str(folder), others.append)
  outcome = _predict(fundus.classifier, given, tmp_path / 'out.csv')
  table = pd.read_csv(tmp_path / 'out.csv', keep_default_na=False)
  assert others == ['notes.txt']
  names = [path.relative_to(folder).as_posix() for path in good]
  assert sorted(table['id']) == sorted([*names, *bad, 'gone.jpeg', 'pipe.png'])
  assert set(table[table['status'] == 'ok']['id']) == set(names)
  lost = table[table['status'] != 'ok']
  assert dict(zip(lost['id'], lost['status'], strict=True)) == {
    'empty.png': 'not an image',
    'cut.jpeg': 'truncated image',
    'page.jpg': 'not an image',
    'bomb.png': 'image too large',
    'cut.dcm': 'not an image',
    'gone.jpeg': 'no such image',
    'pipe.png': 'unreadable image',
  }
  assert lost['reason'].all()
  assert (lost.drop(columns=['id', 'status', 'reason']) == '').all(axis=None)
  assert outcome.statuses['ok'] == len(names)
  # One picture, in four kinds of files, is one picture.
  scores = table[table['status'] == 'ok'].filter(like='p_').drop_duplicates()
  assert len(scores) == 1
  json.loads(
    (tmp_path / 'out.csv.json').read_text(), parse_constant=pytest.fail
  )


def test_a_picture_without_a_fundus_is_scored_and_noted(fundus, tmp_path):
  folder = tmp_path / 'odd'
  noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
  raw_sets.save(raw_sets.Image.fromarray(noise), folder / 'noise.png')
  given = unlabelled.of_folder(str(folder))
  _predict(fundus.classifier, given, tmp_path / 'out.csv')
  (row,) = pd.read_csv(tmp_path / 'out.csv').to_dict('records')
  assert (row['status'], row['reason']) == ('ok', 'no fundus disc')
  assert 0 < row['p_0'] < 1


def test_lists_of_every_kind_name_the_same_pictures(fundus, tmp_path):
  folder = fundus.raw / 'test'
  shutil.make_archive(tmp_path / 'whole', 'zip', folder)
  with tarfile.open(tmp_path / 'whole.tar', 'w') as tar:
    for path in sorted(folder.iterdir()):
      tar.add(path, path.name)
  names = sorted(path.name for path in folder.iterdir())
  rows = pd.DataFrame({'file': [*names, 'gone.jpeg', '../trainLabels.csv']})
  rows['age'] = 40
  rows.to_csv(tmp_path / 'rows.csv', sep=';', index=False)
  rows.to_parquet(tmp_path / 'rows.parquet')
  (tmp_path / 'rows.txt').write_text('\n'.join(rows['file']) + '\n\n')
  found = {}
  for name in ('rows.csv', 'rows.parquet', 'rows.txt'):
    listed = list(
      unlabelled.of_table(str(tmp_path / name), 'file', str(folder))
    )
    assert [p.id for p in listed] == list(rows['file'])
    assert listed[-1].status == 'outside the image root'
    found[name] = listed[:-2]
  found['whole.zip'] = unlabelled.of_archive(str(tmp_path / 'whole.zip'))
  found['whole.tar'] = unlabelled.of_archive(str(tmp_path / 'whole.tar'))
  found['folder'] = unlabelled.of_folder(str(folder))
  classifier, tables = fundus.classifier, []
  for name, listed in found.items():
    output = tmp_path / f'of_{name}.csv'
    _predict(classifier, listed, output)
    tables.append(output.read_bytes())
  assert len(tables[0].splitlines()) == 1 + len(names)
  assert len(set(tables)) == 1


def test_parquet_holds_the_same(fundus, tmp_path):
  folder = str(fundus.raw / 'test')
  classifier = fundus.classifier
  for end in ('csv', 'parquet'):
    _predict(classifier, unlabelled.of_folder(folder), tmp_path / f'out.{end}')
  one = pd.read_csv(tmp_path / 'out.csv')
  two = pd.read_parquet(tmp_path / 'out.parquet')
  assert list(one) == list(two)
  assert two['p_0'].dtype == np.float32
  np.testing.assert_array_equal(one['p_0'].astype(np.float32), two['p_0'])
  assert list(one['decision_grade'].astype(str)) == list(two['decision_grade'])


def test_a_repeated_path_is_one_row(fundus, tmp_path):
  name = '500_left.jpeg'
  (tmp_path / 'rows.txt').write_text(f'{name}\n501_left.jpeg\n{name}\n')
  given = unlabelled.of_table(
    str(tmp_path / 'rows.txt'), '', str(fundus.raw / 'test')
  )
  with pictures_lib.Pictures.kept(given, in_order=True) as pictures:
    assert pictures.num_repeated == 1
    assert [p.id for p in pictures[:]] == [name, '501_left.jpeg']


def test_other_pictures_do_not_take_a_tables_place(fundus, tmp_path):
  classifier, output = fundus.classifier, tmp_path / 'out.csv'
  folders = [str(fundus.raw / name) for name in ('test', 'train')]
  _predict(classifier, unlabelled.of_folder(folders[0]), output)
  before = output.read_bytes()
  again = _predict(classifier, unlabelled.of_folder(folders[0]), output)
  assert again.was_complete and again.statuses == {'ok': 6}
  with pytest.raises(errors.InputError, match='--overwrite'):
    _predict(classifier, unlabelled.of_folder(folders[1]), output)
  assert output.read_bytes() == before
  _predict(classifier, unlabelled.of_folder(folders[1]), output, overwrite=True)
  assert len(pd.read_csv(output)) == 80
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    'out.csv',
    'out.csv.json',
  ]


def _copies(folder, source, count):
  """So many names of some pictures."""
  folder.mkdir()
  files = sorted(source.glob('*.jpeg'))
  for n in range(count):
    os.link(files[n % len(files)], folder / f'{n:06d}.jpeg')
  return folder


def test_a_killed_command_continues(fundus, tmp_path, server, call):
  # Some more than the 512 of a part.
  folder = _copies(tmp_path / 'many', fundus.raw / 'train', 800)
  (folder / '000700.jpeg').unlink()
  (folder / '000700.jpeg').write_bytes(b'damaged')

  def flags(output):
    return [
      f'--run_dir={fundus.run_dir}',
      f'--images={folder}',
      f'--output={tmp_path / output}',
      '--num_processes=1',
    ]

  script = processes.paths.BIN / 'predict.py'
  process = processes.Process(
    server, script, flags('killed.csv'), tmp_path / 'log'
  )
  parts = tmp_path / 'killed.csv.parts'
  processes.wait_for(lambda: list(parts.glob('*.csv')), process)
  process.kill(signal.SIGKILL)
  process.wait()
  assert not (tmp_path / 'killed.csv').exists()
  # What a part holds is not read again.
  scored = folder / pd.read_csv(min(parts.glob('*.csv')))['id'][0]
  image = scored.read_bytes()
  scored.unlink()
  scored.write_bytes(b'damaged')
  done = call('predict.py', *flags('killed.csv'))
  assert done.returncode == 0, done.stderr
  assert '799 of 800 pictures scored' in done.stdout
  scored.write_bytes(image)
  given = unlabelled.of_folder(str(folder))
  _predict(fundus.classifier, given, tmp_path / 'whole.csv')
  one, two = (tmp_path / name for name in ('killed.csv', 'whole.csv'))
  assert one.read_bytes() == two.read_bytes()
  assert not parts.exists()


@pytest.mark.slow
def test_networks_and_tables_may_be_in_a_bucket(fundus, tmp_path, bucket, call):
  bucket.upload(pathlib.Path(fundus.run_dir), 'fundus/run')
  bucket.upload(pathlib.Path(fundus.export_dir), 'fundus/export')
  folder = str(fundus.raw / 'test')
  _predict(
    fundus.classifier, unlabelled.of_folder(folder), tmp_path / 'here.csv'
  )
  there = 'gs://bucket/fundus'
  for network, name in (('run', 'a.csv'), ('export', 'b.parquet')):
    done = call(
      'predict.py',
      f'--{network}_dir={there}/{network}',
      f'--images={folder}',
      f'--output={there}/{name}',
      '--num_processes=1',
      env=bucket.environment,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / name).write_bytes(bucket.read(f'fundus/{name}'))
    assert not bucket.names(f'fundus/{name}.parts/')
  found = (tmp_path / 'a.csv').read_bytes()
  assert found == (tmp_path / 'here.csv').read_bytes()
  assert len(pd.read_parquet(tmp_path / 'b.parquet')) == 6


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    ([], 'either --run_dir or --export_dir'),
    (['--run_dir=R', '--export_dir=E'], 'either --run_dir or --export_dir'),
    (['--run_dir=R'], 'give --images, --table or both'),
    (['--run_dir=R', '--images=nowhere'], 'nowhere is no folder'),
    (['--run_dir=R', '--images=empty'], 'no pictures'),
    (['--run_dir=R', '--table=no.csv'], 'no no.csv'),
    (['--run_dir=R', '--images=.', '--output=o.xls'], 'ends in neither'),
    (['--export_dir=empty', '--images=some'], 'no export that can predict'),
  ],
)
def test_what_cannot_be_is_one_line(call, tmp_path, flags, words):
  (tmp_path / 'empty').mkdir()
  raw_sets.save(raw_sets.photograph(0), tmp_path / 'some' / 'one.png')
  if not any(flag.startswith('--output') for flag in flags):
    flags = [*flags, '--output=out.csv']
  done = call('predict.py', *flags, cwd=tmp_path)
  assert done.returncode == 2
  assert words in done.stderr and done.stderr.count('\n') == 1
  assert not list(tmp_path.glob('o*'))


def test_of_versions_the_newest_answers(fundus, tmp_path, call):
  shutil.copytree(fundus.export_dir, tmp_path / 'MODEL' / '2')
  (tmp_path / 'MODEL' / '1').mkdir()
  done = call(
    'predict.py',
    f'--export_dir={tmp_path}/MODEL',
    f'--images={fundus.raw}',
    f'--output={tmp_path}/out.csv',
  )
  assert done.returncode == 0, done.stderr
  facts = json.loads((tmp_path / 'out.csv.json').read_text())
  assert facts['export_dir'] == f'{tmp_path}/MODEL/2'


@pytest.mark.slow
def test_several_devices_give_the_same_bits(fundus, tmp_path, call):
  for output, devices in (('one.csv', 1), ('two.csv', 2)):
    done = call(
      'predict.py',
      f'--run_dir={fundus.run_dir}',
      f'--images={fundus.raw}',
      f'--output={tmp_path / output}',
      '--strategy=mirrored',
      f'--num_virtual_cpus={devices}',
    )
    assert done.returncode == 0, done.stderr
  one, two = (tmp_path / name for name in ('one.csv', 'two.csv'))
  assert one.read_bytes() == two.read_bytes()


def _peak(pid):
  """The most memory that a process has had, in MiB; 0 at its end."""
  with contextlib.suppress(OSError):
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    if found := re.search(r'VmHWM:\s+(\d+) kB', status):
      return int(found[1]) / 1024
  return 0


@pytest.mark.slow
def test_many_pictures_need_the_memory_of_few(fundus, tmp_path):
  peaks = {}
  for count in (600, 6_000):
    folder = _copies(tmp_path / str(count), fundus.raw / 'train', count)
    script = processes.paths.BIN / 'predict.py'
    flags = [f'--run_dir={fundus.run_dir}', f'--images={folder}']
    flags += [f'--output={tmp_path / f"{count}.csv"}', '--num_processes=1']
    process = subprocess.Popen(
      [sys.executable, script, *flags],
      env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    while process.poll() is None:
      peaks[count] = _peak(process.pid) or peaks[count]
      time.sleep(0.05)
    assert process.returncode == 0
  print(f'peak MiB: {peaks}')
  assert peaks[6_000] < peaks[600] + 60
