"""RUN/metrics.jsonl: one row per evaluation.

A row is {"step", "loss", "learning_rate", "validation": {metric: value}},
without a time, so that a resumed run writes the same bytes. The best step and
the early-stopping state are functions of the rows: nothing else is stored.
"""

from collections.abc import Callable
import json
from typing import Any

import tensorflow as tf

from transfusion_tf import errors
from transfusion_tf import storage

Row = dict[str, Any]


class History:
  """The rows of one run, synchronized with the file."""

  def __init__(
    self,
    path: str,
    primary_metric: str,
    is_chief: bool = True,
    check_held: Callable[[], None] = lambda: None,
  ):
    """Read the existing rows.

    Args:
      path: Path of RUN/metrics.jsonl.
      primary_metric: The metric that selects the best row.
      is_chief: Whether to write the file.
      check_held: As for `checkpoint.Checkpoints`.
    """
    self._check_held = check_held
    self._path = path
    self._primary_metric = primary_metric
    self._is_chief = is_chief
    self.rows = read(path) if storage.exists(path) else []

  def truncate(self, step: int | None) -> None:
    """Delete the rows after `step`; all rows if None."""
    self.rows = [r for r in self.rows if step is not None and r['step'] <= step]
    if self._is_chief:
      self._write()

  def append(self, row: Row) -> None:
    """Add a row."""
    self.rows.append(row)
    if self._is_chief and storage.is_remote(self._path):
      self._write()  # An object cannot grow.
    elif self._is_chief:
      with storage.convert_write_errors(self._path):
        with tf.io.gfile.GFile(self._path, 'a') as file:
          file.write(_line(row))

  def _write(self):
    self._check_held()
    storage.write_text(self._path, ''.join(map(_line, self.rows)))

  def has(self, step: int) -> bool:
    """Return whether `step` was evaluated."""
    return any(row['step'] == step for row in self.rows)

  @property
  def best(self) -> Row | None:
    """The best row so far."""
    return best(self.rows, self._primary_metric)

  @property
  def evaluations_since_best(self) -> int:
    """The number of evaluations after the best one."""
    best_row = self.best
    return (
      0 if best_row is None else len(self.rows) - 1 - self.rows.index(best_row)
    )


def best(rows: list[Row], primary_metric: str) -> Row | None:
  """Return the earliest of the rows with the highest `primary_metric`."""
  scored = [r for r in rows if r['validation'].get(primary_metric) is not None]
  return max(
    scored, key=lambda r: r['validation'][primary_metric], default=None
  )


def read(path: str) -> list[Row]:
  """Read the rows of a metrics.jsonl; a truncated last line is left out.

  Raises:
    InputError: A line that is not the last is damaged.
  """
  lines = storage.read_text(path).splitlines()
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
