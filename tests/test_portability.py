"""The first commands where only what macOS and Windows have is there."""

import json
import os
import subprocess
import sys

import paths
import pytest
import raw_sets

# Every Python process imports this first, those that jobs run in, too.
_WITHOUT_LINUX = """
import os
del os.sched_getaffinity, os.fork
"""


@pytest.fixture
def python(tmp_path):
  """Runs a binary in a Python that lacks what Linux alone has."""
  (tmp_path / 'site').mkdir()
  (tmp_path / 'site' / 'sitecustomize.py').write_text(_WITHOUT_LINUX)
  search = [
    tmp_path / 'site',
    paths.TESTS / 'support',
    *filter(None, sys.path),
  ]
  environment = os.environ | {'PYTHONPATH': os.pathsep.join(map(str, search))}

  def run(name, *arguments):
    done = subprocess.run(
      [sys.executable, paths.ROOT / 'bin' / name, *map(str, arguments)],
      env=environment,
      cwd=tmp_path,
      capture_output=True,
      text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

  return run


@pytest.mark.slow
def test_the_first_steps_of_the_quickstart(python, tmp_path):
  python(
    'make_demo_data.py', '--raw_dir=raw', '--num_patients=30', '--set=retina'
  )
  python(
    'prepare_data.py',
    *('--dataset=retina', '--image_size=32'),
    *('--manual_dir=raw/retina', '--data_dir=data'),
  )
  assert (tmp_path / 'data/retina/kaggle_32/1.0.0/dataset_info.json').exists()


@pytest.mark.slow
def test_a_tiny_study_of_two_runs_at_a_time(python, tmp_path):
  raw_sets.squares(tmp_path / 'raw', count=80)
  python(
    'study.py',
    *('--table=raw/here.csv', '--images=raw', '--output_dir=study'),
    *('--label_columns=label', '--patient_column=patient', '--image_size=24'),
    *('--models=tiny_nets:net', '--inits=random', '--seeds=2', '--epochs=1'),
    *('--batch_size=8', '--num_processes=2'),
  )
  record = json.loads((tmp_path / 'study' / 'study.json').read_text())
  (candidate,) = record['candidates']
  assert candidate['model'] == 'tiny_nets:net'
