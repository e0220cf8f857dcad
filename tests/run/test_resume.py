"""A run that is stopped, however it is, ends as if nothing had happened."""

import random
import signal
import time

import prepared_sets
import processes
import pytest
import runs

from transfusion_tf import run_folder
from transfusion_tf import stop_signals

_LEAVES = 30  # Seconds from SIGTERM to the end of the process.


def _experiment(data_dir, **changes):
  """Steps that are not all evaluated, evaluations that are not all saved."""
  return prepared_sets.experiment(
    data_dir,
    train__train_steps=60,
    train__eval_every=6,
    train__patience=50,
    train__deterministic=True,
    runtime__checkpoint_every=4,
    runtime__steps_per_call=1,
    **changes,
  )


@pytest.fixture(scope='module')
def undisturbed(data_dir, server, tmp_path_factory):
  """The folder of a run that nothing happened to."""
  run_dir = tmp_path_factory.mktemp('runs') / 'undisturbed'
  processes.train(server, _experiment(data_dir), run_dir).succeed()
  return run_dir


def _has_begun(process):
  return 'step 0' in process.log or 'continuing' in process.log


@pytest.mark.parametrize(
  'kills',
  [2, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(0)])],
)
def test_killed_at_any_moment(undisturbed, data_dir, server, tmp_path, kills):
  """Bitwise the same weights, slots, counters, metrics and scores."""
  draw = random.Random(kills)
  run_number = 0
  while kills or run_number == 0:
    run_dir = tmp_path / f'run{run_number}'
    while run_folder.result(str(run_dir)) is None:
      process = processes.train(server, _experiment(data_dir), run_dir)
      if kills:
        processes.wait_for(lambda p=process: _has_begun(p) or not p.is_alive())
        time.sleep(draw.uniform(0, 3))
        if process.is_alive():  # It may have finished by now.
          kills -= 1
          process.kill()
        process.wait()
      else:
        process.succeed()
    runs.assert_same(run_dir, undisturbed)
    run_number += 1


def test_sigterm_saves_leaves_and_continues(
  undisturbed, data_dir, server, tmp_path
):
  """Meanwhile, another process on the same folder is refused."""
  run_dir = tmp_path / 'run'
  process = processes.train(server, _experiment(data_dir), run_dir)
  processes.wait_for(lambda: len(runs.rows(run_dir)) > 2, process)
  before = runs.steps(run_dir)[-1]
  process.kill(signal.SIGSTOP)  # It must not finish meanwhile.
  again = processes.train(server, _experiment(data_dir), run_dir, name='again')
  assert again.wait() == 2
  assert 'another process is training here' in again.log.splitlines()[-1]
  process.kill(signal.SIGCONT)
  process.kill(signal.SIGTERM)
  assert process.wait(_LEAVES) == stop_signals.EXIT_CODE
  assert 'same command continues' in process.log
  assert runs.steps(run_dir)[-1] >= before
  processes.train(server, _experiment(data_dir), run_dir).succeed()
  runs.assert_same(run_dir, undisturbed)
