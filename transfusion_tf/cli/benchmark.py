r"""Measures this project against the plain way, side by side in one process.

  python bin/benchmark.py --suite=input

Quote the ratios: they hold on a machine of another speed.
"""

import importlib
from typing import Any

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app

_SUITE = flags.DEFINE_enum(
  'suite',
  None,
  [
    *('prepare', 'sources', 'input', 'train', 'runs', 'svcca', 'intervals'),
    'startup',
  ],
  'What to measure.',
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', 'demo/data', "For suite=runs: the quickstart's prepared data."
)
_ROWS = flags.DEFINE_integer(
  'rows', 100_000, 'For suite=sources: pictures of each set.', 100
)


def main(_) -> None:
  if _SUITE.value not in ('startup', 'prepare'):
    startup.import_tensorflow()
  suites = 'transfusion_tf.cli.benchmarks'
  module = importlib.import_module(f'{suites}.{_SUITE.value}')
  arguments: dict[Any, list] = {
    'runs': [_DATA_DIR.value],
    'sources': [_ROWS.value],
  }
  for name, figure, unit in module.suite(*arguments.get(_SUITE.value, [])):
    print(f'{name:<64} {figure:>10.4g} {unit}', flush=True)


def run() -> None:
  """Run the command."""
  flags.mark_flag_as_required('suite')
  app.run(main)
