"""Runs in a bucket, through TensorFlow's own Google Cloud Storage client."""

import contextlib
import functools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import buckets
import fabricated_study
import numpy as np
import prepared_sets
import processes
import pytest
import runs
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import lease
from transfusion_tf.paper import runs as paper_runs
from transfusion_tf.paper import scales
from transfusion_tf.train import preemption

_NO_LIMIT = pytest.mark.timeout(0)


def _experiment(data_dir, **changes):
  return prepared_sets.experiment(
    data_dir,
    **{
      'train__train_steps': 40,
      'train__eval_every': 6,
      'train__patience': 50,
      'train__deterministic': True,
      'runtime__checkpoint_every': 4,
      'runtime__steps_per_call': 1,
    }
    | changes,
  )


@pytest.fixture(scope='module')
def train(server, bucket, tmp_path_factory):
  """Starts a run in the bucket: `train(experiment, 'runs/a')`."""
  logs = tmp_path_factory.mktemp('logs')

  def start(experiment, name):
    log = logs / f'{len(list(logs.iterdir()))}.log'
    return processes.train(
      server, experiment, f'gs://bucket/{name}', bucket.environment, log=log
    )

  return start


@pytest.fixture(scope='module')
def call_there(server, bucket):
  return functools.partial(processes.call, server, env=bucket.environment)


@pytest.fixture(scope='module')
def undisturbed(server, bucket, bucket_data, tmp_path_factory):
  """A run on the disk, of data in the bucket, that nothing happened to."""
  run_dir = tmp_path_factory.mktemp('runs') / 'undisturbed'
  processes.train(
    server, _experiment(bucket_data), run_dir, bucket.environment
  ).succeed()
  return run_dir


def _rows(bucket, name):
  try:
    return bucket.read(f'{name}/metrics.jsonl').splitlines()
  except FileNotFoundError:
    return []


def _leases(bucket, name):
  found = bucket.names(f'{name}/{lease.FOLDER}/')
  return [path for path in found if path.endswith('.json')]


@pytest.fixture(scope='module')
def trained(bucket, bucket_data, train):
  """A finished run in the bucket, that was killed once."""
  name = 'runs/trained'
  process = train(_experiment(bucket_data), name)
  processes.wait_for(lambda: len(_rows(bucket, name)) > 2, process)
  process.kill()
  process.wait()
  assert f'{name}/result.json' not in bucket.names(name)
  assert len(_leases(bucket, name)) == 1
  again = train(_experiment(bucket_data), name)  # At once: its owner is dead.
  again.succeed()
  assert 'continuing from step' in again.log
  return name


def test_a_killed_run_goes_on_to_the_same_bits(
  bucket, trained, undisturbed, tmp_path
):
  runs.assert_same(bucket.download(trained, tmp_path / 'copy'), undisturbed)
  assert not _leases(bucket, trained)
  partial = [n for n in bucket.names(trained) if 'partial' in n or 'temp' in n]
  assert not partial


def test_a_finished_run_is_evaluated_and_nothing_is_left_to_train(
  bucket, trained, undisturbed, call_there
):
  """From the flagfile in its folder, too."""
  flagfile = f'--flagfile=gs://bucket/{trained}/train.flags'
  again = call_there('train.py', flagfile)
  assert again.returncode == 0, again.stderr
  flags = ['--checkpoint=best', '--split=validation']
  there = call_there('evaluate.py', f'--run_dir=gs://bucket/{trained}', *flags)
  assert there.returncode == 0, there.stderr
  here = call_there('evaluate.py', f'--run_dir={undisturbed}', *flags)
  assert here.returncode == 0, here.stderr
  name = 'scores_validation_best.csv'
  scores = bucket.read(f'{trained}/{name}')
  assert scores == (undisturbed / name).read_bytes()


def test_an_export_is_complete_once_its_card_is_there(
  bucket, trained, call_there, train, bucket_data, tmp_path
):
  """It is replaced on demand; its Keras file is a source of weights."""
  flags = [f'--run_dir=gs://bucket/{trained}', '--export_dir=gs://bucket/made']
  # What an interrupted upload leaves.
  bucket.write('made/variables/variables.index', b'half')
  made = call_there('export.py', *flags)
  assert made.returncode == 0, made.stderr
  again = call_there('export.py', *flags)
  assert again.returncode == 2 and 'holds an export' in again.stderr
  assert call_there('export.py', *flags, '--overwrite').returncode == 0
  names = [request.name for request in bucket.requests]
  uploads = [name for name in names if name.startswith('upload made/')]
  assert uploads[-1] == 'upload made/model_card.md'
  loaded = tf.saved_model.load(str(bucket.download('made', tmp_path / 'copy')))
  assert 'serve' in loaded.signatures

  # The first weights, in the export's names, at another run's start.
  changes = {'init.scheme': 'transfer', 'train.train_steps': 2}
  starts = {}
  for name, source in {
    'export': 'gs://bucket/made/model.keras',
    'run': f'gs://bucket/{trained}@best',
  }.items():
    experiment = config.override(
      _experiment(bucket_data), changes | {'init.pretrained': source}
    )
    train(experiment, f'runs/from_{name}').succeed()
    starts[name] = runs.state(
      bucket.download(f'runs/from_{name}', tmp_path / name), 0
    )
  body = [n for n in starts['run'] if n.startswith('model/conv')]
  assert body
  for name in body:
    np.testing.assert_array_equal(starts['run'][name], starts['export'][name])


