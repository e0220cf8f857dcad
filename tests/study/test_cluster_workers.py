"""Whole machines and parts of GPUs: what a cluster gives, and never exceeds."""

import collections
import functools
import os
import pathlib
import random
import subprocess
import sys

import cluster_jobs
import prepared_sets
import processes
import pytest
import ray_nodes
import runs

from transfusion_tf import flagfile
from transfusion_tf.run import train_and_evaluate
from transfusion_tf.study import cluster
from transfusion_tf.study import executors
from transfusion_tf.study import run_needs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_THREADS = {'TF_NUM_INTRAOP_THREADS': '1'}


def test_a_run_of_whole_machines_ends_as_one_begun_by_hand(data_dir, tmp_path):
  """Two workers, whose addresses the cluster gives them, on a core each."""
  experiment = prepared_sets.experiment(
    data_dir, runtime__strategy='multi_worker', train__lanes=2
  )
  workers = [
    _by_hand(experiment, tmp_path / 'hand', env) for env in processes.cluster(2)
  ]
  assert [worker.wait(300) for worker in workers] == [0, 0]

  study = cluster.Study(str(tmp_path), [str(data_dir)])
  run = functools.partial(
    train_and_evaluate.run, experiment, str(tmp_path / 'ray')
  )
  with ray_nodes.begun() as nodes:
    with cluster.Cluster(nodes.address, study) as executor:
      needs = executor.needs(experiment)
      assert needs.nodes == 2
      jobs = [executors.Job('ray', run, needs=needs)]
      assert list(executor.run(jobs)) == [('ray', '')]
  runs.assert_same(tmp_path / 'hand', tmp_path / 'ray')


def _by_hand(experiment, run_dir, environment):
  lines = flagfile.lines(experiment, 'demo_retina', str(run_dir))
  return subprocess.Popen(
    [sys.executable, processes.TRAIN, *lines.splitlines()],
    env=os.environ | _THREADS | environment,
  )


def test_jobs_never_have_more_of_a_gpu_than_there_is(tmp_path):
  """Pretended ones: each process says which it was shown, and when."""
  draw = random.Random(0)
  jobs = []
  for number in range(24):
    gpus = draw.choice([0.25, 0.25, 0.5, 0.5, 1.0, 2.0])
    key = f'{number}-{gpus}'
    show = functools.partial(cluster_jobs.show_gpus, str(tmp_path), key)
    needs = run_needs.Needs(gpus=gpus)
    jobs.append(executors.Job(key, show, needs=needs, size=draw.random()))
  draw.shuffle(jobs)
  study = cluster.Study(str(tmp_path), (), ('cluster_jobs:show_gpus',))
  with ray_nodes.begun(2, num_cpus=8, num_gpus=2) as nodes:
    with cluster.Cluster(nodes.address, study) as executor:
      failed = {key: error for key, error in executor.run(jobs) if error}
  assert not failed
  assert _most_at_a_time(tmp_path) <= 1.0


def _most_at_a_time(folder) -> float:
  """Return the most that jobs had of one GPU at a time."""
  changes = collections.defaultdict(list)
  for path in pathlib.Path(folder).glob('*-*'):
    begin, end, node, *gpus = path.read_text().split()
    wanted = float(path.name.partition('-')[2])
    assert len(gpus) == max(1, wanted)
    for gpu in gpus:
      changes[node, gpu] += [
        (float(begin), min(wanted, 1.0)),
        (float(end), -min(wanted, 1.0)),
      ]
  assert len(changes) == 4  # All GPUs of both nodes.
  most = 0.0
  for of_gpu in changes.values():
    used = 0.0
    for _, change in sorted(of_gpu):
      used += change
      most = max(most, used)
  return most
