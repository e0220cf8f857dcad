"""Signals that come where Python drops exceptions."""

import subprocess
import sys
import time

import pytest

_SCRIPT = """
import os, signal, sys, time, weakref
from transfusion_tf import stop_signals

class Held:
  def __del__(self):
    if sys.argv[1] == 'destructor':
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(.01)

def callback(_):
  if sys.argv[1] == 'callback':
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(.01)

stop_signals.install()
held = Held()
reference = weakref.ref(held, callback)
del held
time.sleep(30)
"""


@pytest.mark.parametrize('where', ['destructor', 'callback'])
def test_what_python_drops_is_asked_for_again_at_once(where):
  began = time.monotonic()
  done = subprocess.run(
    [sys.executable, '-c', _SCRIPT, where], capture_output=True, text=True
  )
  assert done.returncode == 75
  assert not done.stderr
  assert time.monotonic() - began < 4


def test_other_dropped_exceptions_are_shown():
  script = _SCRIPT.replace('os.kill(os.getpid(), signal.SIGTERM)', '1 / 0')
  done = subprocess.run(
    [sys.executable, '-c', script.replace('sleep(30)', 'sleep(0)'), 'callback'],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0
  assert 'ZeroDivisionError' in done.stderr
