"""--time_limit: how long a study may train."""

import math
import re
import time

from absl import flags

from transfusion_tf import errors

_TIME_LIMIT = flags.DEFINE_string(
  'time_limit',
  None,
  'Train at most so long, e.g. 90m or 2h: the first seeds of all come first, '
  'and the same command goes on.',
)
_SECONDS = {'s': 1, 'm': 60, 'h': 3600}


def seconds() -> float:
  """Return the limit; infinity if there is none.

  Raises:
    InputError: Not a time.
  """
  text = _TIME_LIMIT.value
  return parse('time_limit', text) if text else math.inf


def parse(flag: str, text: str) -> float:
  """Return the seconds that a flag says, e.g. 90m.

  Raises:
    InputError: Not a time.
  """
  parts = re.fullmatch(r'(\d+(?:\.\d+)?) ?([smh])', text.strip())
  if not parts or not float(parts[1]):
    raise errors.InputError(
      f'--{flag}={text}: write a number and s, m or h, e.g. 90m'
    )
  return float(parts[1]) * _SECONDS[parts[2]]


def until() -> float:
  """Return when to stop, in seconds of `time.monotonic`; infinity if never.

  Raises:
    InputError: Not a time.
  """
  return time.monotonic() + seconds()
