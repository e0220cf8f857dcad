"""How the runs of a study ended, and on what their checkpoints were chosen."""

from collections.abc import Iterator, Sequence
import math

import numpy as np
import pandas as pd

from transfusion_tf.models import registry
from transfusion_tf.study import decision
from transfusion_tf.study import display
from transfusion_tf.study import outcome as outcome_lib
from transfusion_tf.study import report
from transfusion_tf.study import results

_MOST_CHANGES = 4


def section(outcome: outcome_lib.Outcome) -> Iterator[report.Section]:
  """Yield a section on the finished runs, if there are any."""
  if outcome.results:
    yield report.Section(
      'How the runs ended', sentences(outcome), table(outcome.finished)
    )


def table(runs: decision.Runs) -> pd.DataFrame:
  """Return a row for each model and start."""
  return pd.DataFrame(
    [
      {
        'Model': registry.label(model),
        'Start': display.start(start).label,
        'Runs': len(seeds),
        'Stopped by patience': sum(run.was_cut for run in seeds),
        'Still improving': sum(run.is_improving for run in seeds),
        'Last step': _range([_last_step(run) for run in seeds]),
        'Step taken': _range([run.result['judged_step'] for run in seeds]),
      }
      for model, starts in runs.items()
      for start, seeds in starts.items()
    ]
  )


def sentences(outcome: outcome_lib.Outcome) -> list[str]:
  """Return what has to be known to trust a comparison of the runs."""
  runs = outcome.results
  cut = sum(run.was_cut for run in runs)
  improving = sum(run.is_improving for run in runs)
  return [
    f'Of {len(runs)} runs {cut} were stopped by patience, and {improving} were '
    'still improving at their end: over the last third of its evaluations the '
    'validation score rises (Kendall’s tau, p < 0.05). Longer runs may end '
    'otherwise where runs were still improving.',
    *selection(runs),
    *_patience(runs),
    *_changed(outcome.changed),
  ]


def selection(runs: Sequence[results.Result]) -> list[str]:
  """Return a sentence on the images that chose the checkpoints, if known."""
  counts = {
    (run.result.get('num_validation'), run.result.get('validation_patients'))
    for run in runs
  }
  if len(counts) != 1 or (None, None) in counts:
    return []
  ((images, patients),) = counts
  known = [run.stderr for run in runs if not math.isnan(run.stderr)]
  stderr = (
    f' There the score of a network has a standard error of about '
    f'{np.median(known):.3f}: differences of less are noise.'
    if known
    else ''
  )
  return [
    f'The checkpoint of each run is its best one on {images} validation images '
    f'of {patients} patients.{stderr}'
  ]


def _patience(runs):
  """Yield what patience has counted, where it has ended a run."""
  rules = dict.fromkeys(run.experiment.train for run in runs if run.was_cut)
  unaware = sum(
    run.was_cut and not run.experiment.train.patience_stderr for run in runs
  )
  if unaware:
    yield (
      f'{unaware} runs were stopped by a patience that takes any lower score '
      'for worse: on few validation images that is chance, and the start they '
      'have may be better than it looks. Delete their folders, and the same '
      'command trains them again by the present rule.'
    )
  if any(train.patience_stderr for train in rules):
    train = next(t for t in rules if t.patience_stderr)
    plural = '' if train.patience_stderr == 1 else 's'
    yield (
      f'Patience ends a run after {train.patience} evaluations in a row that '
      f'are not within {train.patience_stderr:g} standard error{plural} of its '
      f'best; those of the first {train.min_steps} steps do not count.'
    )


def _changed(changed):
  """Yield a note on runs of other settings than the study now has."""
  if changed:
    found = list(
      dict.fromkeys(c for changes in changed.values() for c in changes)
    )
    more = len(found) - _MOST_CHANGES
    text = '; '.join(found[:_MOST_CHANGES])
    yield (
      f'{len(changed)} of the runs were finished with other settings than this '
      f'command has ({text}{f" and {more} more" if more > 0 else ""}) and are '
      'compared as they are; delete their folders to train them again.'
    )


def _last_step(run):
  return int(run.result.get('last_step', run.curve['step'].iloc[-1]))


def _range(values):
  low, high = min(values), max(values)
  return f'{low:,}' if low == high else f'{low:,} to {high:,}'
