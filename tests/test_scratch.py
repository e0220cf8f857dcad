"""Files in the making: two makers at once, and makers that die."""

import pathlib
import signal
import subprocess
import sys

import pytest

from transfusion_tf import errors
from transfusion_tf import scratch
from transfusion_tf import storage

# Says when it has begun, and goes on when it is told to.
_WRITE = """
import sys
from transfusion_tf import storage
with storage.atomic_write(sys.argv[1]) as file:
  file.write(sys.argv[2] * 100_000)
  print(flush=True)
  sys.stdin.readline()
"""
_HOLD = """
import sys
from transfusion_tf import scratch
with scratch.folder(sys.argv[1]), scratch.held(sys.argv[2], 'wait'):
  print(flush=True)
  sys.stdin.readline()
"""


def _python(program, *arguments):
  process = subprocess.Popen(
    [sys.executable, '-c', program, *map(str, arguments)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  process.stdout.readline()
  return process


def test_of_two_writers_the_last_is_read(tmp_path):
  path = tmp_path / 'file'
  first, second = (_python(_WRITE, path, letter) for letter in 'ab')
  assert not path.exists()
  for process, letter in ((second, 'b'), (first, 'a')):
    process.communicate('\n')
    assert process.returncode == 0
    assert path.read_text() == letter * 100_000
  assert list(tmp_path.iterdir()) == [path]


def test_what_a_dead_writer_left_is_deleted_by_the_next(tmp_path):
  path = tmp_path / 'file[1]'
  dead, living = (_python(_WRITE, path, letter) for letter in 'ab')
  dead.kill()
  dead.wait()
  assert len(list(tmp_path.iterdir())) == 2
  storage.write_text(str(path), 'c')
  left = set(tmp_path.iterdir()) - {path}
  assert len(left) == 1  # Of the one that lives.
  living.communicate('\n')
  assert path.read_text() == 'b' * 100_000
  assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
def test_a_dead_process_holds_nothing(tmp_path, number):
  process = _python(_HOLD, tmp_path / 'made', tmp_path)
  with pytest.raises(errors.InputError, match='another process is at work'):
    with scratch.held(str(tmp_path), 'wait'):
      pass
  lock = tmp_path / scratch.LOCK
  with scratch.folder(str(tmp_path / 'made')):
    assert len(set(tmp_path.iterdir()) - {lock}) == 2
  process.send_signal(number)
  process.communicate()
  with (
    scratch.held(str(tmp_path), 'wait'),
    scratch.folder(str(tmp_path / 'made')) as folder,
  ):
    assert set(tmp_path.iterdir()) == {lock, pathlib.Path(folder)}
  assert set(tmp_path.iterdir()) == {lock}


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
  path = tmp_path / 'file'
  storage.write_text(str(path), 'before')
  with pytest.raises(ZeroDivisionError):
    with storage.atomic_write(str(path)) as file:
      file.write('half')
      1 / 0  # noqa: B018
  assert path.read_text() == 'before'
  assert list(tmp_path.iterdir()) == [path]
