"""Binaries in real processes, for tests.

Importing TensorFlow takes six seconds, so one process does that and forks;
each copy then becomes `python SCRIPT ARGUMENTS`, until the interpreter ends.
"""

import contextlib
import gc
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time

import paths

from transfusion_tf import flagfile
from transfusion_tf import startup

TRAIN = paths.ROOT / 'bin' / 'train.py'
OBSERVED = paths.TESTS / 'support' / 'observed_run.py'
_PATHS = {'PYTHONPATH': os.pathsep.join(sys.path)}


class Server:
  """What forks."""

  def __init__(self):
    self._process = subprocess.Popen(
      [sys.executable, __file__],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      text=True,
      env=os.environ | _PATHS,
    )

  def ask(self, **request):
    self._process.stdin.write(json.dumps(request) + '\n')
    self._process.stdin.flush()
    return json.loads(self._process.stdout.readline())

  def close(self) -> None:
    self._process.stdin.close()
    self._process.wait()


class Interpreters:
  """In place of `Server`: each process begins with the start of Python."""

  def __init__(self):
    self._running = {}

  def ask(self, pid=None, **request):
    if pid is not None:
      return self._running[pid].poll()
    process = subprocess.Popen(
      [sys.executable, request['script'], *request['arguments']],
      cwd=request['cwd'],
      env=os.environ | _PATHS | request['env'],
      stdin=subprocess.DEVNULL,
      stdout=open(request['log'], 'a'),
      stderr=open(request['errors'], 'a'),
      start_new_session=True,
    )
    self._running[process.pid] = process
    return process.pid


class Process:
  """A script that runs; what it prints is in `log`."""

  def __init__(
    self, server, script, arguments, log, env=None, errors=None, cwd='.'
  ):
    self._server = server
    self._log = pathlib.Path(log)
    self._errors = pathlib.Path(errors or log)
    for path in (self._log, self._errors):
      path.write_text('')
    self.pid = server.ask(
      script=str(script),
      arguments=[str(argument) for argument in arguments],
      log=str(log),
      errors=str(self._errors),
      env=env or {},
      cwd=os.path.abspath(cwd),
    )

  @property
  def log(self) -> str:
    return self._log.read_text()

  @property
  def complaints(self) -> str:
    """What it writes to stderr."""
    return self._errors.read_text()

  def kill(self, number=signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):  # It may have ended.
      os.kill(self.pid, number)

  def is_alive(self) -> bool:
    return self._code() is None

  def wait(self, seconds: float = 240) -> int:
    """The exit code; fails, and kills, if it takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while (code := self._code()) is None:
      if time.monotonic() > end:
        self.kill()
        raise AssertionError(f'still running after {seconds} s:\n{self.log}')
      time.sleep(0.05)
    return code

  def succeed(self) -> None:
    code = self.wait()
    assert code == 0, self.log

  def _code(self):
    if not hasattr(self, '_exit_code'):
      code = self._server.ask(pid=self.pid)
      if code is None:
        return None
      self._exit_code = code
    return self._exit_code


def call(
  server, name, *arguments, cwd='.', env=None
) -> subprocess.CompletedProcess:
  """`python bin/NAME ARGUMENTS`, to its end."""
  return call_script(server, paths.BIN / name, *arguments, cwd=cwd, env=env)


def call_script(
  server, script, *arguments, cwd='.', env=None
) -> subprocess.CompletedProcess:
  """`python SCRIPT ARGUMENTS`, to its end."""
  with tempfile.TemporaryDirectory() as folder:
    log, errors = (pathlib.Path(folder, kind) for kind in ('out', 'err'))
    process = Process(server, script, arguments, log, env, errors, cwd)
    code = process.wait()
    return subprocess.CompletedProcess(
      [script, *arguments], code, log.read_text(), errors.read_text()
    )


def train(
  server, experiment, run_dir, env=None, name='train', log=None, errors=None
) -> Process:
  """`python train.py` with the flags that make `experiment`."""
  lines = flagfile.lines(experiment, 'demo_retina', str(run_dir))
  log = log or f'{run_dir}.{name}.log'
  return Process(server, TRAIN, lines.splitlines(), log, env, errors)


def train_pair(server, experiment, run_dir) -> list[Process]:
  """The same on two workers of this machine."""
  return [
    train(server, experiment, run_dir, env, f'worker{index}')
    for index, env in enumerate(cluster(2))
  ]


def fresh(experiment, run_dir, env=None) -> subprocess.Popen:
  """The same in a new interpreter, which shares nothing with this one."""
  lines = flagfile.lines(experiment, 'demo_retina', str(run_dir))
  return subprocess.Popen(
    [sys.executable, TRAIN, *lines.splitlines()],
    env=os.environ | _PATHS | (env or {}),
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )


def wait_for_rows(run_dir, process) -> None:
  """Returns when a process has evaluated once more than before."""
  path = pathlib.Path(run_dir, 'metrics.jsonl')

  def size():
    return path.stat().st_size if path.exists() else 0

  before = size()
  while size() <= before:
    assert process.poll() is None
    time.sleep(0.05)


def cluster(count: int) -> list[dict]:
  """The environments of `count` workers on this machine."""
  sockets = [socket.create_server(('localhost', 0)) for _ in range(count)]
  workers = [f'localhost:{s.getsockname()[1]}' for s in sockets]
  for s in sockets:
    s.close()
  return [
    {
      'TF_CONFIG': json.dumps(
        {
          'cluster': {'worker': workers},
          'task': {'type': 'worker', 'index': index},
        }
      )
    }
    for index in range(count)
  ]


def wait_for(condition, *running: Process, seconds: float = 240) -> None:
  """Returns as soon as `condition()` holds; the processes must live on."""
  end = time.monotonic() + seconds
  while not condition():
    for process in running:
      assert process.is_alive(), process.log
    assert time.monotonic() < end, f'waited {seconds} s in vain'
    time.sleep(0.02)


def _serve():
  """Answers requests; returns the one that this process is to become."""
  for line in sys.stdin:
    request = json.loads(line)
    if 'pid' in request:
      pid, status = os.waitpid(request['pid'], os.WNOHANG)
      answer = os.waitstatus_to_exitcode(status) if pid else None
    else:
      answer = os.fork()
      if not answer:
        return request
    print(json.dumps(answer), flush=True)
  return None


def _become(script, arguments, log, errors, env, cwd):
  os.chdir(cwd)
  os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
  for number, path in ((1, log), (2, errors)):
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    os.dup2(os.open(path, flags), number)
  os.environ.update(env)
  tempfile.tempdir = None  # It may be known by now, of another TMPDIR.
  os.setsid()  # By which its own processes are known.
  sys.argv = [script, *arguments]
  sys.path.insert(0, os.path.dirname(script))
  runpy.run_path(script, run_name='__main__')


if __name__ == '__main__':
  os.environ.update(startup.ENVIRONMENT)
  startup.import_tensorflow()
  # All that the binaries import, but nothing of it is run.
  import transfusion_tf.analysis.compare_runs
  import transfusion_tf.export
  import transfusion_tf.run.train_and_evaluate
  import transfusion_tf.study.study_page  # noqa: F401

  # The processes need not visit what they share, and so copy it, at their end.
  gc.freeze()
  found = _serve()
  if found:
    _become(**found)
