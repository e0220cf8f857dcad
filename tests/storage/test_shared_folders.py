"""A folder that the machines of a cluster share has one writer at a time."""

import json
import time

import prepared_sets
import pytest

from transfusion_tf import errors
from transfusion_tf import lease
from transfusion_tf import run_folder


@pytest.fixture
def shared(monkeypatch):
  monkeypatch.setenv(run_folder.SHARED, '1')


def _hold_elsewhere(run_dir, seconds_ago=0.0):
  """Write the lease of a process of another machine, as it leaves it."""
  folder = run_dir / lease.FOLDER
  folder.mkdir(parents=True)
  record = {'host': 'other', 'pid': 7, 'machine': '', 'started': 1}
  record |= {'held': True, 'time': time.time() - seconds_ago}
  (folder / '0123.json').write_text(json.dumps(record))


def test_another_machine_keeps_its_run(shared, data_dir, tmp_path):
  """Whose locks this one may not see."""
  _hold_elsewhere(tmp_path / 'run')
  experiment = prepared_sets.experiment(data_dir)
  with pytest.raises(errors.InUseError, match='number 7 of other'):
    with run_folder.claim(experiment, str(tmp_path / 'run')):
      pass


def test_a_lost_machine_leaves_it_in_the_end(shared, data_dir, tmp_path):
  _hold_elsewhere(tmp_path / 'run', seconds_ago=600)
  experiment = prepared_sets.experiment(data_dir)
  with run_folder.claim(experiment, str(tmp_path / 'run')) as check:
    check()
    (ours,) = (tmp_path / 'run' / lease.FOLDER).iterdir()
    ours.unlink()  # It overslept, and another took over.
    with pytest.raises(errors.RunError, match='taken over'):
      check()


def test_one_machine_needs_no_lease(data_dir, tmp_path):
  experiment = prepared_sets.experiment(data_dir)
  with run_folder.claim(experiment, str(tmp_path / 'run')):
    assert not (tmp_path / 'run' / lease.FOLDER).exists()