def test_activations_and_their_comparison(bucket, trained, call_there):
  run = f'gs://bucket/{trained}'
  for which in ('init', 'final'):
    made = call_there(
      'extract_activations.py',
      f'--run_dir={run}@{which}',
      f'--output=gs://bucket/activations/{which}',
      '--num_images=20',
    )
    assert made.returncode == 0, made.stderr
  files = bucket.names('activations/final/')
  assert any(name.endswith('.npy') for name in files)
  sizes = ['--num_patches=500', '--num_channels=8', '--repeats=1']
  results = []
  for a, b in (
    (f'{run}@init', f'{run}@final'),
    ('gs://bucket/activations/init', 'gs://bucket/activations/final'),
  ):
    compared = call_there(
      'svcca.py',
      f'--a={a}',
      f'--b={b}',
      '--output=gs://bucket/s.json',
      *sizes,
      '--num_images=20',
    )
    assert compared.returncode == 0, compared.stderr
    results.append(json.loads(bucket.read('s.json'))['layers'])
  assert results[0].keys() == results[1].keys()
  for layer, similarity in results[0].items():
    assert similarity['mean'] == pytest.approx(results[1][layer]['mean'], 1e-4)


def test_tensorboard_reads_a_run(bucket, trained):
  """Each evaluation once, though the run was killed."""
  command = '-m tensorboard.main --load_fast=false --port=0 --logdir'.split()
  process = subprocess.Popen(
    [sys.executable, *command, f'gs://bucket/{trained}'],
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | bucket.environment,
  )
  try:
    url = next(
      found[0]
      for line in process.stderr
      if (found := re.search(r'http://\S+', line))
    )
    path = (
      'data/plugin/scalars/scalars?run=tensorboard&tag=validation/referable'
    )
    for _ in range(200):
      with contextlib.suppress(urllib.error.HTTPError):
        with urllib.request.urlopen(url + path, timeout=30) as answer:
          steps = [step for _, step, _ in json.load(answer)]
        if steps and steps[-1] == 40:
          break
      time.sleep(0.2)
  finally:
    process.kill()
    process.wait()
  assert steps == [0, 6, 12, 18, 24, 30, 36, 40]


def test_a_study_is_listed_and_drawn(bucket, call_there, tmp_path):
  """Those runs that are finished; `--list` writes flagfiles for the others."""
  plans = list(paper_runs.plans(['table4'], scales.DEMO))
  for number, plan in enumerate(plans):
    if number:
      fabricated_study.write_run(
        tmp_path / plan.key, plan, fabricated_study.PAPERLIKE, [0, number]
      )
  bucket.upload(tmp_path, 'study')
  flags = ['--target=table4', '--output_dir=gs://bucket/study']
  listed = call_there(
    'reproduce.py', *flags, '--data_dir=gs://bucket/data', '--list'
  )
  assert listed.returncode == 0, listed.stderr
  (command,) = (x for x in listed.stdout.splitlines() if x[0] != '#')
  assert f'--flagfile=gs://bucket/study/flagfiles/{plans[0].key}' in command
  drawn = call_there('reproduce.py', *flags, '--draw_only')
  assert drawn.returncode == 0, drawn.stderr
  assert b'<html' in bucket.read('study/report.html')
  assert bucket.read('study/tables/table4.csv')


def test_a_study_of_ones_own_runs_there(bucket, bucket_data, call_there):
  made = call_there(
    'study.py',
    '--dataset=retina',
    f'--data_dir={bucket_data}',
    '--output_dir=gs://bucket/own',
    '--models=cbr_tiny',
    '--inits=random',
    '--seeds=2',
    '--epochs=1',
    '--image_size=32',
  )
  assert made.returncode == 0, made.stderr
  assert b'<html' in bucket.read('own/report.html')
  assert bucket.read('own/study.csv').count(b'CBR-Tiny') == 1


def _lease(bucket, name, token, age=0.0, **changes):
  record = {
    **{'host': 'elsewhere', 'pid': 7, 'machine': 'another', 'started': 1},
    **{'held': True, 'time': time.time() - age},
  }
  path = f'{name}/{lease.FOLDER}/{token}.json'
  bucket.write(path, json.dumps(record | changes).encode())
  return path


