"""Who may write to a folder of a bucket, where there are no locks.

The same holds for a folder that the machines of a cluster share, whose locks
may be known to one machine alone.

TensorFlow's client cannot create an object on the condition that it does not
exist. It needs no such condition: every process that wants FOLDER writes an
object of its own, FOLDER/leases/TOKEN.json, and then lists all of them, which a
bucket does consistently. Of two processes, the one that wrote later sees the
other's; so at most one sees none but its own. It holds the folder, and renews
its object while it does. An object that was not renewed for `_EXPIRES` seconds,
or whose process is known to be dead, counts no longer: who comes next deletes
it. A holder that finds its own object deleted has lost the folder, and stops.
"""

from collections.abc import Iterator
import contextlib
import os
import secrets
import socket
import threading
import time
from typing import Any, TypedDict

from transfusion_tf import errors
from transfusion_tf import json_file
from transfusion_tf import storage

FOLDER = 'leases'
# The clocks of two machines may differ by less than the difference of these.
_RENEWED_EVERY, _EXPIRES = 60.0, 180.0
_POLL_SECONDS = 1.0


class _Lease(TypedDict):
  host: str
  pid: int
  machine: str
  started: int
  held: bool
  time: float


class Lease:
  """A folder of a bucket that this process holds."""

  def __init__(self, folder: str):
    """Initialize; `acquire` makes it hold."""
    self._folder = folder
    self._leases = os.path.join(folder, FOLDER)
    self._token = secrets.token_hex(8)
    self._path = os.path.join(self._leases, f'{self._token}.json')
    self._deleted: set[str] = set()  # Others' tokens.
    self._renewed = 0.0
    self._ended = threading.Event()

  def acquire(self) -> None:
    """Make this process the holder.

    Raises:
      InputError: Another process holds the folder, or it cannot be written.
    """
    try:
      storage.makedirs(self._leases)  # A bucket has none.
      self._write(held=False)
    except errors.RunError as error:
      raise errors.InputError(
        f'{self._folder}: choose another folder, or see that this one can be '
        f'written: {error}'
      ) from None
    try:
      while others := self._others():
        self._check_precedence(others)
        time.sleep(_POLL_SECONDS)
      self._write(held=True)
    except BaseException:
      self.release()
      raise
    threading.Thread(target=self._renew, daemon=True).start()

  def release(self) -> None:
    """Give the folder back, if this process still has it."""
    self._ended.set()
    with contextlib.suppress(errors.InputError):
      storage.remove(self._path)

  def check(self) -> None:
    """Check that this process still holds the folder.

    Raises:
      RunError: Another process has taken it over, or the bucket cannot be read.
    """
    try:
      tokens = self._tokens()
    except errors.InputError as error:
      raise errors.RunError(
        f'{error}; what was saved is intact: start the same command again'
      ) from None
    if self._token not in tokens:
      raise errors.RunError(
        f'{self._folder}: another process has taken over this folder; this '
        'one stops, and writes no more to it'
      )

  def _check_precedence(self, others):
    """Raise an InUseError unless all others wait for this process."""
    for token, other in others.items():
      # Two that came at the same time: one goes on, the other waits.
      if other['held'] or token < self._token:
        seconds = max(other['time'] + _EXPIRES - time.time(), 0) + 1
        raise errors.InUseError(
          f'{self._folder}: another process is training here, number '
          f'{other["pid"]} of {other["host"]}; wait for it or choose another '
          f'--run_dir; if it was killed, try again in {seconds:.0f} s'
        )

  def _others(self):
    """Return the leases of others that count; delete those that do not."""
    found = {}
    for token in self._tokens() - {self._token}:
      path = os.path.join(self._leases, f'{token}.json')
      try:
        lease = json_file.read(path, _Lease, 'delete it')
      except FileNotFoundError:
        continue
      if _is_over(lease):
        storage.remove(path)
        self._deleted.add(token)
      else:
        found[token] = lease
    return found

  def _tokens(self):
    names = storage.glob(os.path.join(self._leases, '*.json'))
    return {os.path.basename(name).removesuffix('.json') for name in names}

  def _renew(self):
    """Renew the lease until it ends, or is lost: `check` tells."""
    while not self._ended.wait(_RENEWED_EVERY):
      with contextlib.suppress(errors.InputError, errors.RunError):
        tokens = self._tokens()
        # A request may have taken long. Who has overslept is no holder.
        overslept = time.monotonic() - self._renewed > _EXPIRES
        if self._token not in tokens or overslept or self._ended.is_set():
          if overslept:
            storage.remove(self._path)
          return
        self._write(held=True)
        for token in tokens & self._deleted:  # It overslept while writing.
          storage.remove(os.path.join(self._leases, f'{token}.json'))

  def _write(self, held):
    self._renewed = time.monotonic()
    lease = _process() | {'held': held, 'time': time.time()}
    storage.write_json(self._path, lease)


@contextlib.contextmanager
def held(folder: str) -> Iterator[Lease]:
  """Hold a folder of a bucket inside.

  Raises:
    InputError: Another process holds it, or it cannot be written.
  """
  lease = Lease(folder)
  lease.acquire()
  try:
    yield lease
  finally:
    lease.release()


def _is_over(lease: dict[str, Any]) -> bool:
  """Return whether a lease has expired, or its process is known to be dead."""
  if time.time() - lease['time'] > _EXPIRES:
    return True
  # Only who shares its process numbers can tell that it is dead.
  mine = _process()
  if not lease['machine'] or lease['machine'] != mine['machine']:
    return False
  try:
    os.kill(lease['pid'], 0)
  except ProcessLookupError:
    return True
  except PermissionError:  # Another user's.
    return False
  return _started(lease['pid']) != lease['started']


def _process() -> dict[str, Any]:
  """Return what identifies this process."""
  pid = os.getpid()
  return {
    'host': socket.gethostname(),
    'pid': pid,
    'machine': _machine(),
    'started': _started(pid),
  }


def _machine():
  """Return what all processes share that see each other's numbers, or ''."""
  try:
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
      return f'{file.read().strip()} {os.readlink("/proc/self/ns/pid")}'
  except OSError:  # Not Linux.
    return ''


def _started(pid):
  """Return when a process was started, in ticks since the boot; 0 if dead."""
  try:
    with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
      fields = file.read().rpartition(')')[2].split()
  except OSError:
    return 0
  return 0 if fields[0] == 'Z' else int(fields[19])
