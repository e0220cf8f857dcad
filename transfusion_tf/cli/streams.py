"""The standard streams, whatever a command was started with."""

import os
import sys
from typing import TextIO


def prepare() -> None:
  """Open the streams that are closed, and let them take any text.

  The next file that is opened has the number of a closed stream, and would get
  what TensorFlow logs.
  """
  for number, name in enumerate(('stdin', 'stdout', 'stderr')):
    try:
      os.fstat(number)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # As the lowest free number, this one.
    if getattr(sys, name) is None:
      mode = 'w' if number else 'r'
      setattr(sys, name, open(number, mode, encoding='utf-8', closefd=False))
  if hasattr(sys.stdout, 'reconfigure'):  # A notebook's has no such method.
    # As Python does on stderr: names need not be of the terminal's letters.
    sys.stdout.reconfigure(errors='backslashreplace')


def flush(stream: TextIO) -> None:
  """Write what a stream holds back; where that fails, it is lost.

  Else Python tries again at its end, and has an exit code of its own for that.
  """
  try:
    stream.flush()
  except OSError:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
