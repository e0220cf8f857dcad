"""RUN/metrics.jsonl: one row per evaluation.

A row is {"step", "loss", "learning_rate", "validation": {metric: value},
"stderr"}, the last of the metric that selects, over the validation patients;
without a time, so that a resumed run writes the same bytes. The best step and
the early-stopping state are functions of the rows: nothing else is stored.
"""

from collections.abc import Callable
import json
from typing import Any, NotRequired, TypedDict

import tensorflow as tf

from transfusion_tf import json_file
from transfusion_tf import storage

Row = dict[str, Any]


class _Row(TypedDict):
  """What a row has to be; a value that is not defined is None."""

  step: int
  loss: float | None
  validation: dict[str, float | None]
  stderr: NotRequired[float | None]


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

  def evaluations_below_best(
    self, num_stderr: float = 0.0, after: int = 0
  ) -> int:
    """Return the number of evaluations since one as good as the best.

    Args:
      num_stderr: Width of the band below the best score that is as good, in
        standard errors of that score over the validation patients; without
        one, the best alone is.
      after: Evaluations up to this step do not count.
    """
    best_row = self.best
    if best_row is None:
      return 0
    metric = self._primary_metric
    stderr = best_row.get('stderr') or 0
    least = best_row['validation'][metric] - num_stderr * stderr
    count = 0
    for row in reversed(self.rows):
      score = row['validation'].get(metric)
      is_good = row is best_row or (score is not None and score > least)
      if is_good or row['step'] <= after:
        break
      count += 1
    return count


def best(rows: list[Row], primary_metric: str) -> Row | None:
  """Return the earliest of the rows with the highest `primary_metric`."""
  scored = [r for r in rows if r['validation'].get(primary_metric) is not None]
  return max(
    scored, key=lambda r: r['validation'][primary_metric], default=None
  )


def read(path: str) -> list[Row]:
  """Read the rows of a metrics.jsonl; a truncated last line is left out.

  Raises:
    FileNotFoundError: There is none.
    DamagedFileError: It is damaged.
  """
  remedy = 'delete the run folder and train again'
  return json_file.read_rows(path, _Row, remedy)


def _line(row):
  return json.dumps(row, allow_nan=False) + '\n'
