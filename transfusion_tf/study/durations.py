"""Lengths of time in words."""


def text(seconds: float) -> str:
  """Return `40 seconds`, `4.5 minutes`, `12 minutes`, `3.5 hours`, ..."""
  if seconds < 90:
    count = max(round(seconds), 1)
    return f'{count} second{"" if count == 1 else "s"}'
  if seconds < 90 * 60:
    minutes = seconds / 60
    return f'{round(minutes, 1 if minutes < 10 else None):g} minutes'
  if seconds < 72 * 3600:
    return f'{seconds / 3600:.1f} hours'
  return f'{seconds / 86_400:.1f} days'
