"""What is asked of a machine of a cluster, before and beside its runs."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import socket
import sys

from transfusion_tf import storage

_PACKAGES = ('tensorflow', 'tensorflow-cpu', 'tensorflow-tpu', 'keras', 'numpy')


@dataclasses.dataclass(frozen=True)
class Expected:
  """What a machine has to have.

  Attributes:
    versions: Name -> version, as `versions` returns them.
    folder: The folder that relative paths start from.
    token: A file in the study's folder.
    secret: What the command has written there.
    folders: Folders of data.
  """

  versions: Mapping[str, str]
  folder: str
  token: str
  secret: str
  folders: Sequence[str]


def versions() -> dict[str, str]:
  """Return the versions that results depend on."""
  import transfusion_tf

  found = {
    'python': '.'.join(platform.python_version_tuple()[:2]),
    'transfusion_tf': transfusion_tf.__version__,
  }
  for name in _PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[name] = importlib.metadata.version(name)
  return found


def problems(expected: Expected) -> list[str]:
  """Return what this machine lacks; nothing if it can do the runs."""
  if os.path.isdir(expected.folder):
    os.chdir(expected.folder)
  return [*_differences(expected.versions), *_unseen(expected)]


def _differences(wanted) -> Iterator[str]:
  found = versions()
  for name in dict.fromkeys((*wanted, *found)):
    here, there = wanted.get(name), found.get(name)
    if here != there:
      yield (
        f'it has {name} {there or "not installed"}, and this machine '
        f'{here or "none"}: install the same versions on both'
      )


def _unseen(expected) -> Iterator[str]:
  folder = os.path.dirname(expected.token)
  remedy = 'give a folder that all machines share, or a bucket'
  if not _is_read(expected.token, expected.secret):
    yield f'it does not see the study’s folder, {folder}: {remedy}'
  elif not storage.is_remote(folder) and not os.access(folder, os.W_OK):
    yield f'it cannot write to the study’s folder, {folder}: {remedy}'
  for each in expected.folders:
    if not storage.isdir(each):
      yield f'it does not see the data in {each}: {remedy}'


def _is_read(path, text):
  return storage.exists(path) and storage.read_text(path) == text


def address(host: str) -> str:
  """Return HOST:PORT of a port of this machine that is free."""
  with socket.create_server(('', 0)) as listener:
    return f'{host}:{listener.getsockname()[1]}'


def send_signal(pid: int, number: int) -> None:
  """Send a signal to a process of the cluster, if it still is one."""
  if sys.platform.startswith('linux'):
    with contextlib.suppress(OSError):
      with open(f'/proc/{pid}/cmdline', 'rb') as file:
        if not file.read().startswith(b'ray::'):
          return
  with contextlib.suppress(ProcessLookupError):
    os.kill(pid, number)
