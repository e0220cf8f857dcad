"""Studies on a cluster end as those of one machine do, whatever dies."""

import csv
import os
import pathlib

import prepared_sets
import processes
import pytest
import ray_nodes

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
  return (
    *('--dataset=retina', f'--data_dir={sets}', f'--output_dir={root}'),
    *(f'--pretrain_on={sets}/first', *_FLAGS, *flags),
  )


@pytest.fixture(scope='module')
def local(server, sets, tmp_path_factory):
  """The study as one machine makes it, a thread a run."""
  root = tmp_path_factory.mktemp('local') / 'study'
  flags = _command(sets, root, f'--num_processes={os.cpu_count()}')
  done = processes.call(server, 'study.py', *flags)
  assert not done.returncode, done.stderr
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
def test_a_cluster_makes_the_same_study(call, nodes, sets, local, tmp_path):
  root = tmp_path / 'study'
  done = call('study.py', *_command(sets, root, f'--cluster={nodes.address}'))
  assert not done.returncode, done.stderr
  assert 'Cluster: ' in done.stdout
  assert _tables(root) == _tables(local)
  assert 'when training ended' in (root / 'status.html').read_text()
