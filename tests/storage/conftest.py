"""Runs in a bucket."""

import functools

import bucket_runs
import processes
import pytest


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
    server, bucket_runs.experiment(bucket_data), run_dir, bucket.environment
  ).succeed()
  return run_dir
