"""bin/quickstart.sh and bin/venv.sh, before anything is installed."""

import os
import shutil
import subprocess
import sys

import paths
import pytest


@pytest.fixture
def clone(tmp_path):
  """A clone's bin/, where no .venv has been made."""
  shutil.copytree(paths.BIN, tmp_path / 'a clone' / 'bin')
  return tmp_path / 'a clone'


def _quickstart(clone, *arguments, cwd, **environment):
  return subprocess.run(
    ['bash', os.path.relpath(clone / 'bin' / 'quickstart.sh', cwd), *arguments],
    cwd=cwd,
    env=os.environ | environment,
    capture_output=True,
    text=True,
  )


def _python(path, version):
  """A program that says that it is some version of Python."""
  path.write_text(f'#!/bin/sh\necho {version}\n')
  path.chmod(0o755)
  return str(path)


@pytest.mark.parametrize(
  ('option', 'code'), [('--help', 0), ('-h', 0), ('--quick', 2)]
)
def test_an_option_makes_nothing(clone, tmp_path, option, code):
  found = _quickstart(clone, option, cwd=tmp_path, CDPATH='/:..')
  assert found.returncode == code
  assert found.stdout.startswith('The whole study on a small scale')
  assert 'set -' not in found.stdout
  assert [path.name for path in tmp_path.iterdir()] == ['a clone']
  assert [path.name for path in clone.iterdir()] == ['bin']


@pytest.mark.parametrize('version', ['3.10', '3.14', '2.7'])
def test_another_python_is_refused_before_anything_is_made(
  clone, tmp_path, version
):
  python = _python(tmp_path / 'python', version)
  found = _quickstart(clone, cwd=tmp_path, PYTHON=python)
  assert found.returncode == 2
  assert found.stderr == (
    f'{python} is Python {version}, and TensorFlow has wheels for 3.11 to '
    '3.13: set PYTHON to one of them\n'
  )
  assert [path.name for path in clone.iterdir()] == ['bin']


@pytest.mark.parametrize('python', ['/nope', '/bin/false'])
def test_what_is_no_python_is_one_line(clone, tmp_path, python):
  found = _quickstart(clone, cwd=tmp_path, PYTHON=python)
  assert found.returncode == 2
  assert found.stderr == f'{python} is no Python: set PYTHON to one\n'


@pytest.mark.slow
@pytest.mark.parametrize('half', ['without pip', 'without Python', 'a folder'])
def test_a_half_made_environment_is_made_again(tmp_path, half):
  if half == 'without pip':
    subprocess.run(
      [sys.executable, '-m', 'venv', '--without-pip', '.venv'],
      cwd=tmp_path,
      check=True,
    )
  else:
    (tmp_path / '.venv' / 'bin').mkdir(parents=True)
  if half == 'without Python':
    (tmp_path / '.venv' / 'bin' / 'python').symlink_to('/nope')
  found = subprocess.run(
    [
      'bash',
      '-c',
      f'set -euo pipefail; source "{paths.BIN}/venv.sh"; ensure_pip;'
      '.venv/bin/python -m pip --version',
    ],
    cwd=tmp_path,
    env=os.environ | {'PYTHON': sys.executable},
    capture_output=True,
    text=True,
  )
  assert found.returncode == 0, found.stderr
  assert str(tmp_path) in found.stdout
