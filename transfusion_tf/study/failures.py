"""The runs of a study that failed: rows of its tables, each with a reason."""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses

import pandas as pd

from transfusion_tf.models import registry
from transfusion_tf.study import display
from transfusion_tf.study import report


@dataclasses.dataclass(frozen=True)
class Failure:
  """A run without a usable result.

  Attributes:
    key: Its path below the study's folder.
    model: Model.
    start: Scheme.
    reason: Why it failed, in one line.
    patients: Number of training patients, if it was to train on a subset.
  """

  key: str
  model: str
  start: str
  reason: str
  patients: int = 0


def add_to(table: pd.DataFrame, failures: Sequence[Failure]) -> pd.DataFrame:
  """Return a table of models and starts with those that failed, and why.

  Args:
    table: A row for each model and start with a finished run.
    failures: The runs that failed; without any, the table stays as it is.
      Those on subsets are in no row of it.
  """
  failures = [failure for failure in failures if not failure.patients]
  if not failures:
    return table
  reasons: dict[tuple[str, str], list[str]] = {}
  for failure in failures:
    names = registry.label(failure.model), display.start(failure.start).label
    reasons.setdefault(names, []).append(failure.reason)
  known = set(zip(table.get('Model', ()), table.get('Start', ()), strict=True))
  rows = [
    {'Model': model, 'Start': start, 'Seeds': 0}
    for model, start in reasons
    if (model, start) not in known
  ]
  table = pd.concat([table, pd.DataFrame(rows)]) if rows else table
  whys = [
    _count(reasons.get(names, ()))
    for names in zip(table['Model'], table['Start'], strict=True)
  ]
  return table.assign(Failed=whys).fillna('–').reset_index(drop=True)


def section(failures: Iterable[Failure]) -> Iterator[report.Section]:
  """Yield the section that lists the failures, if there are any."""
  rows = [
    {'Run': failure.key, 'Why it failed': failure.reason}
    for failure in failures
  ]
  if rows:
    yield report.Section(
      'What failed',
      [
        'The same command tries these runs again and keeps those that are '
        'finished. All that is said here is of the latter.'
      ],
      pd.DataFrame(rows),
    )


def _count(reasons):
  """Return the number of failed runs, with each reason once."""
  if not reasons:
    return '–'
  return f'{len(reasons)}: {"; ".join(dict.fromkeys(reasons))}'
