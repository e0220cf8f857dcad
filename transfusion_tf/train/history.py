"""RUN/metrics.jsonl: one row an evaluation, and what follows from the rows.

A row is {"step", "loss", "learning_rate", "validation": {metric: value}}, and
no clock time, so that a resumed run writes the same bytes. The best step and
the early-stopping state are functions of the rows: nothing else is kept.
"""

import json
from typing import Any

import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage

Row = dict[str, Any]


class History:
  """The rows of one run, kept in step with the file."""

  def __init__(self, path: str, headline: str, writes: bool = True):
    """Read what is there.

    Args:
      path: RUN/metrics.jsonl.
      headline: The metric that judges a row.
      writes: True to keep the file; False in workers but the chief.
    """
    self._path = path
    self._headline = headline
    self._writes = writes
    self.rows = read(path) if tf.io.gfile.exists(path) else []

  def truncate(self, step: int | None) -> None:
    """Delete the rows after `step`; all rows if None."""
    self.rows = [r for r in self.rows if step is not None and r['step'] <= step]
    if self._writes:
      storage.write_text(self._path, ''.join(map(_line, self.rows)))

  def append(self, row: Row) -> None:
    self.rows.append(row)
    if self._writes:
      with storage.convert_write_errors(self._path):
        with tf.io.gfile.GFile(self._path, 'a') as file:
          file.write(_line(row))

  def has(self, step: int) -> bool:
    """Return whether `step` was evaluated."""
    return any(row['step'] == step for row in self.rows)

  @property
  def best(self) -> Row | None:
    return best(self.rows, self._headline)

  @property
  def evaluations_since_best(self) -> int:
    """The number of evaluations after the best one."""
    found = self.best
    return 0 if found is None else len(self.rows) - 1 - self.rows.index(found)


def best(rows: list[Row], headline: str) -> Row | None:
  """Return the earliest of the rows with the highest validation `headline`."""
  scored = [r for r in rows if r['validation'].get(headline) is not None]
  return max(scored, key=lambda r: r['validation'][headline], default=None)


def read(path: str) -> list[Row]:
  """Return the rows of a metrics.jsonl; a last line cut short is left out.

  Raises:
    InputError: A line that is not the last is damaged.
  """
  with tf.io.gfile.GFile(path) as file:
    lines = file.read().splitlines()
  rows = []
  for number, line in enumerate(lines, start=1):
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError:
      if number < len(lines):
        raise errors.InputError(
          f'{path}: line {number} is damaged; delete the run folder and train '
          'again'
        ) from None
  return rows


def _line(row):
  return json.dumps(row, allow_nan=False) + '\n'