def test_a_second_writer_is_refused(bucket, bucket_data, train):
  """On this machine and on another, until it is dead."""
  name = 'runs/two'
  long = _experiment(bucket_data, train__train_steps=100_000)
  first = train(long, name)
  processes.wait_for(lambda: len(_rows(bucket, name)) > 0, first)
  second = train(long, name)
  assert second.wait() == 2
  message = second.log.splitlines()[-1]
  assert f'another process is training here, number {first.pid}' in message
  assert 'try again in' in message
  assert len(_leases(bucket, name)) == 1

  # One that took over: the first stops at its next checkpoint.
  (mine,) = _leases(bucket, name)
  bucket.delete(mine)
  theirs = _lease(bucket, name, 'theirs')
  assert first.wait() == 1
  assert 'another process has taken over' in first.log.splitlines()[-1]
  assert _leases(bucket, name) == [theirs]
  before = bucket.names(name)
  third = train(long, name)
  assert third.wait() == 2
  assert 'number 7 of elsewhere' in third.log.splitlines()[-1]
  assert bucket.names(name) == before

  _lease(bucket, name, 'theirs', age=1e4)
  fourth = train(long, name)
  processes.wait_for(lambda: 'continuing from step' in fourth.log, fourth)
  assert theirs not in _leases(bucket, name)
  fourth.kill(signal.SIGTERM)
  assert fourth.wait() == preemption.EXIT_CODE
  assert not _leases(bucket, name)


def test_of_many_that_come_at_once_one_gets_a_folder(bucket, server, tmp_path):
  script = tmp_path / 'claim.py'
  script.write_text(_CLAIM)
  for number in range(3):
    claimants = [
      processes.Process(
        server,
        script,
        [f'gs://bucket/claimed{number}'],
        tmp_path / f'{number}_{i}',
        bucket.environment,
      )
      for i in range(6)
    ]
    assert sorted(c.wait() for c in claimants) == [0, 2, 2, 2, 2, 2]
    assert not _leases(bucket, f'claimed{number}')


_CLAIM = """
import sys, time
from transfusion_tf import errors, lease
try:
  with lease.held(sys.argv[1]):
    time.sleep(4)
except errors.InputError as error:
  print(error)
  sys.exit(2)
"""


def test_what_is_half_written_is_not_read(bucket, trained, call_there):
  """A checkpoint without its index, and one without its data."""
  path = f'{trained}/checkpoints/step-00000099'
  bucket.write(f'{path}/checkpoint.data-00000-of-00001', b'half')
  made = call_there('evaluate.py', f'--run_dir=gs://bucket/{trained}@final')
  assert made.returncode == 0, made.stderr
  bucket.delete(f'{path}/checkpoint.data-00000-of-00001')
  header = json.loads(bucket.read(f'{trained}/scores_test_final.json'))
  assert header['step'] == 40


@pytest.mark.parametrize(
  'name',
  ['gs://bucket/nowhere', 'gs://nobucket/run'],
)
def test_what_is_not_there_is_told_in_one_line(call_there, name):
  for command in (
    ['evaluate.py', f'--run_dir={name}'],
    ['train.py', f'--flagfile={name}/train.flags'],
    ['train.py', '--dataset=retina', f'--data_dir={name}', '--run_dir=RUN'],
  ):
    failed = call_there(*command)
    assert failed.returncode == 2, failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert name in failed.stderr


@pytest.mark.parametrize(
  ('rate', 'kinds', 'kills'),
  [
    (0.1, ('503', '429', 'refused', 'lost', 'half'), 1),
    pytest.param(
      0.15, buckets.Faults.kinds, 12, marks=[pytest.mark.soak, _NO_LIMIT]
    ),
  ],
)
def test_nothing_is_lost_in_a_storm(
  bucket, bucket_data, train, undisturbed, tmp_path, rate, kinds, kills
):
  """Killed, with requests that fail in every way, it ends with the same."""
  name, draw = f'runs/storm{kills}', random.Random(kills)
  with bucket.faulty(rate, kinds=kinds, seed=kills):
    while f'{name}/result.json' not in bucket.names(name):
      process = train(_experiment(bucket_data), name)
      if kills:
        processes.wait_for(
          lambda p=process: 'step 0/' in p.log or not p.is_alive()
        )
        time.sleep(draw.uniform(0, 8))
        kills -= process.is_alive()
        process.kill()
        process.wait()
      else:
        process.succeed()
  broken = [r for r in bucket.requests if r.fault]
  assert {r.fault for r in broken} == set(kinds)
  runs.assert_same(bucket.download(name, tmp_path / 'copy'), undisturbed)
