"""Writes a study of one data set as a table, a report and a recommendation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import functools
import os

from matplotlib import figure as figure_lib
import numpy as np
import pandas as pd

from transfusion_tf import metrics
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.metrics import operating_points
from transfusion_tf.models import registry
from transfusion_tf.study import answer_page
from transfusion_tf.study import benefit_page
from transfusion_tf.study import clinical_sections
from transfusion_tf.study import data_page
from transfusion_tf.study import decision
from transfusion_tf.study import depth_page
from transfusion_tf.study import device_kinds
from transfusion_tf.study import display
from transfusion_tf.study import endings
from transfusion_tf.study import failures as failures_lib
from transfusion_tf.study import model_cost
from transfusion_tf.study import next_page
from transfusion_tf.study import next_steps
from transfusion_tf.study import outcome as outcome_lib
from transfusion_tf.study import paired
from transfusion_tf.study import probe_page
from transfusion_tf.study import rate_page
from transfusion_tf.study import recommendation_text
from transfusion_tf.study import report
from transfusion_tf.study import results
from transfusion_tf.study import time_limits
from transfusion_tf.study.plots import convergence
from transfusion_tf.study.plots import filters

TABLE, REPORT, RECORD = 'study.csv', 'report.html', 'study.json'
SIMILARITY = 'similarity.csv'


def write(
  root: str,
  dataset: str,
  outcome: outcome_lib.Outcome,
  footprints: Mapping[str, model_cost.Footprint],
  margin: float,
  similarity: pd.DataFrame,
  not_compared: Mapping[str, str],
  groups: pd.DataFrame | None = None,
  targets: Sequence[operating_points.Target] | None = None,
) -> tuple[str, str]:
  """Write study.csv, similarity.csv, study.json and report.html below `root`.

  Args:
    root: Folder of the study.
    dataset: Name of the data set.
    outcome: The runs, finished or failed.
    footprints: Model -> its cost.
    margin: The smallest difference in the test score that matters.
    similarity: A row for each model, start and stage.
    not_compared: Model, or model and start -> why it has no such row.
    groups: `PreparedDataset.subgroups`; None for none.
    targets: Operating points; `operating_points.targets()` if None.

  Returns:
    The table as text, and the recommendation with what would settle the rest.
  """
  parameters = {m: f.parameters for m, f in footprints.items()}
  comparer = paired.Comparer()
  runs, finished, failures = outcome.runs, outcome.finished, outcome.failures
  decided = decision.decide(runs, margin, parameters, comparer)
  # NaN if the validation score is not defined.
  threshold = results.common_threshold(outcome.results)
  made = _table(outcome, footprints, comparer, decided)
  table = failures_lib.add_to(made, failures)
  for name, frame in ((TABLE, table), (SIMILARITY, similarity)):
    storage.write_text(os.path.join(root, name), frame.to_csv(index=False))
  sentences = (
    recommendation_text.recommendation(decided, runs, margin)
    if outcome.results
    else ['No run is finished: there is nothing to recommend.']
  )
  steps = next_steps.steps(runs, decided, margin, comparer)
  storage.write_json(
    os.path.join(root, RECORD),
    _record(decided, margin, sentences, outcome, not_compared)
    | {'next_steps': [vars(step) for step in steps]},
  )
  # Reasons have a section of their own.
  shown = table.drop(columns='Failed', errors='ignore')
  sections = [
    *answer_page.sections(outcome, decided, sentences, margin, comparer),
    *next_page.section(steps, runs),
    *time_limits.section(root),
    report.Section('What came out', _notes(outcome), shown),
    *failures_lib.section(failures),
    *_decisions(decided, footprints, margin),
    *data_page.sections(root, outcome, comparer, margin),
    *depth_page.sections(outcome, comparer),
    *endings.section(outcome),
    *rate_page.section(outcome.choices, outcome.results),
    *probe_page.sections(root),
    *clinical_sections.write(
      root, runs, decided, pd.DataFrame() if groups is None else groups, targets
    ),
    *_convergence(finished, threshold),
    *_filters(finished),
    _similarities(similarity, not_compared),
    *benefit_page.sections(root, outcome.results),
    *_provenance(outcome.results),
  ]
  report.write(
    os.path.join(root, REPORT), f'Does transfer pay on {dataset}?', sections
  )
  said = [' '.join(sentences), *next_page.lines(steps, runs, root)]
  return shown.to_string(index=False), '\n'.join(said)


def partial_report(root: str) -> str:
  """Return the name of the page to write before any run is finished, or ''.

  A study that has its report keeps it until there is a new one.
  """
  return '' if storage.exists(os.path.join(root, RECORD)) else REPORT


_RULE = (
  'Each start less random weights, on the test set: the interval is over both '
  'the choice of patients, who are the same for both, and the seeds. All of it '
  'within ±{0:g}: no difference that matters. All of it above 0: it helps; '
  'below: it hurts. Else, or with one seed a side, it is inconclusive. Where '
  'one of the two is not better than chance, or was still improving and could '
  'undo the verdict, none follows. The last '
  'column is the p value of the verdict, adjusted for their number (Holm).'
)
_SIZE_RULE = (
  'Each model from the start with the best validation score. A model is good '
  'enough where the interval excludes that it is worse by {0:g} or more than '
  'the best one, which validation chose as well, and neither is at chance.'
)


def _decisions(decided, footprints, margin):
  notes = [recommendation_text.at_chance(test) for test in decided.at_chance]
  if decided.effects:
    yield report.Section(
      'Does transfer help?', [_RULE.format(margin), *notes], _effects(decided)
    )
  if decided.candidates:
    yield report.Section(
      'How small may the model be?',
      [_SIZE_RULE.format(margin), *notes],
      _candidates(decided, footprints),
    )


def _table(outcome, footprints, comparer, decided):
  rows = []
  for model, starts in outcome.finished.items():
    cost = footprints[model]
    for start, seeds in starts.items():
      scored = outcome.runs.get(model, {}).get(start)
      score, interval = _score(seeds[0], scored, comparer)
      rows.append(
        {
          'Model': registry.label(model),
          'Start': display.start(start).label,
          f'Test {display.metric(seeds[0].primary_metric)}': score,
          '95 % interval': interval,
          'Better than chance': _better(decided.chance_test(model, start)),
          'Best validation': _validation(seeds),
          'Seeds': len(seeds),
          'Parameters': f'{cost.parameters:,}',
          'GFLOPs': _number(cost.flops / 1e9),
          'CPU ms': _number(cost.milliseconds),
        }
      )
  return pd.DataFrame(rows)


def _score(run, scored, comparer):
  """Return the mean test score of scored runs, and its interval, as texts."""
  if not scored:
    return metrics.cells(run.test())
  score = comparer.difference([1], [scored])
  if not score.known:
    low, high = scored[0].test()['low'], scored[0].test()['high']
    known = len(scored) == 1 and low is not None
    interval = f'{low:.3f} to {high:.3f}, patients only' if known else '–'
    return f'{score.value:.3f}', interval
  low, high = score.low, score.high
  if scored[0].test_metric().is_fraction:
    # A t interval near a perfect score reaches beyond it.
    low, high = max(low, 0), min(high, 1)
  interval = f'{low:.3f} to {high:.3f}'
  return f'{score.value:.3f}', interval


def _number(value):
  return '–' if np.isnan(value) else f'{value:.3g}'


def _better(test):
  if test is None:
    return '–'
  return 'yes' if test.better else 'not shown'


def _validation(seeds):
  best = np.mean([run.best() for run in seeds])
  return '–' if np.isnan(best) else f'{best:.3f}'


def _effects(decided):
  return pd.DataFrame(
    [
      {
        'Model': registry.label(effect.model),
        'Start': display.start(effect.start).label,
        'Difference': effect.difference.text(),
        'Verdict': _verdict(effect),
        'p': f'{effect.p_value:.3f}',
      }
      for effect in decided.effects
    ]
  )


def _verdict(effect):
  reasons = [
    f'{" and ".join(display.start(start).label for start in starts)} {state}'
    for starts, state in (
      (effect.at_chance, 'at chance'),
      (effect.improving, 'still improving'),
    )
    if starts
  ]
  return ': '.join([effect.verdict, *filter(None, ['; '.join(reasons)])])


def _candidates(decided, footprints):
  return pd.DataFrame(
    [
      {
        'Model': registry.label(c.model),
        'Start': display.start(c.start).label,
        'Parameters': f'{footprints[c.model].parameters:,}',
        'Behind the best': c.deficit.text() if c.deficit else '–',
        'Good enough': 'yes' if c.good_enough else 'not shown',
      }
      for c in decided.candidates
    ]
  )


def _convergence(runs, threshold):
  if np.isnan(threshold):
    return
  for model, starts in runs.items():
    yield _figure(
      f'Convergence of {registry.label(model)}',
      functools.partial(convergence.plot, dict(starts), threshold),
      'Mean over seeds, and the range between them. The line is the '
      'highest validation score, in steps of 0.01, that all runs of the study '
      'reach.',
    )


def _filters(runs):
  for model, starts in runs.items():
    yield _figure(
      f'First-layer filters of {registry.label(model)}',
      functools.partial(
        filters.plot, [seeds[0] for seeds in starts.values()], list(starts)
      ),
      'Each scaled to its own largest weight, of the first seeds; '
      'compare Figures 5, 9 and 10 of the paper.',
    )


def _figure(
  title: str, draw: Callable[[], figure_lib.Figure], caption: str
) -> report.Section:
  """Return a section with a figure, or with why it cannot be drawn."""
  try:
    figure = draw()
    figure.draw_without_rendering()
  except Exception as error:  # E.g. the checkpoints are gone.
    reason = startup.report_error(error)
    return report.Section(title, [f'Not drawn: {reason}.'])
  return report.Section(title, figure=figure, caption=caption)


def _similarities(table, not_compared):
  notes = [
    f'{registry.label(model)}: {metrics.UNDEFINED} ({reason})'
    for model, reason in not_compared.items()
  ]
  columns = {
    'Model': table['model'].map(registry.label),
    'Start': table['start'].map(lambda start: display.start(start).label),
    'Stage': table['layer'],
    'Before and after': table['mean'].map('{:.3f}'.format),
    'Noise floor': table['noise_floor'].map('{:.3f}'.format),
  }
  return report.Section(
    'How far training moved each stage',
    [
      'CCA similarity (Appendix C of the paper) of each stage before and after '
      'training, seed 0: 1 is unchanged, the noise floor is what unrelated '
      'activations show. A stage that hardly moves from its pretrained weights '
      'either needed no change or, as the paper finds for large networks, was '
      'not able to.',
      *notes,
    ],
    pd.DataFrame(columns),
  )


def _provenance(runs) -> Iterator[report.Section]:
  """Yield how runs were made, and what their folders hold."""
  used = device_kinds.used(runs)
  for run in runs[:1]:
    versions = ', '.join(f'{k} {v}' for k, v in run.result['versions'].items())
    paragraph = (
      f'Made with {versions}. Every run folder holds its whole configuration '
      '(config.json), what happened to each weight before training (init.json) '
      'and one line an evaluation (metrics.jsonl).'
    )
    yield report.Section('How it was run', [paragraph, *filter(None, [used])])


def _notes(outcome):
  if not outcome.results:
    return ['No run is finished.']
  run = outcome.results[0]
  failed = {failure.key for failure in outcome.failures}
  missing = {k: why for k, why in outcome.missing.items() if k not in failed}
  validated = all(not np.isnan(run.best()) for run in outcome.results)
  undefined = '' if validated else ' The validation score is not defined.'
  notes = [
    f'{run.result["num_train"]} images to train on, {run.result["num_test"]} '
    f'to test on, {run.experiment.data.image_size} px. Parameters are the '
    'trainable ones; GFLOPs and the median time on this machine’s CPU are of '
    f'one image.{undefined}'
  ]
  notes += device_kinds.differing(outcome.finished)
  if missing:
    notes.append(
      'Missing, or without a score: '
      + '; '.join(f'{key} ({reason})' for key, reason in missing.items())
    )
  return notes


def _record(decided, margin, sentences, outcome, not_compared):
  def record(estimate):
    if estimate is None or not estimate.known:
      return None
    return {'value': estimate.value, 'low': estimate.low, 'high': estimate.high}

  chosen = decided.recommended
  return {
    'recommendation': sentences,
    'model': chosen and chosen.model,
    'start': chosen and chosen.start,
    'margin': margin,
    'effects': [
      vars(e) | {'difference': record(e.difference)} for e in decided.effects
    ],
    'chance': [
      vars(t) | {'score': record(t.score), 'better': t.better}
      for t in decided.chance_tests
    ],
    'candidates': [
      {
        'model': c.model,
        'start': c.start,
        'shortfall': record(c.deficit),
        'good_enough': c.good_enough,
      }
      for c in decided.candidates
    ],
    'learning_rates': [choice.record() for choice in outcome.choices],
    'endings': endings.table(outcome.finished).to_dict('records'),
    'missing': dict(outcome.missing),
    'not_compared': dict(not_compared),
  }
