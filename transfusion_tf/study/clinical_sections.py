"""Sections of a study's report on clinical numbers, and their CSV files."""

from collections.abc import Callable, Iterator, Sequence
import functools
import os

from matplotlib import figure as figure_lib
import pandas as pd

from transfusion_tf import metrics
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.metrics import operating_points
from transfusion_tf.models import registry
from transfusion_tf.study import clinical
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import report
from transfusion_tf.study import results
from transfusion_tf.study import subgroups
from transfusion_tf.study.plots import reliability

NUMBERS, SUBGROUPS = 'clinical.csv', 'subgroups.csv'
TITLES = (
  *('Clinical numbers', 'Operating points', 'Calibration', 'Subgroups'),
  'Confusion',
)


def write(
  root: str,
  runs: decision.Runs,
  decided: decision.Decision,
  groups: pd.DataFrame,
  targets: Sequence[operating_points.Target] | None = None,
) -> list[report.Section]:
  """Write the CSV files below `root`, and return the sections.

  Args:
    root: Folder of the study.
    runs: Runs with a test score.
    decided: The decision, whose choice the subgroups are shown of.
    groups: `PreparedDataset.subgroups`.
    targets: Operating points; `operating_points.targets()` if None.
  """
  if not runs:
    return []
  targets = targets or operating_points.targets()
  sections = [
    *_section(TITLES[0], lambda: _numbers(root, runs, targets)),
    *_section(TITLES[1], lambda: _points(runs, targets)),
    *_section(TITLES[4], lambda: _confusion(runs, _shown(runs, decided))),
  ]
  for model, starts in runs.items():
    title = f'{TITLES[2]} of {registry.label(model)}'
    sections += _section(title, functools.partial(_calibration, starts))
  if len(groups.columns):
    sections += _section(
      TITLES[3], lambda: _subgroups(root, runs, _shown(runs, decided), groups)
    )
  return sections


def _section(title: str, make: Callable[[], dict]) -> Iterator[report.Section]:
  """Yield a section, or one that says why there is none."""
  try:
    parts = make()
  except results.UNAVAILABLE as error:
    parts = {'paragraphs': [f'Not available: {startup.report_error(error)}.']}
  if parts:
    yield report.Section(title, **parts)


_NUMBERS = (
  'Means over networks with 95 % intervals over patients and seeds (patients '
  'alone where there is one seed). {} The average precision is the area under '
  'the curve of precision over recall; chance is the fraction of positive '
  'images. The Brier score is the mean squared error of the probabilities; its '
  'skill is how much less that is than by saying the frequency of the classes '
  'of every image. The calibration error (ECE) is over bins of equal counts, '
  'ten where there are 200 images.'
)
_NOISE = (
  ' Noise alone makes it positive: a perfectly calibrated network would show '
  'about {:.3f} on this test set.'
)
_CLASSES = (
  'AUC and average precision are of each class against the rest, and their '
  'plain mean; balanced accuracy is the mean of the fractions of each class '
  'that are recognized.'
)


def _numbers(root, runs, targets):
  path = os.path.join(root, NUMBERS)
  storage.write_text(path, clinical.flat(runs, targets).to_csv(index=False))
  rows = []
  for model, start, seeds in _starts(runs):
    # What is compared above is not repeated.
    names = [n for n in clinical.METRICS if n != seeds[0].primary_metric]
    found = clinical.scores(seeds, names)
    texts = {display.metric(n): score.text() for n, score in found.items()}
    rows.append({**_names(model, start), **texts})
  first = next(seeds for _, _, seeds in _starts(runs))
  level = clinical.noise(first)
  several = 'macro_auc' in clinical.scores(first, ['macro_auc'])
  text = _NUMBERS.format(_CLASSES if several else '')
  if level is not None:
    text += _NOISE.format(level)
  return {
    'paragraphs': [text, f'All of them are in {NUMBERS}.'],
    'table': pd.DataFrame(rows),
  }


_POINTS = (
  'Two thresholds for each network, chosen on validation and judged on the '
  'test set, as Gulshan et al. (JAMA 316(22), 2016) choose theirs on images '
  'of the development: high specificity, the lowest threshold at which '
  'validation shows a specificity of {:g} or more, and high sensitivity, the '
  'highest with a sensitivity of {:g} or more. The intervals take the '
  'thresholds as given: how far they would move with other validation images '
  'is not in them. They were chosen on {} images, so the test set may well '
  'show less than was asked for.'
)
_NO_POINTS = (
  'None: these runs have no validation_scores.csv, for an earlier version made '
  'them. evaluate.py gives the operating points of each.'
)


