"""Runs in a bucket, through TensorFlow's own Google Cloud Storage client."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import bucket_runs
import fabricated_study
import numpy as np
import processes
import pytest
import runs
import tensorflow as tf

from transfusion_tf import config
from transfusion_tf import lease
from transfusion_tf.paper import runs as paper_runs
from transfusion_tf.paper import scales

_NO_LIMIT = pytest.mark.timeout(0)


@pytest.fixture(scope='module')
def trained(bucket, bucket_data, train):
  """A finished run in the bucket, that was killed once."""
  name = 'runs/trained'
  process = train(bucket_runs.experiment(bucket_data), name)
  processes.wait_for(lambda: len(bucket_runs.rows(bucket, name)) > 2, process)
  process.kill()
  process.wait()
  assert f'{name}/result.json' not in bucket.names(name)
  assert len(bucket_runs.leases(bucket, name)) == 1
  # At once: its owner is dead.
  again = train(bucket_runs.experiment(bucket_data), name)
  again.succeed()
  assert 'continuing from step' in again.log
  return name


def test_a_killed_run_goes_on_to_the_same_bits(
  bucket, trained, undisturbed, tmp_path
):
  runs.assert_same(bucket.download(trained, tmp_path / 'copy'), undisturbed)
  assert not bucket_runs.leases(bucket, trained)
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


@pytest.mark.slow
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
      bucket_runs.experiment(bucket_data), changes | {'init.pretrained': source}
    )
    train(experiment, f'runs/from_{name}').succeed()
    starts[name] = runs.state(
      bucket.download(f'runs/from_{name}', tmp_path / name), 0
    )
  body = [n for n in starts['run'] if n.startswith('model/conv')]
  assert body
  for name in body:
    np.testing.assert_array_equal(starts['run'][name], starts['export'][name])


@pytest.mark.slow
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


def _upload(step):
  return f'upload runs/cost/checkpoints/step-{step:08d}/checkpoint.index'


@pytest.mark.slow
def test_what_a_checkpoint_and_an_epoch_cost(bucket, bucket_data, train):
  """Two objects and few requests; each file once."""
  experiment = bucket_runs.experiment(
    bucket_data,
    train__train_steps=24,  # Two epochs.
    train__eval_every=12,
    runtime__checkpoint_every=4,
    runtime__keep_checkpoints=1,
  )
  first = len(bucket.requests)
  train(experiment, 'runs/cost').succeed()
  names = [request.name for request in bucket.requests[first:]]
  lists = f'list runs/cost/{lease.FOLDER}/', 'list runs/cost/checkpoints/'
  between = names.index(_upload(4)) + 1, names.index(_upload(8)) + 1
  session = [n for n in names[slice(*between)] if n.startswith('list runs')]
  assert len(session) <= 6
  for step in (0, 4, 8, 12, 16, 20, 24):
    assert names.count(_upload(step)) == 1
  made = [n for n in names if 'checkpoints/' in n or n in lists]
  assert len(made) <= 7 * (7 + 4) + 20
  held = bucket.names('runs/cost/checkpoints/')
  assert len(held) <= 2 * 3
  shards = [n for n in bucket.names('data/') if 'retina-train' in n]
  reads = [name for name in names if 'retina-train' in name]
  assert sorted(reads) == sorted(f'read {name}' for name in shards * 2)


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


@pytest.mark.slow
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


@pytest.mark.slow
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
