"""How long each command takes to answer --help, and training to begin."""

from collections.abc import Iterator
import pathlib
import statistics
import subprocess
import sys
import time

from transfusion_tf.cli.benchmarks import first_step

_REPEATS = 3


def suite() -> Iterator[tuple[str, float, str]]:
  """Yield what was measured: (name, figure, unit)."""
  for path in sorted(pathlib.Path(__file__).parents[1].glob('*.py')):
    if '\n  app.run(main' in path.read_text('utf-8'):
      times = [_seconds(path.stem) for _ in range(_REPEATS)]
      yield f'{path.stem} --help', statistics.median(times), 's'
  yield from first_step.suite()


def _seconds(command):
  program = f'from transfusion_tf.cli import {command}; {command}.run()'
  began = time.monotonic()
  subprocess.run(
    [sys.executable, '-c', program, '--help'], capture_output=True, check=True
  )
  return time.monotonic() - began
