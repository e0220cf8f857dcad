"""Where the benefit sits, as sections of the report."""

from collections.abc import Iterator, Sequence
import io
import os

import pandas as pd

from transfusion_tf import errors
from transfusion_tf import startup
from transfusion_tf import storage
from transfusion_tf.models import registry
from transfusion_tf.study import benefit
from transfusion_tf.study import display
from transfusion_tf.study import probe_files
from transfusion_tf.study import report
from transfusion_tf.study import results
from transfusion_tf.study import transfer_scores
from transfusion_tf.study.plots import benefit as plots

_STATISTICS = (
  'Batch norm has the statistics of training images, computed anew for every '
  'network that is scored, the trained ones included.'
)
_RESETS = (
  'The first seed of each start as trained, but for one stage, whose weights '
  'are those from before training (Zhang et al., 2019). Where the score hardly '
  'changes, the trained network does as well without what training did to that '
  'stage. Intervals of 95 % are over the test patients, paired; '
  'they are of this one network, not of the start.'
)
_PATHS = (
  'The networks on the straight line between the first two seeds of a start '
  '(Neyshabur et al., 2020). The barrier is the most by which the loss rises '
  'above, or the score falls below, the line between the two ends: without '
  'one, training has left both in one basin. It is of one pair of networks, '
  'and has no interval.'
)
_SCORES = (
  'LogME (You et al., 2021) and the regularized H-score (Ibrahim et al., '
  '2021) are to tell from the features of the last stage, without training, '
  'which weights transfer best. On medical images such scores have been found '
  'unreliable '
  '(Chaves et al., “The Performance of Transferability Metrics does not '
  'Translate to Medical Tasks”, 2023): they decide nothing here.'
)


def sections(
  root: str, runs: Sequence[results.Result]
) -> Iterator[report.Section]:
  """Yield the sections of what was measured in a study's folder.

  Args:
    root: Folder of the study.
    runs: Its finished runs.
  """
  titles = {
    'Which stages training needed': _reset_section,
    'Between two seeds': _path_section,
    'Scores that predict transfer': _score_section,
  }
  for title, section in titles.items():
    try:
      yield from section(title, root, runs)
    except Exception as error:  # Whatever a damaged file makes of it.
      reason = startup.report_error(error)
      yield report.Section(title, [f'Not shown: {reason}.'])


def _reset_section(title, root, runs) -> Iterator[report.Section]:
  table = _read(root, benefit.RESETS)
  if table.empty:
    return
  metric = display.metric(runs[0].primary_metric) if runs else 'score'
  cells = pd.DataFrame(
    {
      **_names(table),
      'Stage': table['stage'],
      'As trained': table['trained'].map('{:.3f}'.format),
      'Stage put back': table['score'].map('{:.3f}'.format),
      'Change': [
        f'{change:+.3f} ({low:+.3f} to {high:+.3f})'
        for change, low, high in table[['change', 'low', 'high']].to_numpy()
      ],
    }
  )
  yield report.Section(
    title,
    [_RESETS, _STATISTICS],
    cells,
    plots.resets(table, metric),
    f'Change of the test score ({metric}) where one stage is put back to its '
    'values from before training.',
  )


def _path_section(title, root, runs) -> Iterator[report.Section]:
  del runs
  table = _read(root, benefit.PATHS)
  if table.empty:
    return
  found = benefit.barriers(table)
  cells = pd.DataFrame(
    {
      **_names(found),
      'Scores of the two': [
        f'{first:.3f}, {second:.3f}' for first, second in found['ends']
      ],
      'Barrier of the loss': found['loss_barrier'].map('{:.3f}'.format),
      'Barrier of the score': found['score_barrier'].map('{:.3f}'.format),
    }
  )
  yield report.Section(
    title,
    [_PATHS, _STATISTICS],
    cells,
    plots.paths(table),
    'Test loss on the line between two trained networks of one start.',
  )


def _score_section(title, root, runs) -> Iterator[report.Section]:
  found = list(transfer_scores.entries(probe_files.read(root), runs))
  if not found:
    return
  cells = pd.DataFrame(
    [
      {
        'Weights': transfer_scores.label(each),
        **{
          label: f'{getattr(each, field):.4f}'
          for field, label in transfer_scores.SCORES.items()
        },
        'Measured test score': f'{each.measured:.3f}' if each.num_runs else '–',
        'Runs': each.num_runs,
      }
      for each in found
    ]
  )
  yield report.Section(
    title, [_SCORES, *transfer_scores.agreement(found)], cells
  )


def _names(table):
  return {
    'Model': table['model'].map(registry.label),
    'Start': [display.start(start).label for start in table['start']],
  }


def _read(root, name) -> pd.DataFrame:
  path = os.path.join(root, name)
  if not storage.exists(path):
    return pd.DataFrame()
  try:
    return pd.read_csv(io.BytesIO(storage.read_bytes(path)))
  except ValueError as error:
    raise errors.InputError(f'{path}: damaged: {error}') from None
