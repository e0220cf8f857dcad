"""Jobs on a cluster of Ray: a real one, of two nodes with one core each."""

import functools
import os
import pathlib
import random
import threading
import time

import cluster_jobs
import pytest
import ray_nodes

from transfusion_tf import errors
from transfusion_tf.study import cluster
from transfusion_tf.study import cluster_attempt
from transfusion_tf.study import cluster_messages
from transfusion_tf.study import cluster_pending
from transfusion_tf.study import cluster_room
from transfusion_tf.study import executors
from transfusion_tf.study import run_needs

_JOBS = ('cluster_jobs:nap',)  # Their module travels.


@pytest.fixture(scope='module')
def nodes():
  with ray_nodes.begun() as nodes:
    yield nodes


@pytest.fixture(scope='module')
def connected(nodes, tmp_path_factory):
  """An executor, on the cluster of all tests."""
  root = tmp_path_factory.mktemp('study')
  study = cluster.Study(str(root), [str(root)], _JOBS)
  with cluster.Cluster(nodes.address, study) as executor:
    yield executor


def _job(function, folder, key, *arguments, size=0.0, **needs):
  return executors.Job(
    key,
    functools.partial(function, str(folder), key, *arguments),
    group='group',
    needs=run_needs.Needs(**needs),
    size=size,
  )


def _begins(folder):
  """Return the jobs of a folder in the order in which they began."""
  paths = pathlib.Path(folder).iterdir()
  return [p.name for p in sorted(paths, key=lambda p: p.read_text().split()[1])]


def test_the_longest_begin_first(connected, tmp_path):
  sizes = {'a': 1, 'b': 5, 'c': 3, 'd': 4, 'e': 2}
  warm = tmp_path / 'warm'
  warm.mkdir()
  dict(connected.run([_job(cluster_jobs.nap, warm, key, 1.0) for key in 'ab']))
  tmp_path = tmp_path / 'naps'
  tmp_path.mkdir()
  jobs = [
    _job(cluster_jobs.nap, tmp_path, key, 0.3, size=size)
    for key, size in sizes.items()
  ]
  began = []
  ended = dict(connected.run(jobs, began=lambda key, _: began.append(key)))
  assert ended == dict.fromkeys(sizes, '')
  assert sorted(began) == sorted(sizes)
  # The first two begin together.
  assert set(_begins(tmp_path)[:2]) == {'b', 'd'}
  assert _begins(tmp_path)[4] == 'a'


def test_a_group_shares_until_another_comes(connected, tmp_path):
  jobs = [
    executors.Job(
      key,
      functools.partial(cluster_jobs.share, str(tmp_path), key),
      group=key[0],
    )
    for key in ('a0', 'a1', 'a2', 'b0', 'b1', 'b2')
  ]
  ended = dict(connected.run(jobs, list))
  assert ended == {job.key: '' for job in jobs}
  shared = {p.name: p.read_text().split() for p in tmp_path.iterdir()}
  for key, before in shared.items():
    assert {each[0] for each in before} == {key[0]}
  assert max(map(len, shared.values())) > 1


def test_what_a_job_raises_is_its_end(connected, tmp_path):
  jobs = [
    _job(cluster_jobs.fail, tmp_path, 'bad'),
    _job(cluster_jobs.nap, tmp_path, 'good'),
  ]
  ended = dict(connected.run(jobs))
  assert ended == {'bad': 'bad cannot go on', 'good': ''}
  assert (tmp_path / 'bad').read_text().count('begin') == 1


def test_a_process_that_dies_is_tried_three_times(connected, tmp_path):
  jobs = [
    _job(cluster_jobs.die, tmp_path, 'once', 1),
    _job(cluster_jobs.die, tmp_path, 'always', 9),
  ]
  ended = dict(connected.run(jobs))
  assert ended['once'] == ''
  assert 'died 3 times, the last time: it was killed on' in ended['always']
  assert (tmp_path / 'always').read_text().count('begin') == 3


def test_what_is_not_done_in_time_is_saved_and_no_failure(connected, tmp_path):
  jobs = [_job(cluster_jobs.saved, tmp_path, key) for key in 'abcd']
  began = time.monotonic()
  assert not list(connected.run(jobs, until=began + 30))
  assert time.monotonic() < began + 61
  texts = [path.read_text() for path in tmp_path.iterdir()]
  assert texts and all('saved' in text for text in texts)
  assert dict(connected.run([_job(cluster_jobs.nap, tmp_path, 'later')]))


def test_a_study_that_is_left_stops_its_jobs(connected, tmp_path):
  jobs = [_job(cluster_jobs.saved, tmp_path, 'runs')]
  jobs += [_job(cluster_jobs.nap, tmp_path, 'short', size=1.0)]
  running = connected.run(jobs)
  assert next(running) == ('short', '')
  ray_nodes.wait_for((tmp_path / 'runs').exists)
  running.close()
  assert 'saved' in (tmp_path / 'runs').read_text()


def test_a_lost_node_costs_no_job(nodes, connected, tmp_path):
  node = nodes.add()
  jobs = [_job(cluster_jobs.nap, tmp_path, str(n), 4.0) for n in range(3)]

  def kill():
    ray_nodes.wait_for(lambda: len(os.listdir(tmp_path)) == 3)
    nodes.kill(node)

  ray_nodes.wait_for(lambda: _machines(connected, tmp_path) == 3)
  killer = threading.Thread(target=kill)
  killer.start()
  assert dict(connected.run(jobs)) == {'0': '', '1': '', '2': ''}
  killer.join()
  texts = [(tmp_path / str(n)).read_text() for n in range(3)]
  assert sorted(text.count('begin') for text in texts) == [1, 1, 2]
  assert all(text.count('end') == 1 for text in texts)


