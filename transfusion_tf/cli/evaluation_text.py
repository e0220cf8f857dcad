"""What evaluate.py prints of a table of scores."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import metrics
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import label_counts
from transfusion_tf.run import build as run_lib
from transfusion_tf.run import scores as scores_lib
from transfusion_tf.study import external
from transfusion_tf.study import external_page
from transfusion_tf.study.plots import reliability


def notes(run: run_lib.Run, split: str, is_own: bool) -> Iterator[str]:
  """Yield what is unusual about the data set, before it is scored."""
  prepared = run.source.prepared
  if not is_own:
    for note in run.source.label_map.notes(prepared.name):
      yield f'note: {note}'
  if missing := label_counts.lacking(prepared, split):
    yield (
      f'note: {split} of {prepared.name} has {errors.listed(missing)}: what is '
      'missing cannot be scored'
    )


def lines(
  task: tasks.Task,
  split: str,
  scores: pd.DataFrame,
  summaries: Mapping[str, metrics.Summary],
  points: Sequence[Mapping[str, Any]],
  lacking: str,
) -> Iterator[str]:
  """Yield the metrics, the operating points and the confusion matrix.

  Args:
    task: The task.
    split: Name of the split.
    scores: One row per example.
    summaries: The metrics.
    points: The operating points.
    lacking: Why there are none, if that is to be said.
  """
  for name, metric in summaries.items():
    yield f'{split} {name} {metrics.text(metric)}'
  for point in points:
    yield f'{split} {metrics.operating_points.text(point)}'
  if lacking:
    yield f'note: no operating points: {lacking}'
  yield from _confusion(scores_lib.confusion(task, scores))


def files(
  path: str,
  scores: pd.DataFrame,
  validation: external.Validation | None = None,
) -> Iterator[str]:
  """Draw what belongs beside a table; yield what was written.

  Args:
    path: Path of the table.
    scores: The table.
    validation: The comparison with the internal test, on another site's images.
  """
  curve = path.removesuffix('.csv') + '_reliability.png'
  if reliability.write(curve, scores):
    noise = reliability.noise(scores)
    yield (
      f'calibration curve: {curve} (a perfectly calibrated network would show '
      f'an ece of about {noise:.3f} on so many images)'
    )
  if validation:
    name = validation.primary
    if difference := validation.difference(name):
      yield (
        f'{name} less that of the internal test {metrics.text(difference)}'
      )
    page = path.removesuffix('.csv') + '.html'
    external_page.write(page, validation)
    yield f'page: {page}'
  yield f'{len(scores)} images; scores: {path}'


def _confusion(matrix):
  """Yield the lines of a confusion matrix; none of very many classes."""
  names, counts = matrix.get('names', ()), matrix.get('counts', ())
  if not 0 < len(names) <= metrics.agreement.MOST_SHOWN:
    return
  cells = [['true \\ most probable', *names]]
  cells += [[n, *map(str, row)] for n, row in zip(names, counts, strict=True)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  for row in cells:
    yield '  '.join(
      cell.rjust(width) if n else cell.ljust(width)
      for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
