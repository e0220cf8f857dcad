"""How long each binary takes to answer --help."""

from collections.abc import Iterator
import pathlib
import statistics
import subprocess
import sys
import time

_REPEATS = 3


def suite() -> Iterator[tuple[str, float, str]]:
  """Yields what was measured: (name, figure, unit)."""
  for binary in sorted(pathlib.Path(__file__).parent.glob('*.py')):
    if '\n  cli.run(main)' in binary.read_text():
      times = [_seconds(binary) for _ in range(_REPEATS)]
      yield f'{binary.name} --help', statistics.median(times), 's'


def _seconds(binary):
  began = time.monotonic()
  subprocess.run(
    [sys.executable, binary, '--help'], capture_output=True, check=False
  )
  return time.monotonic() - began
