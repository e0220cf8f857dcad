"""Lengths of time in words."""


def text(seconds: float) -> str:
  """Return `40 seconds`, `12 minutes` or `3.5 hours`."""
  if seconds < 90:
    return _counted(max(round(seconds), 1), 'second')
  if seconds < 90 * 60:
    return _counted(round(seconds / 60), 'minute')
  return f'{seconds / 3600:.1f} hours'


def _counted(number, unit):
  return f'{number} {unit}{"" if number == 1 else "s"}'
