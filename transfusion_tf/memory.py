"""How much memory this process may still take."""

import pathlib

_MEMINFO = pathlib.Path('/proc/meminfo')
# Of a container: what it may take, and what it takes.
_LIMITS = (
  ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory.current'),
  (
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
    '/sys/fs/cgroup/memory/memory.usage_in_bytes',
  ),
)


def available() -> int:
  """Return the number of bytes that are free, 0 where no file says it."""
  try:
    lines = dict(line.split(':') for line in _MEMINFO.read_text().splitlines())
    free = 1024 * int(lines['MemAvailable'].split()[0])
  except (OSError, KeyError, ValueError):
    return 0
  return max(0, min([free, *_left_to_container()]))


def _left_to_container():
  for limit, taken in _LIMITS:
    try:
      yield int(pathlib.Path(limit).read_text()) - int(
        pathlib.Path(taken).read_text()
      )
    except (OSError, ValueError):  # None is set, or it is called `max`.
      continue
