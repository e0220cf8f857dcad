"""Fixtures that several test files share."""

import contextlib
import functools
import os

import buckets
import collector
import processes
import pytest

from transfusion_tf import startup
from transfusion_tf import tpu_settings

# As the commands: rounding differs with oneDNN, TensorFlow's own choice only
# where there is AVX-512.
os.environ.update(startup.environment(os.environ))

# tensorflow-serving-api and tf-slim require TensorFlow's usual wheel.
_OF_THE_USUAL_WHEEL = ['export/test_serving.py', 'init/test_tf_slim.py']
collect_ignore = [] if tpu_settings.has_host_xla() else _OF_THE_USUAL_WHEEL


def pytest_collection_finish():
  collector.resume()


def pytest_addoption(parser):
  parser.addoption(
    '--rewrite_networks',
    action='store_true',
    help='write the outcomes of tests/models/test_laws.py to docs/networks.md',
  )
  parser.addoption(
    '--rewrite_runtimes',
    action='store_true',
    help='write what tests/export/test_runtimes_table.py measures to '
    'docs/runtimes.md',
  )


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  """A data_dir that holds `retina`: 96, 33 and 35 small images."""
  # Not above: what starts the workers would import TensorFlow before them.
  import prepared_sets

  directory = tmp_path_factory.mktemp('data')
  prepared_sets.write_spots(directory)
  return directory


@pytest.fixture(scope='session')
def server():
  """Forks processes that have imported TensorFlow."""
  with contextlib.closing(processes.Server()) as server:
    yield server


@pytest.fixture(scope='session')
def call(server):
  """Calls a binary, like subprocess.run: `call('train.py', *flags)`."""
  return functools.partial(processes.call, server)


@pytest.fixture(scope='session')
def bucket(tmp_path_factory):
  """gs://bucket, which binaries use that get its environment."""
  try:
    buckets.binary()
  except (ImportError, RuntimeError) as error:
    pytest.skip(f'no emulator of Google Cloud Storage: {error}')
  folder = tmp_path_factory.mktemp('bucket')
  with contextlib.closing(buckets.Bucket(folder)) as bucket:
    yield bucket


@pytest.fixture(scope='session')
def bucket_data(bucket, data_dir):
  """`data_dir` in the bucket."""
  bucket.upload(data_dir, 'data')
  return 'gs://bucket/data'
