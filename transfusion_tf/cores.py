"""How many processor cores this process may use."""

import os


def available() -> int:
  """Return the number of cores, on systems without affinity all of them."""
  if hasattr(os, 'sched_getaffinity'):  # Linux alone has it.
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
