"""Runs in processes of their own: how they start, and how they end."""

import subprocess
import sys
import time

import prepared_sets
import pytest

from transfusion_tf import config
from transfusion_tf import errors
from transfusion_tf import run_folder

_START = """
import sys
from transfusion_tf.study import process_pool
"""
_LOOK = """
with process_pool._context().Pool(1) as pool:
  print(pool.apply(eval, ("'tensorflow' in __import__('sys').modules",)))
"""
_TRAIN = """
import functools
from transfusion_tf import config
from transfusion_tf.run import train_and_evaluate
experiment = config.load(sys.argv[1])
job = functools.partial(train_and_evaluate.run, experiment, sys.argv[2])
print(list(process_pool.each({'run': job}, 2)))
"""


def _python(program, *arguments):
  return subprocess.Popen(
    [sys.executable, '-c', _START + program, *arguments],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def test_processes_start_with_tensorflow_imported():
  """Or each run would take seconds longer, and nobody would say so."""
  printed, complaints = _python(_LOOK).communicate()
  assert printed.strip() == 'True'
  assert not complaints


def test_a_killed_study_leaves_no_run_that_holds_its_folder(data_dir, tmp_path):
  run_dir = tmp_path / 'run'
  experiment = prepared_sets.experiment(
    data_dir, train__train_steps=100_000, train__eval_every=5
  )
  config.save(experiment, tmp_path / 'config.json')
  study = _python(_TRAIN, str(tmp_path / 'config.json'), str(run_dir))
  while not (run_dir / run_folder.METRICS).exists():
    assert study.poll() is None, study.stderr.read()
    time.sleep(0.1)
  with pytest.raises(errors.InputError, match='another process'):
    _claim(experiment, run_dir)
  study.kill()
  study.wait()
  for _ in range(50):
    time.sleep(0.1)
    try:
      return _claim(experiment, run_dir)
    except errors.InputError:
      continue
  raise AssertionError('the run goes on')


def _claim(experiment, run_dir):
  with run_folder.claim(experiment, str(run_dir)):
    pass
