"""The learning rates of a study in its report."""

from collections.abc import Iterator, Sequence
import math

import pandas as pd

from transfusion_tf import errors
from transfusion_tf.models import registry
from transfusion_tf.study import display
from transfusion_tf.study import endings
from transfusion_tf.study import rates
from transfusion_tf.study import report
from transfusion_tf.study import results

_MOST_NAMES = 4
_RULE = (
  'Every model was trained from every start at each of these learning rates, '
  'in full and with the first seed. The rate with the highest validation score '
  'is that of all seeds; the test set had no part in it. The grid is the same '
  'for all, so that no start has the rate of another.'
)


def section(
  choices: Sequence[rates.Choice], runs: Sequence[results.Result]
) -> Iterator[report.Section]:
  """Yield the section on the rates that were chosen, if any were.

  Args:
    choices: The choices.
    runs: Runs, which tell how many images validate.
  """
  if choices:
    yield report.Section(
      'Which learning rate each start has',
      [_RULE, *endings.selection(runs), *_notes(choices)],
      table(choices),
    )


def table(choices: Sequence[rates.Choice]) -> pd.DataFrame:
  """Return a row for each choice: the best validation score at each rate."""
  return pd.DataFrame(
    [
      {
        'Model': registry.label(choice.model),
        'Start': display.start(choice.start).label,
        **{
          f'{rate:g}': '–' if math.isnan(score) else f'{score:.3f}'
          for rate, score in choice.scores.items()
        },
        'Chosen': f'{choice.chosen:g}',
      }
      for choice in choices
    ]
  )


def _notes(choices):
  """Yield what is not known of the best rates."""
  unclear = [choice for choice in choices if choice.within_noise]
  if unclear:
    yield (
      f'For {_names(unclear, choices)} another rate is within one standard '
      'error of the best: which is better is not known.'
    )
  edge = [choice for choice in choices if choice.at_edge]
  if edge:
    yield (
      f'For {_names(edge, choices)} the best rate is the lowest or highest of '
      'the grid: one beyond it may be better.'
    )


def _names(some, choices):
  if len(some) == len(choices) > 1:
    return 'all of them'
  names = [
    f'{registry.label(c.model)} from {display.start(c.start).label}'
    for c in some
  ]
  return errors.listed(names, _MOST_NAMES)
