"""Preparing data by Beam's worker processes, one of which is killed."""

import contextlib
import hashlib
import subprocess
import sys
import time

import paths
import psutil
import pytest

_PREPARE = [sys.executable, str(paths.BIN / 'prepare_data.py')]
_WORKERS = (
  '--beam_runner=DirectRunner',
  '--beam_options=direct_running_mode=multi_processing,direct_num_workers=2',
)
_HARNESS = 'apache_beam.runners.worker.sdk_worker_main'
# Of a worker that has imported what it needs.
_BUSY_SECONDS = 7


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
  """Raw photographs."""
  root = tmp_path_factory.mktemp('raw')
  make = [sys.executable, str(paths.BIN / 'make_demo_data.py')]
  flags = ['--num_patients=60', '--set=retina', f'--raw_dir={root}']
  subprocess.run(make + flags, check=True, capture_output=True)
  return root / 'retina'


def _flags(raw, data_dir):
  return [
    *('--dataset=retina', '--image_size=64', f'--manual_dir={raw}'),
    f'--data_dir={data_dir}',
  ]


def _records(data_dir):
  """Name -> hash of each file of records, and of the split."""
  files = [*data_dir.rglob('*.tfrecord*'), *data_dir.rglob('splits.csv')]
  finished = [f for f in files if f.parent.name == '1.0.0']
  return {f.name: hashlib.sha256(f.read_bytes()).digest() for f in finished}


@pytest.fixture(scope='module')
def plain(raw, tmp_path_factory):
  """The records without Beam."""
  root = tmp_path_factory.mktemp('plain')
  subprocess.run(
    [*_PREPARE, *_flags(raw, root)], check=True, capture_output=True
  )
  return _records(root)


def _workers(process):
  """The worker processes of a command, with the seconds that they computed."""
  found = {}
  for child in psutil.Process(process.pid).children(recursive=True):
    with contextlib.suppress(psutil.Error):  # It may have ended.
      if _HARNESS in child.cmdline() and 'python' in child.name():
        found[child] = sum(child.cpu_times()[:2])
  return found


def _kill_a_busy_worker(process):
  """Kill a worker that is at work; return whether there was one."""
  while process.poll() is None:
    for worker, seconds in _workers(process).items():
      if seconds > _BUSY_SECONDS:
        worker.kill()
        return True
    time.sleep(0.1)
  return False


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_make_the_same_records(raw, plain, tmp_path):
  command = [*_PREPARE, *_flags(raw, tmp_path), *_WORKERS]
  process = subprocess.Popen(
    command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
  )
  seen = 0
  while process.poll() is None:
    seen = max(seen, len(_workers(process)))
    time.sleep(0.1)
  assert process.returncode == 0
  assert seen == 2
  assert _records(tmp_path) == plain


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_worker_is_one_line_and_the_command_begins_anew(
  raw, plain, tmp_path
):
  command = [*_PREPARE, *_flags(raw, tmp_path), *_WORKERS]
  log = tmp_path / 'errors.txt'
  with open(log, 'w') as file:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
    assert _kill_a_busy_worker(process)
    assert process.wait(timeout=300) == 1
  line = log.read_text().strip().splitlines()[-1]
  assert 'was lost, or failed' in line
  assert 'begins anew' in line
  assert not _records(tmp_path)
  again = subprocess.run(command, capture_output=True, text=True)
  assert again.returncode == 0, again.stderr
  assert _records(tmp_path) == plain
