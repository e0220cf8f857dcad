"""Commands whose output goes nowhere, in Pythons that were told to differ."""

import os
import subprocess
import sys

import paths
import pytest

_TRAIN = paths.BIN / 'train.py'
_FULL = os.path.exists('/dev/full')


def _shell(line, **environment):
  """`sh` with PYTHON and the command in its environment."""
  return subprocess.run(
    ['sh', '-c', line],
    env=os.environ
    | {'PYTHON': sys.executable, 'TRAIN': str(_TRAIN)}
    | environment,
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize('options', ['-OO', '-P', '-I', '-OO -I'])
def test_other_pythons_show_the_help(options):
  found = _shell(f'"$PYTHON" {options} "$TRAIN" --help')
  assert found.returncode == 0, found.stderr
  assert '--run_dir=DIR' in found.stdout


@pytest.mark.parametrize(
  ('streams', 'code'),
  [
    ('--help >&-', 0),
    ('--help >&- 2>&- <&-', 0),
    ('--color=blue 2>&-', 2),
    ('--color=blue >&- 2>&- <&-', 2),
    pytest.param(
      '--color=blue 2>/dev/full',
      2,
      marks=pytest.mark.skipif(not _FULL, reason='Linux alone has it'),
    ),
  ],
)
def test_what_nobody_reads_changes_no_exit_code(streams, code):
  found = _shell(f'"$PYTHON" "$TRAIN" {streams}')
  assert (found.returncode, found.stdout, found.stderr) == (code, '', '')


@pytest.mark.skipif(not _FULL, reason='Linux alone has it')
def test_output_to_a_full_disk_is_one_line():
  found = _shell('"$PYTHON" "$TRAIN" --help >/dev/full')
  assert found.returncode == 1
  assert found.stderr == (
    'train.py: No space left on device; make room, and the same '
    'command continues\n'
  )


@pytest.mark.slow
@pytest.mark.parametrize('streams', ['>&- 2>&- <&-', '2>&-', '>/dev/full'])
def test_so_it_is_with_tensorflow(streams):
  found = _shell(f'"$PYTHON" "$TRAIN" --check_devices {streams}')
  assert found.returncode == (1 if 'full' in streams else 0)
  assert found.stderr.count('\n') == found.returncode


def test_names_that_a_terminal_has_no_letters_for():
  """The name of the run is printed before anything is opened."""
  code = 'from transfusion_tf.cli import streams; streams.prepare(); print("ß")'
  found = subprocess.run(
    [sys.executable, '-c', code],
    env=os.environ
    | {'PYTHONIOENCODING': 'ascii', 'PYTHONPATH': os.pathsep.join(sys.path)},
    capture_output=True,
    text=True,
  )
  assert found.stdout == '\\xdf\n', found.stderr