def _points(runs, targets):
  rows, counts = [], {}
  for model, start, seeds in _starts(runs):
    for point in clinical.points(seeds, targets):
      alone = point.question == metrics.answers.TWO_CLASSES
      asked = {} if alone else {'Question': point.question}
      rows.append(
        {
          **_names(model, start),
          **asked,
          'Operating point': point.target.name,
          'Sensitivity': point.sensitivity.text(),
          'Specificity': point.specificity.text(),
        }
      )
      counts.setdefault(point.target.name, set()).add(point.chosen_on)
  if not rows:
    first = next(seeds for _, _, seeds in _starts(runs))[0]
    is_old = first.validation_scores is None
    return {'paragraphs': [_NO_POINTS]} if is_old else {}
  numbers = ' and '.join(
    f'{_range(n)} {kind}'
    for kind, name in (
      ('negative', operating_points.HIGH_SPECIFICITY),
      ('positive', operating_points.HIGH_SENSITIVITY),
    )
    if (n := counts.get(name))
  )
  text = _POINTS.format(*(t.at_least for t in targets), numbers)
  return {'paragraphs': [text], 'table': pd.DataFrame(rows)}


def _calibration(starts):
  tables = {
    display.scheme(start): [run.scores for run in seeds]
    for start, seeds in starts.items()
  }
  first = next(iter(tables.values()))[0]
  if metrics.answers.from_table(first) is None:
    return {}
  fig: figure_lib.Figure = reliability.plot(tables)
  fig.draw_without_rendering()
  return {
    'figure': fig,
    'caption': 'How often images of a probability are positive, one line a '
    'network and one point for equally many test images. On the diagonal, '
    'probabilities are true.',
  }


def _subgroups(root, runs, shown, groups):
  made, table = [], pd.DataFrame()
  for model, start, seeds in _starts(runs):
    rows = subgroups.rows(
      [run.scores for run in seeds], groups, seeds[0].primary_metric
    )
    names = {'model': model, 'start': start}
    made += [names | row for row in subgroups.flat(rows)]
    if (model, start) == shown:
      table = rows
  path = os.path.join(root, SUBGROUPS)
  storage.write_text(path, pd.DataFrame(made).to_csv(index=False))
  model, start = shown
  metric = display.metric(runs[model][start][0].primary_metric)
  return {
    'paragraphs': [
      f'{metric} of {registry.label(model)} from {display.scheme(start).label} '
      'in groups of the test images, and its difference from that of all other '
      'images, with 95 % intervals over patients and seeds. Those of the other '
      f'networks are in {SUBGROUPS}.',
      subgroups.caution(table),
    ],
    'table': pd.DataFrame(
      {
        'Column': table['column'],
        'Group': table['group'],
        'Images': table['images'],
        'Patients': table['patients'],
        **(
          {'Positive': table['positive'].astype(int)}
          if table['positive'].notna().all()
          else {}
        ),
        metric: [score.text() for score in table['score']],
        'Less all others': [d.text(sign='+') for d in table['difference']],
      }
    ),
  }


def _confusion(runs, shown):
  model, start = shown
  counts = clinical.confusion(runs[model][start])
  if not 2 <= len(counts) <= metrics.agreement.MOST_SHOWN:
    return {}
  images = counts.sum(axis=1)
  shares = counts.div(images.where(images > 0), axis=0)
  table = shares.map(lambda x: '–' if pd.isna(x) else f'{x:.0%}')
  table.insert(0, 'Images', images.round().astype(int))
  return {
    'paragraphs': [
      f'{registry.label(model)} from {display.scheme(start).label}: the test '
      'images of each true class or grade (rows) by the most probable one '
      '(columns), means over networks.'
    ],
    'table': table.rename_axis('True').reset_index(),
  }


def _shown(runs, decided):
  """Return the model and start that the study is about most."""
  chosen = decided.recommended or decided.reference
  if chosen:
    return chosen.model, chosen.start
  model, start, _ = next(_starts(runs))
  return model, start


def _starts(runs):
  for model, starts in runs.items():
    for start, seeds in starts.items():
      yield model, start, seeds


def _names(model, start):
  return {
    'Model': registry.label(model),
    'Start': display.scheme(start).label,
  }


def _range(numbers):
  low, high = min(numbers), max(numbers)
  return f'{low}' if low == high else f'{low} to {high}'
