"""Metrics, read back from a table of scores."""

from collections.abc import Mapping, Sequence

import numpy as np

from transfusion_tf.metrics import answers
from transfusion_tf.metrics import base
from transfusion_tf.metrics import means
from transfusion_tf.metrics import ranking

MEAN = 'mean'  # The average of all AUCs of a table.


def from_columns(table: Mapping[str, Sequence], name: str) -> base.Metric:
  """Return the metric that wrote `columns(name)` to a table of scores.

  Args:
    table: Column -> [N], e.g. a data frame.
    name: Name of the metric; `mean` averages all AUCs of the table, and those
      of `answers.METRICS` are made from its labels and probabilities.

  Raises:
    ValueError: The table has no columns of this metric.
  """
  present = {n for names in base.KINDS for n in names if f'{name}:{n}' in table}
  for names, kind in base.KINDS.items():
    if set(names) == present:
      return kind(*(np.asarray(table[f'{name}:{n}'], float) for n in names))
  if name == MEAN:
    labels = [c for c in table if c.endswith(':label')]
    parts = [from_columns(table, c.removesuffix(':label')) for c in labels]
    if aucs := tuple(part for part in parts if isinstance(part, ranking.Auc)):
      return means.Average(aucs)
  if name in answers.METRICS and (given := answers.from_table(table)):
    if metric := answers.METRICS[name](given):
      return metric
  raise ValueError(f'no columns of {name}')
