r"""Measures this project against the plain way, side by side in one process.

  python bin/benchmark.py --suite=input

Quote the ratios: they hold on a machine of another speed.
"""

import importlib

from absl import flags

import cli

_SUITES = {
  'input': 'benchmark_input',
  'train': 'benchmark_train',
  'svcca': 'benchmark_svcca',
  'startup': 'benchmark_startup',
}
_SUITE = flags.DEFINE_enum('suite', None, list(_SUITES), 'What to measure.')


def main(_) -> None:
  if _SUITE.value != 'startup':
    cli.import_tensorflow()
  suite = importlib.import_module(_SUITES[_SUITE.value]).suite
  for name, figure, unit in suite():
    print(f'{name:<48} {figure:>10.4g} {unit}', flush=True)


if __name__ == '__main__':
  flags.mark_flag_as_required('suite')
  cli.run(main)
