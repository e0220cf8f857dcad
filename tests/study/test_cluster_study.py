"""Studies on a cluster end as those of one machine do, whatever dies."""

import contextlib
import csv
import functools
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import cluster_jobs
import paths
import prepared_sets
import pytest
import ray_nodes

from transfusion_tf.study import cluster
from transfusion_tf.study import executors

_FLAGS = (
  *('--recipe=demo_retina', '--image_size=32', '--epochs=3', '--seeds=2'),
  *('--models=cbr_tiny', '--inits=random,transfer,mean_var'),
  *('--pretrain_recipe=demo_retina', '--pretrain_epochs=2', '--patience=0'),
)
_MEASURED = 'CPU ms'  # The time for one image, in study.csv.


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
  folder = tmp_path_factory.mktemp('sets')
  prepared_sets.write_spots(folder)
  prepared_sets.write_spots(folder, 'first', train=64)
  return folder


@pytest.fixture(scope='module')
def nodes():
  with ray_nodes.begun() as nodes:
    yield nodes


def _command(sets, root, *flags):
  """Return a command that sees one core."""
  core = str(min(os.sched_getaffinity(0)))
  return [
    *('taskset', '-c', core, sys.executable, paths.BIN / 'study.py'),
    *('--dataset=retina', f'--data_dir={sets}', f'--output_dir={root}'),
    *(f'--pretrain_on={sets}/first', *_FLAGS, *flags),
  ]


@pytest.fixture(scope='module')
def local(sets, tmp_path_factory):
  """The study as one machine makes it, a thread a run.

  A run that is alone has all cores, here the only one that the command sees:
  rounding depends on the number of threads.
  """
  root = tmp_path_factory.mktemp('local') / 'study'
  subprocess.run(_command(sets, root, '--num_processes=2'), check=True)
  return root


def _tables(root):
  """Return every CSV and history of a study, but for what was measured."""
  root = pathlib.Path(root)
  found = {}
  for path in sorted([*root.rglob('*.csv'), *root.rglob('metrics.jsonl')]):
    text = path.read_text()
    if path.name == 'study.csv':
      rows = list(csv.DictReader(text.splitlines()))
      for row in rows:
        del row[_MEASURED]
      text = str(rows)
    found[str(path.relative_to(root))] = text
  return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_cluster_makes_the_same_study(nodes, sets, local, tmp_path):
  root = tmp_path / 'study'
  done = subprocess.run(
    _command(sets, root, f'--cluster={nodes.address}'),
    capture_output=True,
    text=True,
  )
  assert not done.returncode, done.stderr
  assert 'Cluster: ' in done.stdout
  assert _tables(root) == _tables(local)
  assert 'when training ended' in (root / 'status.html').read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_unequal_runs_keep_the_nodes_busy(nodes, tmp_path):
  """Of 24 jobs that last 1 to 8 units, in a random order."""
  draw = random.Random(0)
  seconds = {f'{n:02d}': draw.uniform(1.0, 8.0) for n in range(24)}
  study = cluster.Study(str(tmp_path), (), ('cluster_jobs:nap',))
  with cluster.Cluster(nodes.address, study) as executor:
    _naps(executor, tmp_path, {'warm': 2.0, 'warm2': 2.0})
    short = _naps(
      executor, tmp_path, dict.fromkeys(map(str, range(100, 124)), 0)
    )
    wall = _naps(executor, tmp_path, seconds)
  busy = sum(seconds.values()) / 2 / wall
  added = short * 2 / 24
  print(f'busy {busy:.1%} of {wall:.1f} s; {added:.2f} s a run added')
  assert busy >= 0.9
  assert added <= 0.5


def _naps(executor, folder, seconds):
  """Return how long jobs of so many seconds take together."""
  jobs = [
    executors.Job(
      key,
      functools.partial(cluster_jobs.nap, str(folder), key, length),
      group='naps',
      size=length,
    )
    for key, length in seconds.items()
  ]
  began = time.monotonic()
  assert dict(executor.run(jobs)) == dict.fromkeys(seconds, '')
  return time.monotonic() - began


class _Making:
  """A study that is made while what makes it dies."""

  def __init__(self, sets, root):
    self._sets, self.root = sets, root
    self._log = root.parent / f'{root.name}.log'
    self.nodes = ray_nodes.Nodes()
    self._process = None
    self.most_writers = 0

  def begin(self):
    """Begin, or continue by the same command."""
    self._process = subprocess.Popen(
      _command(
        self._sets, self.root, f'--cluster={self.nodes.address}', '--noprobes'
      ),
      stdout=self._log.open('a'),
      stderr=subprocess.STDOUT,
    )

  def go_on(self, seconds):
    """Wait, and count who writes to a run; return whether all is done."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
      if self._process.poll() is not None:
        assert self._process.returncode in (0, 1, 2), self._log.read_text()
        if not self._process.returncode:
          return True
        self.begin()  # The cluster was lost, or nodes are still to come.
      for folder in self.root.glob('*/**/leases'):
        self.most_writers = max(self.most_writers, _holders(folder))
      time.sleep(0.2)
    return False

  def kill_node(self):
    self.nodes.kill(random.choice(self.nodes.nodes))
    self.nodes.nodes.append(self.nodes.add())

  def kill_driver(self):
    """By SIGKILL, as a power cut does, or as a scheduler does."""
    self._process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM]))
    self._process.wait(150)
    self.begin()

  def kill_head(self):
    self.nodes.kill_head()
    self.nodes.close()
    self.nodes = ray_nodes.Nodes()
    self._process.wait(150)
    self.begin()

  def close(self):
    self._process.kill()
    self.nodes.close()


def _holders(folder):
  """Return how many living processes hold a run."""
  count = 0
  for path in folder.glob('*.json'):
    with contextlib.suppress(OSError, ValueError):
      lease = json.loads(path.read_text())
      count += lease['held'] and os.path.exists(f'/proc/{lease["pid"]}')
  return count


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_whatever_dies_the_end_is_the_same(sets, local, tmp_path):
  draw = random.Random(0)
  deaths = ['kill_node'] * 10 + ['kill_driver'] * 5 + ['kill_head'] * 2
  draw.shuffle(deaths)
  number = 0
  while deaths:
    number += 1
    making = _Making(sets, tmp_path / f'study{number}')
    try:
      making.begin()
      while not making.go_on(draw.uniform(5, 40)):
        if deaths:
          getattr(making, deaths.pop())()
    finally:
      making.close()
    expected = {
      name: text
      for name, text in _tables(local).items()
      if not name.startswith('probes')
    }
    assert _tables(making.root) == expected
    assert making.most_writers == 1
  print(f'{number} studies')
