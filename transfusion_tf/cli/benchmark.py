r"""Measures this project against the plain way, side by side in one process.

  python bin/benchmark.py --suite=input

Quote the ratios: they hold on a machine of another speed.
"""

import importlib

from absl import flags

from transfusion_tf import startup
from transfusion_tf.cli import app

_SUITE = flags.DEFINE_enum(
  'suite',
  None,
  ['prepare', 'input', 'train', 'runs', 'svcca', 'intervals', 'startup'],
  'What to measure.',
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', 'demo/data', "For suite=runs: the quickstart's prepared data."
)


def main(_) -> None:
  if _SUITE.value not in ('startup', 'prepare'):
    startup.import_tensorflow()
  suites = 'transfusion_tf.cli.benchmarks'
  module = importlib.import_module(f'{suites}.{_SUITE.value}')
  arguments = [_DATA_DIR.value] if _SUITE.value == 'runs' else []
  for name, figure, unit in module.suite(*arguments):
    print(f'{name:<48} {figure:>10.4g} {unit}', flush=True)


def run() -> None:
  """Run the command."""
  flags.mark_flag_as_required('suite')
  app.run(main)