def _machines(connected, folder):
  """Return the number of machines, of which a job hears."""
  dict(connected.run([_job(cluster_jobs.nap, folder / '..', 'heard')]))
  return connected.at_a_time


def test_nothing_answers(tmp_path):
  with pytest.raises(errors.InputError, match='no head of a Ray cluster'):
    cluster.Cluster('127.0.0.1:9', cluster.Study(str(tmp_path)))
  with pytest.raises(errors.InputError, match='HOST:PORT'):
    cluster.Cluster('ray://head:10001', cluster.Study(str(tmp_path)))
  assert not list(tmp_path.iterdir())


def test_a_machine_without_the_data_is_refused(nodes, tmp_path):
  study = cluster.Study(str(tmp_path), ['/nowhere/data'])
  with pytest.raises(errors.InputError) as refused:
    cluster.Cluster(nodes.address, study)
  assert '\n' not in str(refused.value)
  assert 'it does not see the data in /nowhere/data' in str(refused.value)


def test_a_machine_with_another_version_is_refused(nodes, tmp_path):
  (tmp_path / 'tensorflow-1.0.dist-info').mkdir()
  metadata = 'Metadata-Version: 2.1\nName: tensorflow\nVersion: 1.0\n'
  (tmp_path / 'tensorflow-1.0.dist-info' / 'METADATA').write_text(metadata)
  node = nodes.add(env_vars={'PYTHONPATH': str(tmp_path)})
  try:
    with pytest.raises(errors.InputError, match='it has tensorflow 1'):
      cluster.Cluster(nodes.address, cluster.Study(str(tmp_path)))
  finally:
    nodes.kill(node)


def _node(name, cpus=1, gpus=0):
  return cluster_room.Node(name, name, {'CPU': cpus, 'GPU': gpus})


def test_a_large_job_is_not_passed_by_for_ever():
  nodes = [_node('a', 4), _node('b', 1)]
  small, large = run_needs.Needs(), run_needs.Needs(cpus=4)
  nodes[0].take(small.amounts)
  assert cluster_room.place([large, small], nodes) == (1, [nodes[1]])
  nodes[1].take(small.amounts)
  assert cluster_room.place([large, small], nodes) is None
  nodes[0].give_back(small.amounts)
  assert cluster_room.place([large, small], nodes) == (0, [nodes[0]])


def test_a_run_of_whole_machines_waits_for_empty_ones():
  nodes = [_node(name, 2) for name in 'abc']
  both, one = run_needs.Needs(nodes=2), run_needs.Needs()
  nodes[0].take(one.amounts)
  number, chosen = cluster_room.place([both, one], nodes)
  assert (number, chosen) == (0, nodes[1:])
  assert cluster_room.whole(chosen) == {'CPU': 2}
  nodes[1].take(one.amounts)
  assert cluster_room.place([both], nodes) is None


def test_schedules_never_exceed_a_machine():
  """Of any jobs, on any machines, ending in any order."""
  draw = random.Random(0)
  for _ in range(1000):
    nodes = [_node(str(n), draw.randint(1, 4), 2) for n in range(3)]
    waiting = [
      run_needs.Needs(draw.randint(1, 4), draw.choice([0, 0.25, 0.5, 1, 2]))
      for _ in range(20)
    ]
    waiting = [w for w in waiting if any(n.holds(w.amounts) for n in nodes)]
    running = []
    while waiting or running:
      while found := cluster_room.place(waiting, nodes):
        number, (node,) = found
        needs = waiting.pop(number)
        node.take(needs.amounts)
        running.append((needs, node))
      for node in nodes:
        for name, used in node.used.items():
          assert used <= node.amounts[name]
      assert running  # Something always goes on.
      needs, node = running.pop(draw.randrange(len(running)))
      node.give_back(needs.amounts)


def _pending():
  needs = run_needs.ONE_CORE
  work = cluster_messages.Work('key', b'', 'group', needs, 0.0)
  return cluster_pending.Pending(work)


def test_a_lost_machine_is_no_fault_of_a_job():
  pending = _pending()
  for _ in range(100):
    assert pending.conclude(cluster_pending.LOST, '', 'node') is None
    assert pending.conclude(cluster_attempt.STOPPED, '', 'node') is None
  for node in 'ab':
    assert pending.conclude(cluster_pending.CRASHED, 'killed', node) is None
  pending.forgive('a')  # Its machine was dying.
  assert pending.conclude(cluster_pending.CRASHED, 'killed', 'c') is None
  assert '3 times' in pending.conclude(cluster_pending.CRASHED, 'killed', 'd')


@pytest.mark.slow
def test_a_lost_head_is_told_within_a_minute_or_so(tmp_path):
  study = cluster.Study(str(tmp_path), (), _JOBS)
  with ray_nodes.begun(1) as nodes:
    with cluster.Cluster(nodes.address, study) as executor:
      jobs = [_job(cluster_jobs.nap, tmp_path, 'long', 300.0)]
      running = executor.run(jobs, began=lambda *_: nodes.kill_head())
      began = time.monotonic()
      with pytest.raises(errors.RunError, match='the same command continues'):
        list(running)
  assert time.monotonic() < began + 100
