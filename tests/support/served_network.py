"""A server of an export, as docs/serving.md has it, and clients of it."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import paths
import psutil

PATH = '/v1/models/network:predict'


@dataclasses.dataclass(frozen=True)
class Served:
  """A server that answers on this machine."""

  port: int
  process: psutil.Process

  @property
  def memory(self) -> int:
    """Bytes that its processes hold; pages of files come and go."""
    family = [self.process, *self.process.children(recursive=True)]
    return sum(_anonymous(process.pid) for process in family)


class Client:
  """One connection, which stays open."""

  def __init__(self, served):
    self._connection = http.client.HTTPConnection(
      '127.0.0.1', served.port, timeout=60
    )

  def post(self, body: bytes, **headers) -> tuple[int, dict]:
    """Status and answer; fails if the answer is no JSON as the RFC has it."""
    headers = {'Content-Type': 'application/json'} | headers
    self._connection.request('POST', PATH, body, headers)
    response = self._connection.getresponse()
    content = response.read()
    return response.status, json.loads(content, parse_constant=refuse)


def _anonymous(pid):
  status = pathlib.Path(f'/proc/{pid}/status').read_text()
  return sum(
    1024 * int(kilobytes)
    for kilobytes in re.findall(r'^(?:RssAnon|VmSwap):\s+(\d+)', status, re.M)
  )


def refuse(constant):
  raise ValueError(f'{constant} is no JSON')


def example() -> str:
  """The server that docs/serving.md has for users to paste."""
  text = (paths.ROOT / 'docs' / 'serving.md').read_text('utf-8')
  (code,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
  return code


@contextlib.contextmanager
def serving(export_dir, folder: pathlib.Path):
  """Run it in a folder of its own until it answers; ends it afterwards."""
  (folder / 'server.py').write_text(example())
  port = _free_port()
  command = [
    *(sys.executable, '-m', 'bentoml', 'serve', 'server:Network'),
    *('--host', '127.0.0.1', '--port', str(port)),
  ]
  environment = os.environ | {
    'EXPORT_DIR': str(export_dir),
    'BENTOML_DO_NOT_TRACK': 'True',
    'BENTOML_HOME': str(folder / 'home'),
    'PYTHONPATH': '',
  }
  with open(folder / 'log', 'w') as log:
    process = subprocess.Popen(
      command,
      cwd=folder,
      env=environment,
      stdout=log,
      stderr=log,
      start_new_session=True,
    )
  try:
    _wait(process, port, folder / 'log')
    yield Served(port, psutil.Process(process.pid))
  finally:
    process.terminate()
    try:
      process.wait(30)
    except subprocess.TimeoutExpired:
      os.killpg(process.pid, signal.SIGKILL)
      process.wait()


def _free_port():
  with socket.socket() as asked:
    asked.bind(('127.0.0.1', 0))
    return asked.getsockname()[1]


def _wait(process, port, log):
  end = time.monotonic() + 120
  while True:
    assert process.poll() is None and time.monotonic() < end, log.read_text()
    with contextlib.suppress(OSError):
      urllib.request.urlopen(f'http://127.0.0.1:{port}/readyz', timeout=10)
      return
    time.sleep(0.1)
