"""Signals that ask a command to stop: it ends in order, whenever they come.

`train.preemption` acts on SIGTERM and SIGHUP while a run is trained, by a
checkpoint. At all other times they raise `Stopped`, so that temporary folders
and processes go. The processes of a command end with it, however it ends.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

# EX_TEMPFAIL of sysexits.h: start the same command again.
EXIT_CODE = 75
# 128 + the signal's number, as shells have it.
INTERRUPT_EXIT_CODE = 130
# A scheduler's, and that of a terminal that was closed.
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# Python drops what is raised in a destructor or in a callback. Where it says
# so, the end is asked for again at once; else after a while.
_AT_ONCE, _AGAIN = 0.05, 5.0  # Seconds.

_received: list[int] = []


class Stopped(SystemExit):
  """Raised where a command is when a signal arrives."""

  def __init__(self, number: int):
    is_user = number == signal.SIGINT
    super().__init__(INTERRUPT_EXIT_CODE if is_user else EXIT_CODE)
    self.name = signal.Signals(number).name


def install() -> None:
  """Let signals raise `Stopped`, but for those that are ignored (`nohup`)."""
  for number in (*SIGNALS, signal.SIGINT):
    usual = (signal.SIG_DFL, signal.default_int_handler)
    if signal.getsignal(number) in usual:
      signal.signal(number, _stop)
  sys.unraisablehook = _on_dropped


def ignore() -> None:
  """Ignore signals from now on: all is done."""
  with contextlib.suppress(ValueError):  # Not of the main thread.
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (*SIGNALS, signal.SIGINT):
      signal.signal(number, signal.SIG_IGN)


def received() -> Stopped | None:
  """Return what was raised, also where a library took it for an error."""
  return Stopped(_received[0]) if _received else None


def end_with_parent() -> None:
  """Let this process, which `multiprocessing` has begun, end with its parent.

  SIGINT, which a terminal sends to both, ends it without a word.
  """
  signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPT_EXIT_CODE))
  threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent():
  multiprocessing.parent_process().join()
  os._exit(1)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
  del frame
  ignore()  # Once is enough; the end must not be interrupted.
  _received.append(number)
  signal.signal(signal.SIGALRM, _stop_again)
  signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
  raise Stopped(number)


def _on_dropped(dropped: 'sys.UnraisableHookArgs') -> None:
  if isinstance(dropped.exc_value, Stopped):
    signal.setitimer(signal.ITIMER_REAL, _AT_ONCE, _AGAIN)
  else:
    sys.__unraisablehook__(dropped)


def _stop_again(*_) -> NoReturn:
  raise Stopped(_received[0])
