"""How much data is enough: learning curves, as sections and a file."""

from collections.abc import Iterator, Sequence
import os

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.models import registry
from transfusion_tf.study import curve_table
from transfusion_tf.study import data_answers
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import learning_curve
from transfusion_tf.study import measured_curves
from transfusion_tf.study import outcome as outcome_lib
from transfusion_tf.study import paired
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import report
from transfusion_tf.study.plots import learning_curve as plots

TABLE = 'learning_curve.csv'
_FEWEST = 2  # Sizes of a curve.
_CAPTION = (
  'Mean test score over seeds by the number of training {0}, with 95 % '
  'intervals over seeds and test patients. Lines and bands are the power laws '
  'that the points allow; dashed is forecast. Below, the same less random '
  'weights, paired on test patients; within the gray band, ±{1:g}, a '
  'difference does not matter.'
)
_RULE = (
  'Each start was trained on nested subsets of the training {0}, at the '
  'learning rate of the whole set, for as many passes, and at least 500 steps '
  'or as many as on the whole set. All runs of a size share one subset: that '
  'another choice of {0} would give another curve is not in the intervals.'
)
_LAW = (
  'The law is 1 - score = c + a n^-b with c and a not negative. Intervals hold '
  'what any law says that the points allow, for every b from 0.1 to 2; they '
  'say nothing of curves of another shape.'
)
_TEST = (
  'How far to trust a forecast: below, the largest number of {0} is left out, '
  'forecast from the smaller ones, and compared with what was measured.'
)
_NO_TEST = (
  f'The forecast is not tested: that takes {learning_curve.FEWEST + 1} sizes, '
  'of which the largest is left out. Add one to --subsets.'
)


def sections(
  root: str,
  outcome: outcome_lib.Outcome,
  comparer: paired.Comparer,
  margin: float,
) -> Iterator[report.Section]:
  """Yield a section for each network with two sizes; write learning_curve.csv.

  Args:
    root: Folder of the study.
    outcome: The runs.
    comparer: Has read the scores of the runs.
    margin: The smallest difference that matters.
  """
  if not outcome.subsets.bases:
    return
  rows: list[dict] = []
  models = dict.fromkeys(m for r in outcome.runs_by_size.values() for m in r)
  for model in models:
    title = f'How much data is enough for {registry.label(model)}?'
    try:
      yield from _section(title, model, outcome, comparer, margin, rows)
    except Exception as error:  # Whatever a damaged file makes of it.
      reason = startup.report_error(error)
      yield report.Section(title, [f'Not shown: {reason}.'])
  table = pd.DataFrame(rows).to_csv(index=False)
  storage.write_text(os.path.join(root, TABLE), table)


def _section(title, model, outcome, comparer, margin, rows):
  by_size, unit = outcome.runs_by_size, outcome.subsets.unit
  scores = _curves(measured_curves.score, by_size, model, comparer)
  if not scores:
    return
  differences = _curves(measured_curves.difference, by_size, model, comparer)
  for curve in (*scores, *differences):
    rows += curve_table.rows(curve)
  runs = next(iter(scores[0].runs.values()))
  metric = display.metric(runs[0].primary_metric)
  yield report.Section(
    title,
    [
      *(s for c in differences for s in data_answers.pays(c, margin, unit)),
      *data_answers.equivalents(scores, comparer, unit),
      *filter(None, (data_answers.doubling(c, metric, unit) for c in scores)),
      *_without_law(scores),
      *_unsettled(scores, unit),
      _RULE.format(unit),
      *_about_law(scores, unit),
    ],
    _tests(scores),
    plots.plot(
      registry.label(model), scores, differences, margin, metric, unit
    ),
    _CAPTION.format(unit, margin),
  )


def _curves(make, by_size, model, comparer):
  """Return the curves of the starts that at least two sizes have."""
  whole = list(by_size.values())
  starts = dict.fromkeys(s for runs in whole for s in runs.get(model, {}))
  needed = {plan_lib.RANDOM} if make is measured_curves.difference else set()
  return [
    make(by_size, model, start, comparer)
    for start in starts
    if start not in needed
    and sum({start, *needed} <= set(r.get(model, {})) for r in whole) >= _FEWEST
  ]


def _without_law(scores):
  for curve in scores:
    if curve.reason:
      yield (
        f'{display.start(curve.start).label}: no forecast, for {curve.reason}.'
      )


def _unsettled(scores: Sequence[measured_curves.Curve], unit: str):
  """Yield the sizes at which longer runs may do better."""
  for curve in scores:
    sizes = [n for n, r in curve.runs.items() if not decision.is_settled(r)]
    if sizes:
      numbers = errors.listed([f'{size:,}' for size in sizes])
      yield (
        f'{display.start(curve.start).label} with {numbers} {unit}: more than '
        'half of the runs were still improving when they ended. Longer ones '
        'may do better, and change where transfer pays.'
      )


def _about_law(scores, unit) -> list[str]:
  """Return what the laws are, and what tests their forecasts."""
  if not any(curve.law for curve in scores):
    return []
  test = _NO_TEST
  if any(curve.held_out() for curve in scores):
    test = _TEST.format(unit)
  return [_LAW, test]


def _tests(scores) -> pd.DataFrame | None:
  rows = []
  for curve in scores:
    if found := curve.held_out():
      measured, forecast = found
      texts = data_answers.held_out(forecast, measured)
      names = ('Forecast from smaller ones', 'Measured', 'Within')
      rows.append(
        {
          'Start': display.start(curve.start).label,
          'Size': f'{curve.largest:,}',
          **dict(zip(names, texts, strict=True)),
        }
      )
  return pd.DataFrame(rows) if rows else None
