"""The first answer of a study: its probes as table, plot and sentences."""

from collections.abc import Iterable, Iterator
import os
import time

import pandas as pd

from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.models import registry
from transfusion_tf.study import display
from transfusion_tf.study import executors
from transfusion_tf.study import plan as plan_lib
from transfusion_tf.study import probe_files
from transfusion_tf.study import probe_scores
from transfusion_tf.study import probing
from transfusion_tf.study import report
from transfusion_tf.study.plots import probes as plot_lib

TABLE = 'probes.csv'
_TITLE = 'Before training: what the features tell'
_NOTE = (
  'Each image passes once through each network; a stage’s output, averaged '
  'over places, is a feature vector. On the training images a linear probe '
  '(logistic regression, standardized features, the strength of its L2 penalty '
  'chosen on validation) and a vote of the nearest neighbors (cosine, their '
  'number chosen on validation) learn the labels. Random features are the mean '
  f'of {probing.NUM_RANDOM} draws of the weights, whose batch norm has the '
  'statistics of training images. Of a larger split, at most '
  f'{probing.MOST_IMAGES:,} evenly spaced images are taken. Intervals of 95 % '
  'are over the test patients and, for random features, their draws; the '
  'training images are taken as given. “Better” and “worse” are of the linear '
  'probe’s difference, paired on patients, with p values adjusted for the '
  'number of stages (Holm). Features as they are do not tell what training '
  'makes of them: whether transfer pays is measured by the runs.'
)


def run(
  plan: plan_lib.Plan,
  root: str,
  dataset: str,
  executor: executors.Executor = executors.HERE,
  partial_report: str = '',
) -> bool:
  """Probe the networks of a study, write probes.csv and print what follows.

  Args:
    plan: The plan, whose sources and networks are probed.
    root: Folder of the study.
    dataset: Name of the data set.
    executor: Does it, a network a job.
    partial_report: Name of a page to write, while there is no other.

  Returns:
    Whether there are pretrained weights to probe once runs are finished.
  """
  began = time.monotonic()
  print('== Probes: what the features tell before training', flush=True)
  for model, error in probing.run(plan, root, executor).items():
    print(f'{registry.label(model)}: not probed: {error}')
  features, notes = probe_scores.collect(probe_files.read(root))
  table = probe_scores.table(features)
  storage.makedirs(root)
  storage.write_text(os.path.join(root, TABLE), table.to_csv(index=False))
  sentences = [probe_scores.sentence(each) for each in features if each.source]
  for line in (*_printed(features), *notes, *sentences):
    print(line)
  print(f'{time.monotonic() - began:.0f} seconds of probes', flush=True)
  if partial_report:
    _write_page(os.path.join(root, partial_report), root, dataset)
  return bool(probing.waiting(plan, root))


def sections(root: str) -> Iterator[report.Section]:
  """Yield the section of the probes in a study's folder; nothing without."""
  probed = probe_files.read(root)
  if not probed:
    return
  try:
    features, notes = probe_scores.collect(probed)
    sentences = [
      probe_scores.sentence(each) for each in features if each.source
    ]
    paragraphs = [*sentences, *notes, _NOTE]
    if not features:
      yield report.Section(_TITLE, paragraphs)
      return
    yield report.Section(
      _TITLE,
      paragraphs,
      _cells(features),
      plot_lib.plot(features),
      'Linear probes by stage, from the input up, with intervals of 95 %. The '
      'dotted line is chance.',
    )
  except Exception as error:  # Whatever a damaged file makes of it.
    yield report.Section(_TITLE, [f'Not shown: {startup.report_error(error)}.'])


def _write_page(path, root, dataset):
  """Write the first report, which the runs' will replace."""
  waiting = report.Section(
    'What to do',
    [
      'Nothing is trained yet: this page shows the probes alone. Whether '
      'transfer pays is said here once runs are finished.'
    ],
  )
  report.write(
    path, f'Does transfer pay on {dataset}?', [waiting, *sections(root)]
  )


def _cells(features: Iterable[probe_scores.Features]) -> pd.DataFrame:
  """Return a row for each network and stage, as texts."""
  rows: dict[tuple[str, str], dict[str, str]] = {}
  for each in features:
    name = each.source or 'random'
    for linear, knn in zip(each.linear, each.knn, strict=True):
      row = rows.setdefault(
        (each.model, linear.stage),
        {'Model': registry.label(each.model), 'Stage': linear.stage},
      )
      row[f'{name}: {display.metric(each.metric)}, linear'] = _interval(linear)
      row[f'{name}: neighbors'] = f'{knn.value:.3f}'
      if linear.minus_random is not None:
        row[f'{name} less random'] = _difference(linear)
  return pd.DataFrame(rows.values()).fillna('–')


def _interval(score):
  return f'{score.value:.3f} ({score.low:.3f} to {score.high:.3f})'


def _difference(score):
  low, high = score.minus_random.interval()
  mark = ', better' if score.is_better else ', worse' if score.is_worse else ''
  return f'{score.minus_random.value:+.3f} ({low:+.3f} to {high:+.3f}){mark}'


def _printed(features: Iterable[probe_scores.Features]) -> Iterator[str]:
  """Yield a line for each network and kind of features."""
  for each in features:
    scores = ' '.join(
      f'{score.stage} {score.value:.3f}' for score in each.linear
    )
    name = registry.label(each.model)
    yield f'{name}, {each.source or "random"}: {scores}'
