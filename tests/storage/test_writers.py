"""Who may write to a run in a bucket, and what breaks on the way."""

import json
import random
import signal
import time

import bucket_runs
import buckets
import processes
import pytest
import runs

from transfusion_tf import lease
from transfusion_tf import stop_signals

_NO_LIMIT = pytest.mark.timeout(0)


def _lease(bucket, name, token, age=0.0, **changes):
  record = {
    **{'host': 'elsewhere', 'pid': 7, 'machine': 'another', 'started': 1},
    **{'held': True, 'time': time.time() - age},
  }
  path = f'{name}/{lease.FOLDER}/{token}.json'
  bucket.write(path, json.dumps(record | changes).encode())
  return path


@pytest.mark.slow
def test_a_second_writer_is_refused(bucket, bucket_data, train):
  """On this machine and on another, until it is dead."""
  name = 'runs/two'
  long = bucket_runs.experiment(bucket_data, train__train_steps=100_000)
  first = train(long, name)
  processes.wait_for(lambda: len(bucket_runs.rows(bucket, name)) > 0, first)
  second = train(long, name)
  assert second.wait() == 2
  message = second.log.splitlines()[-1]
  assert f'another process is training here, number {first.pid}' in message
  assert 'try again in' in message
  assert len(bucket_runs.leases(bucket, name)) == 1

  # One that took over: the first stops at its next checkpoint.
  (mine,) = bucket_runs.leases(bucket, name)
  bucket.delete(mine)
  theirs = _lease(bucket, name, 'theirs')
  assert first.wait() == 1
  assert 'another process has taken over' in first.log.splitlines()[-1]
  assert bucket_runs.leases(bucket, name) == [theirs]
  before = bucket.names(name)
  third = train(long, name)
  assert third.wait() == 2
  assert 'number 7 of elsewhere' in third.log.splitlines()[-1]
  assert bucket.names(name) == before

  half = f'{name}/checkpoints/step-09999999/checkpoint.data-00000-of-00001'
  bucket.write(half, b'an upload that was killed')
  _lease(bucket, name, 'theirs', age=1e4)
  fourth = train(long, name)
  processes.wait_for(lambda: 'continuing from step' in fourth.log, fourth)
  assert theirs not in bucket_runs.leases(bucket, name)
  assert half not in bucket.names(name)
  fourth.kill(signal.SIGTERM)
  assert fourth.wait() == stop_signals.EXIT_CODE
  assert not bucket_runs.leases(bucket, name)


def test_of_many_that_come_at_once_one_gets_a_folder(bucket, server, tmp_path):
  script, release = tmp_path / 'claim.py', tmp_path / 'release'
  script.write_text(_CLAIM)
  claimants = [
    processes.Process(
      server,
      script,
      ['gs://bucket/claimed', release],
      tmp_path / f'{number}.log',
      bucket.environment,
    )
    for number in range(6)
  ]
  processes.wait_for(lambda: sum(c.is_alive() for c in claimants) == 1)
  release.touch()
  assert sorted(c.wait() for c in claimants) == [0, 2, 2, 2, 2, 2]
  assert not bucket_runs.leases(bucket, 'claimed')


@pytest.mark.slow
def test_a_folder_is_deleted_though_a_request_fails(bucket, server, tmp_path):
  """Each of them in its turn, and files below other ones."""
  script = tmp_path / 'remove.py'
  script.write_text(
    'import sys\n'
    'from transfusion_tf import storage\n'
    'storage.remove_folder(sys.argv[1])\n'
  )
  number = 0
  while True:
    folder = f'deleted{number}'
    names = [f'{folder}/a', f'{folder}/b/c', f'{folder}/b/d/e']
    for name in names:
      bucket.write(name, b'content')
    with bucket.faulty(1.0, kinds=('503',), only=number) as faults:
      process = processes.Process(
        server,
        script,
        [f'gs://bucket/{folder}'],
        tmp_path / f'{number}.log',
        bucket.environment,
      )
      assert process.wait() == 0, process.log
    assert not bucket.names(f'{folder}/')
    if faults.count <= number:
      break
    number += 1
  assert number >= 6  # A list for each level, and the deletions.


_CLAIM = """
import os, sys, time
from transfusion_tf import errors, lease
try:
  with lease.held(sys.argv[1]):
    while not os.path.exists(sys.argv[2]):
      time.sleep(.1)
except errors.InputError as error:
  print(error)
  sys.exit(2)
"""


_EXPORT = """
import os, sys
from transfusion_tf.export import export_folder
from transfusion_tf.export.serving import versions
folder = versions.folder(sys.argv[1], 'next')
with export_folder.atomic(folder, False) as local:
  for name in (
    *('saved_model.pb', 'model_card.md', 'fingerprint.pb', 'model.keras'),
    *('variables/variables.index', 'zzz.txt', 'assets.extra/requests'),
  ):
    path = os.path.join(local, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as file:
      file.write(name)
print(versions.newest(sys.argv[1]))
"""


def test_a_version_is_complete_by_what_is_written_last(
  bucket, server, tmp_path
):
  """No network is found in it before its files are there; the card ends it."""
  bucket.write('served/1/variables/variables.index', b'half an upload')
  script = tmp_path / 'export.py'
  script.write_text(_EXPORT)
  log = tmp_path / 'log'
  before = len(bucket.requests)
  process = processes.Process(
    server, script, ['gs://bucket/served'], log, bucket.environment
  )
  assert process.wait() == 0, process.log
  assert 'gs://bucket/served/2' in process.log  # Not the half of 1.
  names = [request.name for request in bucket.requests[before:]]
  uploads = [name for name in names if name.startswith('upload served/2/')]
  assert len(uploads) == 7
  assert uploads[-2:] == [
    'upload served/2/saved_model.pb',
    'upload served/2/model_card.md',
  ]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
  ('rate', 'kinds', 'kills'),
  [
    (0.05, ('503', '429', 'refused', 'lost', 'half'), 1),
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
  experiment = bucket_runs.experiment(bucket_data)
  with bucket.faulty(rate, kinds=kinds, seed=kills):
    while f'{name}/result.json' not in bucket.names(name):
      process = train(experiment, name)
      if kills:
        processes.wait_for(
          lambda p=process: 'step ' in p.log or not p.is_alive()
        )
        time.sleep(draw.uniform(0, 8))
        kills -= process.is_alive()
        process.kill()
        process.wait()
      else:
        assert process.wait(900) == 0, process.log
  broken = [r for r in bucket.requests if r.fault]
  assert {r.fault for r in broken} == set(kinds)
  runs.assert_same(bucket.download(name, tmp_path / 'copy'), undisturbed)
