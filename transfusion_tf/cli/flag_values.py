"""Checks what all flags have in common, whichever command they are of.

A flag's own range is its field's in `config`, or stands where it is defined.
"""

import math

from absl import flags

from transfusion_tf import errors

# What NumPy and TensorFlow count with.
_MOST = 2**31 - 1


def check(module: str) -> None:
  """Check the values of a command's flags.

  Args:
    module: Name of the module that defines its flags.

  Raises:
    InputError: A number is none, or larger than any use of it; a text cannot
      be written to files and terminals.
  """
  for flag in flags.FLAGS.get_key_flags_for_module(module):
    values = flag.value if isinstance(flag.value, list) else [flag.value]
    for value in values:
      _check(flag, value)


def _check(flag, value):
  if isinstance(value, str):
    errors.check_text(f'--{flag.name}', value)
  elif isinstance(value, float) and not math.isfinite(value):
    raise errors.InputError(f'--{flag.name}={value}: not a finite number')
  elif isinstance(value, int) and value > _most(flag):
    raise errors.InputError(f'--{flag.name}={value}: more than {_most(flag):,}')


def _most(flag):
  bound = getattr(flag.parser, 'upper_bound', None)
  return _MOST if bound is None else bound
