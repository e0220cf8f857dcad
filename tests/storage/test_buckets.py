"""Runs in a bucket, through TensorFlow's own Google Cloud Storage client."""

import functools
import json
import time

import buckets
import prepared_sets
import processes
import pytest
import runs

from transfusion_tf import lease
from transfusion_tf import run_folder


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
