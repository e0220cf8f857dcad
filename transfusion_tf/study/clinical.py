"""What a clinic asks of the networks of a study, from their tables of scores.

Each start of a model is its networks, one a seed; every number is their mean,
with an interval over patients and networks (`over_networks`).
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses

import pandas as pd

from transfusion_tf import metrics
from transfusion_tf import output_names
from transfusion_tf.metrics import operating_points
from transfusion_tf.study import decision
from transfusion_tf.study import over_networks
from transfusion_tf.study import results

# In the order of a table; those that the labels do not have stay out.
METRICS = (
  *('macro_auc', 'balanced_accuracy', 'kappa', 'average_precision'),
  *('brier', 'brier_skill', 'ece'),
)


@dataclasses.dataclass(frozen=True)
class Point:
  """An operating point of a start; each network has its own threshold.

  Attributes:
    question: What is asked, e.g. a finding.
    target: What validation has to show.
    chosen_on: The validation images of the class that the target is about.
    sensitivity: Sensitivity on the test images.
    specificity: Specificity on the test images.
  """

  question: str
  target: operating_points.Target
  chosen_on: int
  sensitivity: over_networks.Score
  specificity: over_networks.Score


def scores(
  runs: Sequence[results.Result], names: Sequence[str] = METRICS
) -> dict[str, over_networks.Score]:
  """Return the mean of each metric that the runs of a start have."""
  tables = [run.scores for run in runs]
  patient = metrics.patient_numbers(tables[0]['patient_id'])
  found = {}
  for name in names:
    try:
      parts = [metrics.from_columns(table, name) for table in tables]
    except ValueError:  # These labels have no such metric.
      continue
    found[name] = over_networks.score(_group(parts, patient))
  return found


def confusion(runs: Sequence[results.Result]) -> pd.DataFrame:
  """Return how often images of each true class or grade are given each.

  Empty of findings, and of runs of earlier versions.

  Args:
    runs: The runs of a start.

  Returns:
    Means over networks, [K, K]; a row is a true class.
  """
  counts = []
  for run in runs:
    table = run.scores
    if output_names.TRUE not in table:
      return pd.DataFrame()
    names = list(output_names.of_columns(table))
    # Of grades the network may have a rule of its own.
    answered = table.get('kappa:answer')
    given = (
      table[names].to_numpy().argmax(axis=1) if answered is None else answered
    )
    found = metrics.agreement.confusion(
      names, table[output_names.TRUE].to_list(), [names[k] for k in given]
    )
    counts.append(pd.DataFrame(found['counts'], names, names))
  return sum(counts[1:], counts[0]) / len(counts)


def noise(runs: Sequence[results.Result]) -> float | None:
  """Return the calibration error that a calibrated network would show."""
  table = runs[0].scores
  if metrics.answers.from_table(table) is None:
    return None
  error = metrics.from_columns(table, 'ece')
  if not isinstance(error, metrics.calibration.CalibrationError):
    return None
  return error.noise(metrics.patient_numbers(table['patient_id']))


def points(
  runs: Sequence[results.Result],
  targets: Sequence[operating_points.Target] | None = None,
) -> list[Point]:
  """Return the operating points of the runs of a start.

  None for several classes, and where a run has no validation scores.

  Args:
    runs: The runs.
    targets: What is asked of validation; `operating_points.targets()` if None.
  """
  validation = [
    table for run in runs if (table := run.validation_scores) is not None
  ]
  if len(validation) < len(runs):
    return []
  patient = metrics.patient_numbers(runs[0].scores['patient_id'])
  found = [
    operating_points.judge(
      metrics.answers.from_table(chosen),
      metrics.answers.from_table(run.scores),
      targets,
    )
    for run, chosen in zip(runs, validation, strict=True)
  ]
  return [
    Point(
      same[0].chosen.question,
      same[0].chosen.target,
      same[0].chosen.chosen_on,
      *(
        over_networks.score(_group([getattr(p, side) for p in same], patient))
        for side in ('sensitivity', 'specificity')
      ),
    )
    for same in zip(*found, strict=True)
  ]


def flat(
  runs: decision.Runs, targets: Sequence[operating_points.Target] | None = None
) -> pd.DataFrame:
  """Return all numbers, a row each, as a CSV file can hold them."""
  return pd.DataFrame(
    [
      {'model': model, 'start': start, **row}
      for model, starts in runs.items()
      for start, seeds in starts.items()
      for row in _rows(seeds, targets)
    ],
    columns=[
      *('model', 'start', 'metric', 'question', 'point', 'at_least'),
      *('value', 'low', 'high', 'networks', 'note'),
    ],
  )


def _rows(seeds, targets) -> Iterator[Mapping]:
  for name, score in scores(seeds).items():
    yield {'metric': name, **_cells(score)}
  for point in points(seeds, targets):
    where = {
      'question': point.question,
      'point': point.target.name,
      'at_least': point.target.at_least,
    }
    yield {'metric': 'sensitivity', **where, **_cells(point.sensitivity)}
    yield {'metric': 'specificity', **where, **_cells(point.specificity)}


def _cells(score):
  return {
    'value': score.value,
    'low': score.low,
    'high': score.high,
    'networks': score.networks,
    'note': score.reason,
  }


def _group(parts, patient):
  return over_networks.Group(parts, patient, patient.max() + 1)
