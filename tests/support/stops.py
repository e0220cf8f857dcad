"""Commands that are stopped at any moment, and what holds after each stop."""

import os
import pathlib
import random
import re
import signal
import time

import processes

# By which number a command may be stopped, and the code that it then ends with.
CODES = {
  signal.SIGTERM: 75,
  signal.SIGHUP: 75,
  signal.SIGINT: 130,
  signal.SIGKILL: -signal.SIGKILL,
}
# A progress bar, TensorFlow's log, and what one of several workers says of the
# others.
_NO_COMPLAINT = r'\d+%\||^[IWE]\d{4} |^waiting for worker|^the other workers'
_LEAVES = 60  # Seconds from a signal to the end.
_ORPHANS = 3  # Seconds that children may outlive their parent.


def wait_until_caught(process: processes.Process) -> None:
  """Returns once the command has taken over its signals: its first line."""
  bit = 1 << (signal.SIGTERM - 1)

  def is_caught():
    try:
      status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
    except OSError:
      return True
    (mask,) = (x for x in status.splitlines() if x.startswith('SigCgt'))
    return bool(int(mask.split()[1], 16) & bit) or not process.is_alive()

  while not is_caught():
    time.sleep(0.005)


def stop(process: processes.Process, number: int, after: float) -> bool:
  """Sends a signal `after` seconds; returns whether it came in time.

  What a command may then do is checked here.
  """
  wait_until_caught(process)
  end = time.monotonic() + after
  while time.monotonic() < end and process.is_alive():
    time.sleep(min(0.05, after / 10))
  process.kill(number)
  code = process.wait(_LEAVES)
  check(process, number, code)
  return code != 0


def check(process: processes.Process, number: int, code: int) -> None:
  """The exit code, what was said, and that nobody is left."""
  said = f'{signal.Signals(number).name}, code {code}:\n{process.complaints}'
  assert code in (CODES[number], 0), said
  if number != signal.SIGKILL:
    lines = [
      line
      for line in process.complaints.splitlines()
      if line and not re.search(_NO_COMPLAINT, line)
    ]
    assert len(lines) == bool(code), said
    assert not code or 'same command continues' in lines[0], said
  assert not orphans(process.pid), said


def orphans(session: int) -> list[str]:
  """The commands of a session's processes that do not end."""
  end = time.monotonic() + _ORPHANS
  while (left := _of_session(session)) and time.monotonic() < end:
    time.sleep(0.05)
  return left


def _of_session(session):
  found = []
  for folder in pathlib.Path('/proc').glob('[0-9]*'):
    try:
      state, _, _, number, *_ = (
        (folder / 'stat').read_text().rpartition(')')[2].split()
      )
      if int(number) == session and state != 'Z':
        found.append((folder / 'cmdline').read_text().replace('\0', ' '))
    except OSError:
      continue
  return found


def moments(seed: int):
  """Yields signals and when they come, as a fraction of the time, endlessly."""
  draw = random.Random(seed)
  while True:
    numbers = list(CODES)
    draw.shuffle(numbers)
    for number in numbers:
      yield number, draw.random()


def scratch(folder: pathlib.Path) -> list[str]:
  """What commands whose TMPDIR is `folder` have left there."""
  return sorted(n for n in os.listdir(folder) if n.startswith('transfusion_tf'))
