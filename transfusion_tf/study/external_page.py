"""The page of an external validation."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from transfusion_tf import metrics
from transfusion_tf import tasks
from transfusion_tf.input_pipeline import looks as looks_lib
from transfusion_tf.study import display
from transfusion_tf.study import external
from transfusion_tf.study import report
from transfusion_tf.study.plots import reliability

_THERE, _INTERNAL = 'other site', 'internal test'
_HERE = display.Style(_THERE, '#D55E00', '-', 's')
_HOME = display.Style(_INTERNAL, '#0072B2', '--', 'o')
_INTERVALS = (
  'Intervals are of 95 % over the patients of each set; that of a difference '
  'takes them for different people. It says how far apart the two results are, '
  'not why: network, patients and images all differ.'
)
_PREVALENCE = (
  'Average precision, Brier score and accuracy change with the fraction of '
  'positive images alone; AUC, sensitivity and specificity do not.'
)
_POINTS = (
  'Thresholds were chosen on the validation images of the training, and are '
  'the same on both sets: the other site shows what it would get by taking '
  'them over.'
)
_CURVE = (
  'Fraction of positive images by probability, in bins of as many images each. '
  'On the dotted line probabilities are frequencies. A curve that lies above '
  'it says too little, one below it too much: usual where a condition is more, '
  'or less, frequent than in the training.'
)
_LOOKS = (
  'Of {} images of the other site and {} of the internal test, as they are '
  'stored for the network, and of the raw files that the two sets were '
  'prepared from. Numbers are medians, with the middle 90 % in brackets.'
)


def write(path: str, validation: external.Validation) -> None:
  """Write the page of a validation."""
  title = f'{validation.network} on {validation.here.name}'
  report.write(path, title, list(_sections(validation)))


def _sections(validation):
  yield _answer(validation)
  if section := _points(validation):
    yield section
  yield from _calibration(validation)
  yield _pictures(validation)
  yield _names(validation)


def _answer(validation):
  here, home = validation.here, validation.home
  rows = [
    {'': 'images', _THERE: _count(here), _INTERNAL: _count(home)},
    {
      '': 'patients',
      _THERE: _count(here, 'patient_id'),
      _INTERNAL: _count(home, 'patient_id'),
    },
    {
      '': _positive(validation.task),
      _THERE: external.positives(here),
      _INTERNAL: external.positives(home),
    },
  ]
  rows = [row | {'difference': '–'} for row in rows if row[_THERE] != '–']
  for name in validation.compared():
    difference = validation.difference(name)
    rows.append(
      {
        '': display.metric(name),
        _THERE: _value(here, name),
        _INTERNAL: _value(home, name),
        'difference': _text(difference, '+') if difference else '–',
      }
    )
  paragraphs = [_verdict(validation), _INTERVALS, _PREVALENCE]
  if home.lacking:
    paragraphs.append(f'No internal test: {home.lacking}.')
  if shared := external.shared_patients(validation):
    paragraphs.append(
      f'{shared:,} patient ids are in both sets. If these are the same people, '
      'this is no other site, and the interval of the difference is wrong.'
    )
  return report.Section(
    'The answer', paragraphs, pd.DataFrame(rows), cards=True
  )


def _positive(task):
  """Return what the row of positive images is called."""
  if isinstance(task, tasks.Classes) and len(task.names) == 2:
    return f'positive: {task.names[1]}'
  return 'positive'


def _verdict(validation):
  name = validation.primary
  label, value = display.metric(name), _value(validation.here, name)
  text = f'{label} is {value} on {validation.here.name}.'
  difference = validation.difference(name)
  if not difference or difference['value'] is None:
    return text
  text += (
    f' On the internal test, {validation.home.name}, it is '
    f'{_value(validation.home, name)}: a difference of '
    f'{_text(difference, "+")}.'
  )
  low, high = difference['low'], difference['high']
  if low is None:
    return text + ' There are too few patients for an interval.'
  if high < 0:
    return text + ' It is lower there, by more than chance explains.'
  if low > 0:
    return text + ' It is higher there, by more than chance explains.'
  return text + (
    f' Chance alone could make it. A loss of up to {max(-low, 0):.3f} is not '
    'excluded.'
  )


def _points(validation):
  if validation.no_thresholds:
    return report.Section(
      'At the fixed thresholds', [f'None: {validation.no_thresholds}.']
    )
  here = validation.points(validation.here)
  home = {
    (p['question'], p['point']): p for p in validation.points(validation.home)
  }
  if not here:
    return None
  rows = []
  for point in here:
    own = home.get((point['question'], point['point']))
    rows += [_point_row(_THERE, point)]
    rows += [_point_row(_INTERNAL, own)] if own else []
  return report.Section(
    'At the fixed thresholds', [_POINTS], pd.DataFrame(rows), cards=True
  )


def _point_row(images, point):
  alone = (metrics.answers.TWO_CLASSES, metrics.answers.REFERABLE)
  question = '' if point['question'] in alone else f'{point["question"]}, '
  threshold = point['threshold']
  return {
    'chosen for': f'{question}{point["point"]} of {point["at_least"]:g}',
    'threshold': 'none' if threshold is None else f'{threshold:.4f}',
    'images': images,
    'sensitivity': _text(point['sensitivity']),
    'specificity': _text(point['specificity']),
  }


def _calibration(validation):
  sets = {_HERE: validation.here, _HOME: validation.home}
  tables = {
    style: [scored.table]
    for style, scored in sets.items()
    if scored.table is not None
    and metrics.answers.from_table(scored.table) is not None
  }
  if _HERE not in tables:
    return
  noise = [
    f'{reliability.noise(table):.3f} ({style.label})'
    for style, (table,) in tables.items()
  ]
  text = (
    'A perfectly calibrated network would show a calibration error of about '
    f'{" and ".join(noise)} on so many images, by noise alone.'
  )
  yield report.Section(
    'Calibration', [text], figure=reliability.plot(tables), caption=_CURVE
  )


def _pictures(validation):
  here, home = validation.here, validation.home
  rows = list(_looks_rows(here.looks, home.looks))
  rows += _raw_rows(_raw(here), _raw(home))
  table = pd.DataFrame(rows)
  text = _LOOKS.format(*[_looked_at(each) for each in (here, home)])
  paragraphs = [text, *_warnings(here.looks, home.looks)]
  if home.looks is None:
    paragraphs.append(
      'The data set of the training is not at hand: there is nothing to '
      'compare with.'
    )
  return report.Section(
    'What is different about the pictures', paragraphs, table
  )


def _looked_at(scored):
  count = 0 if scored.looks is None else len(scored.looks.brightness)
  return f'{min(count, looks_lib.MOST):,}'


def _looks_rows(here, home) -> Iterator[dict]:
  for title, name in (
    ('brightness, gray levels of 255', 'brightness'),
    ('contrast, standard deviation of gray levels', 'contrast'),
    ('width / height as stored', 'aspect'),
  ):
    yield _row(title, *(_spread(x and getattr(x, name)) for x in (here, home)))
  for title, name in (('blank', 'is_blank'), ('in color', 'has_color')):
    yield _row(
      title,
      *(
        '–' if x is None else f'{getattr(x, name).mean():.1%}'
        for x in (here, home)
      ),
    )


def _raw(scored):
  return scored.prepared.summary.get('raw_files', {}) if scored.prepared else {}


def _raw_rows(here, home) -> Iterator[dict]:
  """Yield what the raw files were; older sets do not say."""
  for title, key in (
    ('shorter side of the raw file, pixels', 'shorter_side'),
    ('width / height of the raw file', 'aspect'),
  ):
    yield _row(title, *(_points_text(x.get(key)) for x in (here, home)))
  yield _row('kind of file', *(_kinds(x.get('kinds')) for x in (here, home)))


def _row(title, here, home):
  return {'': title, _THERE: here, _INTERNAL: home}


def _spread(values):
  if values is None:
    return '–'
  return _points_text(np.quantile(values, [0.05, 0.5, 0.95]))


def _points_text(points):
  if points is None:
    return 'not recorded'
  low, middle, high = (f'{point:,.4g}' for point in points)
  return f'{middle} [{low} to {high}]'


def _kinds(kinds):
  if not kinds:
    return 'not recorded'
  total = sum(kinds.values())
  return ', '.join(f'{kind} {n / total:.0%}' for kind, n in kinds.items())


def _warnings(here, home) -> Iterator[str]:
  """Yield what a reader should not miss."""
  if here is None or home is None:
    return
  for name in ('brightness', 'contrast', 'aspect'):
    low, high = np.quantile(getattr(home, name), [0.05, 0.95])
    middle = np.median(getattr(here, name))
    if not low <= middle <= high:
      side = 'above' if middle > high else 'below'
      yield (
        f'The typical {name} there is {side} that of nine in ten images of the '
        'internal test.'
      )
  if here.is_blank.mean() > home.is_blank.mean() + 0.02:
    yield 'There are more blank images there.'
  if abs(here.has_color.mean() - home.has_color.mean()) > 0.5:
    yield 'Most images of one set are in color, and most of the other are not.'


def _names(validation):
  matched = validation.label_map
  rows = [
    {'name there': name, 'output of the network': output}
    for name, output in matched.stored.items()
  ]
  rows += [
    {'name there': name, 'output of the network': 'none: not scored'}
    for name in matched.unused
  ]
  rows += [
    {'name there': 'none: no example', 'output of the network': name}
    for name in matched.absent
  ]
  return report.Section(
    'Names and origin',
    [
      'How the names of the other site were matched with the outputs of the '
      f'network, which is {validation.origin}. The images are split '
      f'{validation.here.split} of {validation.here.name}.'
    ],
    pd.DataFrame(rows),
  )


def _count(scored, column='image_id'):
  if scored.table is None:
    return '–'
  return f'{scored.table[column].nunique():,}'


def _value(scored, name):
  metric = scored.metric(name)
  if metric is None:
    return '–'
  return _text(
    metrics.summaries({name: metric}, scored.table['patient_id'])[name]
  )


def _text(summary, sign=''):
  """Return `0.912 (0.887 to 0.934)`, or why there is no value."""
  if summary['value'] is None:
    return f'{metrics.UNDEFINED} ({summary.get("undefined") or "no value"})'
  text = f'{summary["value"]:{sign}.3f}'
  if summary['low'] is None:
    return text
  return f'{text} ({summary["low"]:{sign}.3f} to {summary["high"]:{sign}.3f})'
