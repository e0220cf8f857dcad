"""Signals that ask a command to stop: it ends in order, whenever they come.

`train.preemption` acts on them while a run is trained, by a checkpoint. At all
other times they raise `Stopped`, so that temporary folders and processes go.
"""

import contextlib
import signal
from types import FrameType
from typing import NoReturn

# EX_TEMPFAIL of sysexits.h: start the same command again.
EXIT_CODE = 75
# A scheduler's, and that of a terminal that was closed.
SIGNALS = (signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []


class Stopped(SystemExit):
  """Raised where a command is when a signal arrives."""

  def __init__(self, number: int):
    super().__init__(EXIT_CODE)
    self.name = signal.Signals(number).name


def install() -> None:
  """Let signals raise `Stopped`, but for those that are ignored (`nohup`)."""
  for number in SIGNALS:
    if signal.getsignal(number) == signal.SIG_DFL:
      signal.signal(number, _stop)


def ignore() -> None:
  """Ignore signals from now on: all is done."""
  for number in SIGNALS:
    with contextlib.suppress(ValueError):  # Not of the main thread.
      signal.signal(number, signal.SIG_IGN)


def received() -> Stopped | None:
  """Return what was raised, also where a library took it for an error."""
  return Stopped(_received[0]) if _received else None


def _stop(number: int, frame: FrameType | None) -> NoReturn:
  del frame
  ignore()  # Once is enough; the end must not be interrupted.
  _received.append(number)
  raise Stopped(number)
